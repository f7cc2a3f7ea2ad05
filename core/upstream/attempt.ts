/** One upstream asked once: its answer as it arrives, held until somebody takes it. */
import type { Headers, Judgement, Result } from '../plugin.ts'
import type { Unjudged } from '../provider.ts'
import { answerHeaders } from './headers.ts'

/** Where the bytes of an answer go. */
export interface Sink {
  /** False asks for a pause; `resume()` of the attempt ends it. `isLast`: nothing but `whole()` follows. */
  bytes(chunk: Buffer, isLast: boolean): boolean
  /** All of it has arrived. */
  whole(): void
  /** No more will arrive. */
  broken(error: NodeJS.ErrnoException): void
}

/** What is sent. `path` is whole: base address, path and query. */
export interface Sending {
  readonly method: string
  readonly path: string
  readonly headers: Headers
  readonly body: Buffer | AsyncIterable<Buffer> | null
}

function nothing(): void {}

/** Bytes of an answer that are held before anybody has taken it, and that are read to save a connection. */
const holdLimit = 64 * 1024

/**
 * Receives from undici: these are the handler methods that its HTTP/1 client calls itself, so nothing wraps them.
 * The outcome is a value; `result` never rejects.
 */
export class Attempt {
  readonly sending: Sending
  readonly result: Promise<Result>
  readonly #startedAt = performance.now()
  /** Body bytes that have arrived. */
  received = 0
  #judge: (result: Unjudged) => Judgement
  #settle: (result: Result) => void = nothing
  #abort: ((reason: Error) => void) | null = null
  #aborted: Error | null = null
  #resume: () => void = nothing
  #held: Buffer[] = []
  #announced = -1
  #state: 'asked' | 'arriving' | 'whole' | 'broken' = 'asked'
  #error: NodeJS.ErrnoException | null = null
  #sink: Sink | null = null

  constructor(sending: Sending, judge: (result: Unjudged) => Judgement) {
    this.sending = sending
    this.#judge = judge
    this.result = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  /** Whether the whole answer is here. */
  get isWhole(): boolean {
    return this.#state === 'whole'
  }

  /** Hands the answer over: what is held at once, the rest as it arrives. */
  deliverTo(sink: Sink): void {
    this.#sink = sink
    const held = this.#held
    this.#held = []
    let flows = true
    for (const [at, chunk] of held.entries()) flows = sink.bytes(chunk, this.isWhole && at === held.length - 1)
    if (this.#state === 'whole') sink.whole()
    else if (this.#state === 'broken') sink.broken(this.#error!)
    else if (flows) this.#resume()
  }

  /** Goes on after a pause. */
  resume(): void {
    this.#resume()
  }

  /** Nobody wants the answer: a short rest is read, so that the connection can serve again; a long one is cut off. */
  discard(): void {
    let rest = holdLimit
    this.deliverTo({
      bytes: (chunk) => {
        rest -= chunk.length
        if (rest < 0) this.abort(new Error('the rest of a discarded answer was too long to read'))
        return true
      },
      whole() {},
      broken() {},
    })
  }

  /** Breaks the connection, now or as soon as there is one. */
  abort(reason: Error): void {
    if (this.#state === 'whole' || this.#state === 'broken') return
    this.#aborted ??= reason
    if (this.#abort) this.#abort(reason)
    else this.onError(reason)
  }

  onConnect(abort: (reason: Error) => void): void {
    this.#abort = abort
    if (this.#aborted) abort(this.#aborted)
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void): boolean {
    if (status < 200) return true
    this.#resume = resume
    this.#state = 'arriving'
    const headers = answerHeaders(raw)
    this.#announced = Number(headers['content-length'] ?? -1)
    const judgement = this.#judge({ kind: 'response', status, headers, body: null })
    this.#settle({ kind: 'response', status, headers, judgement, ms: this.#ms(), body: null })
    return true
  }

  onData(chunk: Buffer): boolean {
    this.received += chunk.length
    if (this.#sink) return this.#sink.bytes(chunk, this.received === this.#announced)
    this.#held.push(chunk)
    return this.received < holdLimit
  }

  onComplete(): void {
    this.#state = 'whole'
    this.#sink?.whole()
  }

  onError(error: NodeJS.ErrnoException): void {
    if (this.#state === 'broken' || this.#state === 'whole') return
    const asked = this.#state === 'asked'
    this.#state = 'broken'
    this.#error = error
    if (asked) {
      const judgement = this.#judge({ kind: 'failure', error })
      this.#settle({ kind: 'failure', error, judgement, ms: this.#ms() })
    } else this.#sink?.broken(error)
  }

  #ms(): number {
    return performance.now() - this.#startedAt
  }
}
