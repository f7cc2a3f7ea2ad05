/** One upstream asked once: its answer as it arrives, held until somebody takes it. */
import { holdFor, holdLimit, type Hold, type Verdict } from '../commit.ts'
import type { Headers, Judgement, Result } from '../plugin.ts'
import { judgeByStatus, type Dialect, type Unjudged } from '../provider.ts'
import type { Flow, Receiver, Sending } from './client.ts'
import { maskFor, type KeyMask } from './key-mask.ts'
import { sealedBy, type Sealed } from './sealed.ts'

/** Where the bytes of an answer go. */
export interface Sink {
  /** False asks for a pause; `resume()` of the attempt ends it. `isLast`: nothing but `whole()` follows. */
  bytes(chunk: Buffer, isLast: boolean): boolean
  /** All of it has arrived. */
  whole(): void
  /** No more will arrive. */
  broken(error: NodeJS.ErrnoException): void
}

/** An upstream that was asked, as whoever is given its answer sees it. */
export interface Answering {
  readonly result: Promise<Result>
  /** Null until something of an answer is here. */
  readonly head: { readonly status: number; readonly headers: Headers } | null
  /** What is handed to the sink: pieces of a body, or whole messages. */
  readonly framing: 'bytes' | 'messages'
  deliverTo(sink: Sink): void
  resume(): void
  discard(): void
  abort(reason: Error): void
  tick(now: number): void
  /**
   * Its client has left. True: it has been asked, and will be read to its end; no other connection is tried for it from now on, and a
   * WebSocket serves nobody afterwards. False: there is nothing to read.
   */
  forsake?(): boolean
}

/** A compressed error is kept this long, in ms, where nothing else says how long the start of an answer is held. */
const sealedFor = 5000

const nothingMore = Buffer.alloc(0)

/** How long an attempt may take before its answer counts as one, in ms. */
export interface Watch {
  /** How long the start of an answer is held; null: it is not, because nobody would ask another upstream. */
  readonly hold: number | null
  /** From the sending to the first content of a stream; the start is then held that long. */
  readonly firstEvent: number | null
}

/** The outcome is a value; `result` never rejects. */
export class Attempt implements Answering, Receiver {
  readonly framing = 'bytes'
  readonly sending: Sending
  readonly result: Promise<Result>
  /** Status and headers as the upstream sent them. */
  head: { readonly status: number; readonly headers: Headers } | null = null
  /** Body bytes that have arrived. */
  received = 0
  readonly #dialect: Dialect
  readonly #watch: Watch
  readonly #startedAt = performance.now()
  #settle!: (result: Result) => void
  #flow: Flow | null = null
  #hold: Hold | null = null
  #heldSince = 0
  #held: Buffer[] = []
  #announced = -1
  /** Of an error: the key it may repeat. */
  #mask: KeyMask | null = null
  /** Of a compressed error: all of it, until it has been searched for the key. */
  #sealed: Sealed | null = null
  #state: 'asked' | 'arriving' | 'whole' | 'broken' = 'asked'
  #error: NodeJS.ErrnoException | null = null
  #sink: Sink | null = null

  constructor(sending: Sending, dialect: Dialect, watch: Watch) {
    this.sending = sending
    this.#dialect = dialect
    this.#watch = watch
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
    else if (flows) this.resume()
  }

  /** Goes on after a pause. */
  resume(): void {
    this.#flow?.resume(this)
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
    this.onError(reason)
    this.#flow?.abort(this, reason)
  }

  forsake(): boolean {
    return this.#flow?.isSent === true && this.#state !== 'broken'
  }

  /** The time has come to ask whether anything has taken too long; `now` as `performance.now()` tells it. */
  tick(now: number): void {
    if (this.#state !== 'asked' && !this.#hold && !this.#sealed) return
    const { firstEvent, hold } = this.#watch
    if (firstEvent !== null) {
      if (now - this.#startedAt < firstEvent) return
      this.abort(Object.assign(new Error('no content came in time'), { code: 'FIRST_EVENT_TIMEOUT' }))
      return
    }
    if (this.#sealed && now - this.#heldSince >= (hold ?? sealedFor)) this.#unseal(false)
    if (this.#hold && hold !== null && now - this.#heldSince >= hold) this.#decide(this.#hold.end(false))
  }

  onFlow(flow: Flow): void {
    this.#flow = flow
    if (this.#state === 'broken') flow.abort(this, this.#error!)
  }

  onHead(status: number, headers: Headers): void {
    if (status >= 400) {
      this.#mask = maskFor(this.sending.headers)
      this.#mask?.hideIn(headers)
    }
    this.#state = 'arriving'
    this.head = { status, headers }
    this.#announced = Number(headers['content-length'] ?? -1)
    this.#sealed = sealedBy(headers, this.#mask)
    if (this.#sealed) this.#heldSince = performance.now()
    else this.#begin()
  }

  #begin(): void {
    const { status, headers } = this.head!
    const { hold, firstEvent } = this.#watch
    if (hold !== null || firstEvent !== null) this.#hold = holdFor(this.sending.method, status, headers, this.#dialect)
    if (!this.#hold) this.#decide('commit')
    else if (this.#heldSince === 0) this.#heldSince = performance.now()
  }

  /** What was kept goes on its way, as if it had come only now. */
  #unseal(isWhole: boolean): boolean {
    const bytes = this.#sealed!.open(isWhole)
    this.#sealed = null
    this.#begin()
    return bytes.length === 0 || this.#take(bytes, isWhole)
  }

  onData(bytes: Buffer): boolean {
    this.received += bytes.length
    if (this.#sealed) return this.#sealed.push(bytes) || this.#unseal(false)
    const isLast = this.received === this.#announced
    const chunk = this.#mask ? this.#mask.push(bytes, isLast) : bytes
    if (chunk.length === 0) return true
    return this.#take(chunk, isLast)
  }

  #take(chunk: Buffer, isLast: boolean): boolean {
    if (this.#sink) return this.#sink.bytes(chunk, isLast)
    this.#held.push(chunk)
    const verdict = this.#hold?.push(chunk)
    if (verdict) this.#decide(verdict)
    return this.received < holdLimit
  }

  onComplete(): void {
    if (this.#sealed) this.#unseal(true)
    const rest = this.#mask?.push(nothingMore, true)
    if (rest?.length) this.#take(rest, true)
    this.#state = 'whole'
    if (this.#hold) this.#decide(this.#hold.end(true))
    this.#sink?.whole()
  }

  onError(error: NodeJS.ErrnoException): void {
    if (this.#state === 'broken' || this.#state === 'whole') return
    const isOpen = this.#state === 'asked' || this.#hold !== null || this.#sealed !== null
    this.#hold = null
    this.#sealed = null
    this.#state = 'broken'
    this.#error = error
    if (isOpen) this.#fail(error)
    else this.#sink?.broken(error)
  }

  #decide(verdict: Verdict): void {
    this.#hold = null
    const { status: sent, headers } = this.head!
    if (verdict === 'empty') {
      this.#fail(Object.assign(new Error('the answer ended before it had begun'), { code: 'EMPTY_ANSWER' }))
      return
    }
    const { status, body } = verdict === 'commit' ? { status: sent, body: null } : verdict
    const judgement = this.#judge({ kind: 'response', status, headers, body })
    this.#settle({ kind: 'response', status, headers, judgement, ms: performance.now() - this.#startedAt, body })
  }

  #fail(error: NodeJS.ErrnoException): void {
    const judgement = this.#judge({ kind: 'failure', error })
    this.#settle({ kind: 'failure', error, judgement, ms: performance.now() - this.#startedAt })
  }

  #judge(result: Unjudged): Judgement {
    return this.#dialect.judge ? this.#dialect.judge(result) : judgeByStatus(result)
  }
}
