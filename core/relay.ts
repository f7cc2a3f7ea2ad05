/** An upstream's bytes on their way to the client: one write for each piece, as they come. */
import type { ServerResponse } from 'node:http'
import type { Tap } from './events.ts'
import type { LiveExchange } from './exchange.ts'
import { errorEvent, refusalOfNetwork } from './refusal.ts'
import type { Answering, Sink } from './upstream/attempt.ts'

const nothing = Buffer.alloc(0)

/** Beyond this many bytes copying costs more than a second piece. */
const textLimit = 8 * 1024

/** Asks for a pause while the client is slow. What breaks off is told in the dialect where that can still be read. */
export class Relay implements Sink {
  readonly #exchange: LiveExchange
  readonly #response: ServerResponse
  readonly attempt: Answering
  /** What shows its events; null where nobody is shown any. */
  readonly tap: Tap | null
  /** The answer is server-sent events, and its end is ours to say. */
  readonly #isStream: boolean
  /** The last bytes that were sent: they tell whether an event has ended. */
  #tail: Buffer = nothing
  #waits = false

  constructor(exchange: LiveExchange, attempt: Answering, tap: Tap | null, isStream: boolean) {
    this.#exchange = exchange
    this.#response = exchange.response
    this.attempt = attempt
    this.tap = tap
    this.#isStream = isStream
  }

  bytes(chunk: Buffer, isLast: boolean): boolean {
    const { tap } = this
    const sent = tap ? this.#tapped(() => tap.push(chunk)) : chunk
    if (sent === null || sent.length === 0) return true
    const exchange = this.#exchange
    exchange.sent += sent.length
    exchange.quiet = 0
    if (isLast && !tap?.edits) {
      // Whoever is shown the whole of it sees it now: the answer leaves with its end.
      if (tap && this.#tapped(() => tap.end()) === null) return true
      this.#end(sent)
      return true
    }
    if (this.#isStream) this.#tail = sent.length > 3 ? sent : Buffer.concat([this.#tail.subarray(-3), sent])
    return this.#response.write(sent) || this.#pause()
  }

  whole(): void {
    if (this.#response.writableEnded) return
    const rest = this.tap ? this.#tapped(() => this.tap!.end()) : nothing
    if (rest === null) return
    this.#end(rest)
  }

  /**
   * Between two events the client is told in its dialect; in the midst of one, or of a document, it sees the connection end where
   * the upstream's did. A truncated answer never looks whole.
   */
  broken(error: NodeJS.ErrnoException): void {
    this.#exchange.error ??= error
    if (this.isBetweenEvents && !this.#response.destroyed) {
      this.#response.end(errorEvent(this.#exchange, refusalOfNetwork(error)))
    } else this.#response.destroy()
  }

  /** Something that is no event may be said to a client that waits: nothing of ours ever stands inside one. */
  comment(text: Buffer): void {
    if (this.isBetweenEvents && !this.#response.writableNeedDrain) this.#response.write(text)
  }

  get isBetweenEvents(): boolean {
    if (!this.#isStream || this.#response.writableEnded) return false
    return this.#tail.length === 0 || endsEvent(this.#tail)
  }

  /** What the tap makes of it; null where a plugin failed at it or an event has no end: then the answer ends here. */
  #tapped(run: () => Buffer): Buffer | null {
    try {
      return run()
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      this.#exchange.log.error({ err: error }, error.message)
      this.broken(error)
      this.attempt.abort(error)
      return null
    }
  }

  /** Node sends a short text with its head as one string: one write of one piece instead of two. As latin1 every byte stays. */
  #end(rest: Buffer): void {
    if (rest.length === 0) this.#response.end()
    else if (rest.length <= textLimit) this.#response.end(rest.toString('latin1'), 'latin1')
    else this.#response.end(rest)
  }

  #pause(): false {
    if (!this.#waits) {
      this.#waits = true
      this.#response.once('drain', () => {
        this.#waits = false
        this.attempt.resume()
      })
    }
    return false
  }
}

/** Whether the bytes end with a blank line, in any of the three spellings of a line's end. */
function endsEvent(bytes: Buffer): boolean {
  const last = bytes.at(-1)
  const before = bytes.at(-2)
  if (last === 0x0d) return before === 0x0d
  if (last !== 0x0a) return false
  return before === 0x0a || (before === 0x0d && (bytes.at(-3) === 0x0a || bytes.at(-3) === 0x0d))
}
