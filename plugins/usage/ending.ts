/** How an answer has ended, read from its last events, in whichever of the APIs' words they are. */
import { jsonField } from 'postern/provider'

/**
 * `completed`: the model was done. `incomplete`: it was stopped by a limit. `failed`: the upstream told an error. `cancelled`:
 * somebody cancelled it there. `cut`: the upstream broke off, or time was up. `client_gone`: the client left before the end.
 */
export type Outcome = 'completed' | 'incomplete' | 'failed' | 'cancelled' | 'cut' | 'client_gone'

/** Where the numbers come from: the end of the answer, something said before it broke off, or nowhere. */
export type UsageSource = 'final' | 'partial' | 'none'

/** What is known of an answer when its exchange ends. */
export interface Ended {
  /** Its last events, oldest first; a document is one. */
  readonly events: readonly Buffer[]
  readonly isStream: boolean
  /** Whether anything of it could be read: sound and pictures cannot. */
  readonly isReadable: boolean
  readonly error: Error | null
}

/** Events that end a stream, by what stands at their beginning: all of these APIs' servers write the type first. */
const lastTypes = /^\{\s*"type":\s*"(?:message_stop|error|response\.(?:completed|incomplete|failed|cancelled))"/

/** As much of an event as its type stands in. */
const typeLength = 64

/** Whether an event is the last one of its stream: nothing about tokens comes behind it. */
export function endsStream(data: Buffer): boolean {
  // `[DONE]` is the only event that is a list of six bytes.
  if (data.length === 6 && data[0] === 0x5b) return true
  // `{"i…`, `{"c…`: no type comes first, so this is a chat's chunk or one of Gemini's.
  if (data[1] === 0x22 && data[2] !== 0x74) return data.includes('"finishReason"')
  return lastTypes.test(data.toString('latin1', 0, typeLength)) || data.includes('"finishReason"')
}

export function outcomeOf({ events, isStream, isReadable, error }: Ended): Outcome {
  const broken = error === null ? null : error.name === 'ClientGone' ? 'client_gone' : 'cut'
  if (!isReadable) return broken ?? 'completed'
  const told = isStream ? toldByStream(events, broken === null) : toldByDocument(events.at(-1))
  return told ?? broken ?? (isStream || events.length === 0 ? 'cut' : 'completed')
}

/** Null: it has not told its end. Without `[DONE]` a reason to finish is one only if the stream ended by itself. */
function toldByStream(events: readonly Buffer[], endedByItself: boolean): Outcome | null {
  for (const data of events.toReversed()) {
    const type = typeOf(data)
    if (type === 'error' || isError(data)) return 'failed'
    if (type?.startsWith('response.')) {
      const outcome = statuses[type.slice('response.'.length)]
      if (outcome) return outcome
    }
  }
  if (endedByItself || events.some((data) => endsStream(data))) {
    for (const data of events.toReversed()) {
      const reason = reasonIn(data)
      if (reason !== null) return ofReason(reason)
    }
    if (events.some((data) => endsStream(data))) return 'completed'
  }
  return null
}

function toldByDocument(data: Buffer | undefined): Outcome | null {
  if (data === undefined) return null
  if (isError(data)) return 'failed'
  const reason = reasonIn(data)
  if (reason !== null) return ofReason(reason)
  const status = data.includes('"response"') ? jsonField(data, 'status') : undefined
  return (typeof status === 'string' ? statuses[status] : undefined) ?? 'completed'
}

/** The states of a response in OpenAI's API that are an end. */
const statuses: Readonly<Record<string, Outcome>> = {
  completed: 'completed',
  done: 'completed',
  incomplete: 'incomplete',
  failed: 'failed',
  cancelled: 'cancelled',
}

/** Reasons for which a model was stopped before it was done; every other one is an end of its own. */
const limits = new Set(['length', 'max_tokens', 'MAX_TOKENS', 'model_context_window_exceeded'])

function ofReason(reason: string): Outcome {
  return limits.has(reason) ? 'incomplete' : 'completed'
}

function typeOf(data: Buffer): string | undefined {
  return /^\{\s*"type":\s*"([a-z_.]+)"/.exec(data.toString('latin1', 0, typeLength))?.[1]
}

/** An error in the place of an answer: a member of its own that is no null. */
function isError(data: Buffer): boolean {
  if (!data.includes('"error"')) return false
  const error = jsonField(data, 'error')
  return (typeof error === 'object' && error !== null) || typeof error === 'string'
}

const reasons = ['"finish_reason"', '"stop_reason"', '"finishReason"']

/** The last reason an event names. Inside a text its quotes would be escaped, so the bytes are found where they are a name. */
function reasonIn(data: Buffer): string | null {
  for (const name of reasons) {
    const at = data.lastIndexOf(name)
    if (at === -1) continue
    const match = /^\s*:\s*"([A-Za-z_]+)"/.exec(data.toString('latin1', at + name.length, at + name.length + 64))
    if (match) return match[1]!
  }
  return null
}
