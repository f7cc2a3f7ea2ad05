/** The events of an answer as they pass: shown to `onEvent`, given to `editEvent`. Null chains cost nothing. */
import type { LiveExchange } from './exchange.ts'
import type { Headers } from './plugin.ts'
import { eventData, EventReader, withData } from './sse.ts'

/** A JSON answer longer than this passes unseen, in bytes: 8 MiB, as the Go system capped what it read. */
const longestDocument = 8 * 2 ** 20

/** What comes in, and what goes on instead. */
export interface Tap {
  /** The bytes to send on now; empty where they are held. */
  push(chunk: Buffer): Buffer
  /** What was held to the end. */
  end(): Buffer
  /** Whether it may change the length of the answer. */
  readonly edits: boolean
}

/** The tap for an answer with these headers, or null where nobody joins or the bytes cannot be read as events. */
export function tapOf(exchange: LiveExchange, headers: Headers): Tap | null {
  const { onEvent, editEvent } = exchange.route
  if (!onEvent && !editEvent) return null
  const type = String(headers['content-type'] ?? '')
  const coding = headers['content-encoding']
  if (coding !== undefined && coding !== 'identity') return null
  const show = (data: Buffer): Buffer | null => {
    onEvent?.(exchange, data)
    if (!editEvent) return null
    const edited = editEvent(exchange, data)
    // The contract has it synchronous; a promise here is a defect of the plugin's.
    if (edited instanceof Promise) throw new TypeError('editEvent must answer at once')
    return edited === data ? null : edited
  }
  if (type.startsWith('text/event-stream')) return editEvent ? editedStream(show) : watchedStream(show)
  if (type.includes('json')) return document(show, editEvent !== null)
  return null
}

const nothing = Buffer.alloc(0)
type Show = (data: Buffer) => Buffer | null

/** Bytes flow on at once; each event is shown when it is whole. */
function watchedStream(show: Show): Tap {
  const reader = new EventReader()
  return {
    edits: false,
    push(chunk) {
      for (const event of reader.push(chunk)) {
        const data = eventData(event)
        if (data) show(data)
      }
      return chunk
    },
    end: () => nothing,
  }
}

/** Each event is held until it is whole. */
function editedStream(show: Show): Tap {
  const reader = new EventReader()
  return {
    edits: true,
    push(chunk) {
      const sent = reader.push(chunk).map((event) => {
        const data = eventData(event)
        const edited = data && show(data)
        return edited ? withData(event, edited) : event
      })
      return sent.length === 1 ? sent[0]! : Buffer.concat(sent)
    },
    end: () => reader.rest(),
  }
}

/** A JSON document is one event. Beyond the limit it is neither shown nor edited, but passes on. */
function document(show: Show, edits: boolean): Tap {
  let held: Buffer[] = []
  let length = 0
  return {
    edits,
    push(chunk) {
      if (length > longestDocument) return chunk
      held.push(chunk)
      length += chunk.length
      if (length <= longestDocument) return edits ? nothing : chunk
      const passed = edits ? Buffer.concat(held) : chunk
      held = []
      return passed
    },
    end() {
      if (length === 0 || length > longestDocument) return nothing
      const whole = held.length === 1 ? held[0]! : Buffer.concat(held)
      const edited = show(whole)
      return edits ? (edited ?? whole) : nothing
    },
  }
}
