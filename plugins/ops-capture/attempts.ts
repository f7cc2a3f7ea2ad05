/** What is seen of upstreams that fail, while it can be seen: at the end of an exchange only their statuses are left. */
import { redactText, type FailedAttempt, type Result, type Upstream } from 'postern/plugin'
import { jsonField } from 'postern/provider'
import { cut } from './text.ts'

/** What the APIs say in an error's body. */
export interface Told {
  readonly type: string | null
  readonly code: string | null
  readonly message: string | null
}

/** Made with the first failure of an exchange; one that goes well has none. */
export interface Sightings {
  readonly attempts: readonly FailedAttempt[]
  /** Of the last failed attempt. */
  readonly told: Told
  /** The beginning of the last failed answer's body. */
  readonly body: string | null
  /** Whether the upstream's key is the gateway's own, so that it is the gateway's matter where it is refused. */
  readonly keyIsOurs: boolean
  /** An error that came after the answer had begun. */
  readonly midStream: Told | null
  /** What the gateway itself has told the client. */
  readonly refusal: Told | null
}

const mostAttempts = 32
/** Characters of a message, and of an error's body: as the Go system had them. */
const longestMessage = 2048
const longestBody = 20 * 1024
/** Bytes of a body that is no JSON which are taken for its message. */
const plainMessage = 1024

export const noTold: Told = { type: null, code: null, message: null }

/** Whether there is something to note. */
export function hasFailed(result: Result): boolean {
  return result.kind === 'failure' || result.status >= 400
}

/** The sightings so far and this failed attempt. */
export function noted(
  before: Sightings | null,
  result: Result,
  { attempt, upstream }: { readonly attempt: number; readonly upstream: Upstream | null },
): Sightings {
  const body = result.kind === 'response' ? result.body : null
  const told = result.kind === 'response' ? toldIn(body) : ofError(result.error)
  const one: FailedAttempt = {
    attempt,
    at_unix_ms: Date.now(),
    upstream: upstream?.name ?? '',
    kind: result.kind === 'response' ? 'http_error' : 'request_error',
    status: result.kind === 'response' ? result.status : null,
    error: result.kind === 'failure' ? told.code : null,
    request_id: result.kind === 'response' ? requestId(result.headers) : null,
    ms: Math.round(result.ms * 10) / 10,
    message: told.message === null ? null : cut(told.message, 512),
  }
  return {
    attempts: [...(before?.attempts ?? []), one].slice(-mostAttempts),
    told,
    body: body && cut(redactText(body.toString('utf8', 0, longestBody)), longestBody),
    keyIsOurs: upstream !== null && upstream.key !== null,
    midStream: before?.midStream ?? null,
    refusal: before?.refusal ?? null,
  }
}

/** The sightings so far and an error in the midst of the answer. */
export function notedMidStream(before: Sightings | null, midStream: Told): Sightings {
  return { ...(before ?? nothingSeen), midStream }
}

/** The sightings so far and the gateway's own answer, an error in the words of the client's API. */
export function notedRefusal(before: Sightings | null, body: Buffer): Sightings {
  return { ...(before ?? nothingSeen), refusal: toldIn(body) }
}

const nothingSeen: Sightings = {
  attempts: [],
  told: noTold,
  body: null,
  keyIsOurs: false,
  midStream: null,
  refusal: null,
}

/** What a body says of its error: OpenAI, Anthropic and Gemini put it below `error`, others at the top. */
export function toldIn(body: Buffer | null): Told {
  if (body === null) return noTold
  const error = jsonField(body, 'error') ?? jsonField(body, 'response.error')
  const object = isRecord(error) ? error : null
  // Read field by field: a body may be cut, and then it is none.
  const type = object ? (object.type ?? object.status) : jsonField(body, 'type')
  const code = object ? object.code : jsonField(body, 'code')
  const message = object ? object.message : typeof error === 'string' ? error : jsonField(body, 'message')
  return {
    type: textOf(type, 128),
    code: textOf(code, 128),
    message: textOf(message, longestMessage) ?? textOf(body.toString('utf8', 0, plainMessage).trim(), longestMessage),
  }
}

/** An error of the network, or of the gateway. */
export function ofError(error: Error): Told {
  const code = 'code' in error ? String(error.code) : null
  return { type: error.name, code, message: cut(redactText(error.message), longestMessage) }
}

function requestId(headers: Readonly<Record<string, string | string[] | undefined>>): string | null {
  return textOf(headers['request-id'] ?? headers['x-request-id'] ?? headers['x-goog-request-id'], 128)
}

function textOf(value: unknown, longest: number): string | null {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? cut(redactText(value), longest) : null
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
