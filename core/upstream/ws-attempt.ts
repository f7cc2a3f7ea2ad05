/** One turn asked over a pooled connection: its events as they arrive, held until somebody takes them. */
import { holdLimit } from '../commit.ts'
import type { Headers, Judgement, Result } from '../plugin.ts'
import { judgeByStatus, type Dialect, type TurnDialect, type Unjudged } from '../provider.ts'
import type { Answering, Sink, Watch } from './attempt.ts'
import type { Fault, Listener } from './ws-connection.ts'
import { UpgradeRefused } from './ws-errors.ts'
import type { Lease } from './ws-member.ts'

/** How a turn is spoken, and how long its events may take, in ms. */
export interface TurnSpeech {
  readonly dialect: Dialect
  readonly turns: TurnDialect
  readonly watch: Watch
  /** Until the first event, and from one to the next. */
  readonly timeouts: { readonly headers: number; readonly idle: number }
}

/** What can be done where a connection turns out to be no use, before the turn has been answered by a single event. */
export interface Recovery {
  /** A connection that had served before has ended without a word; null: nothing can be done. */
  readonly again: (() => void) | null
  /** The upstream says that this is no more: what to do, or null where nothing can be done. */
  lost(what: 'connection' | 'response'): (() => void) | null
}

/** A turn's events are no HTTP answer: whoever looks at its head sees what the same answer would have by HTTP. */
const headers: Headers = Object.freeze({ 'content-type': 'text/event-stream; charset=utf-8' })

/** The outcome is a value; `result` never rejects. The lease is given back at the end of the turn, whole or broken. */
export class WsAttempt implements Answering, Listener {
  readonly framing = 'messages'
  readonly result: Promise<Result>
  head: Answering['head'] = null
  readonly #speech: TurnSpeech
  readonly #startedAt = performance.now()
  #settle: (result: Result) => void = () => {}
  #lease: Lease | null = null
  /** For a turn that its connection did not take; null: there is none, or it has been used. */
  #recovery: Recovery | null = null
  #state: 'asked' | 'arriving' | 'whole' | 'broken' = 'asked'
  #isHeld: boolean
  #heldSince = 0
  #held: Buffer[] = []
  #heldBytes = 0
  #heardAt = performance.now()
  #error: NodeJS.ErrnoException | null = null
  #sink: Sink | null = null
  #flows = true
  #isForsaken = false

  constructor(speech: TurnSpeech) {
    this.#speech = speech
    this.#isHeld = speech.watch.hold !== null || speech.watch.firstEvent !== null
    this.result = new Promise((resolve) => {
      this.#settle = resolve
    })
  }

  /** Sends the message; where a recovery takes place, it is called again with another lease. */
  begin(lease: Lease, message: Buffer, recovery: Recovery | null): void {
    if (this.#state !== 'asked') return lease.return()
    this.#lease = lease
    this.#recovery = recovery
    this.#flows = true
    this.#heardAt = performance.now()
    lease.send(message, false)
    lease.listen(this)
  }

  /** There is no connection: a refused upgrade is an answer as any other. */
  refused(error: NodeJS.ErrnoException): void {
    if (this.#state !== 'asked') return
    this.#state = 'broken'
    this.#error = error
    if (error instanceof UpgradeRefused) this.#answer(error.status, error.headers, error.body)
    else this.#fail(error)
  }

  onMessage(data: Buffer): void {
    if (this.#state === 'whole' || this.#state === 'broken') return
    this.#heardAt = performance.now()
    const isLast = this.#speech.turns.ends(data)
    if (isLast && this.head === null && this.#recovers(data)) return
    this.#state = 'arriving'
    if (this.#sink) {
      if (isLast) this.#end(data)
      if (!this.#sink.bytes(data, isLast)) this.#pause()
      if (isLast) this.#sink.whole()
      return
    }
    this.#held.push(data)
    this.#heldBytes += data.length
    if (isLast) this.#end(data)
    if (this.head === null) this.#look(data, isLast)
    if (this.#heldBytes >= holdLimit) this.#pause()
  }

  onClose(code: number, reason: string, fault: Fault | null): void {
    const mayRecover = this.#state === 'asked' && this.#lease?.isReused && !this.#isForsaken
    const again = mayRecover ? this.#recovery?.again : null
    if (again) return this.#beginAgain(again)
    const message = `the upstream closed the WebSocket with ${code}${reason === '' ? '' : ` (${reason})`}`
    this.#break(Object.assign(new Error(message, { cause: fault ?? undefined }), { code: fault?.code ?? 'WS_CLOSED' }))
  }

  deliverTo(sink: Sink): void {
    this.#sink = sink
    const held = this.#held
    this.#held = []
    let flows = true
    for (const [at, message] of held.entries()) {
      flows = sink.bytes(message, this.#state === 'whole' && at === held.length - 1)
    }
    if (this.#state === 'whole') sink.whole()
    else if (this.#state === 'broken') sink.broken(this.#error!)
    else if (flows) this.resume()
  }

  resume(): void {
    if (this.#flows) return
    this.#flows = true
    this.#heardAt = performance.now()
    this.#lease?.resume()
  }

  /** Nobody wants the answer: an upstream that goes on with it is no use to the next turn. */
  discard(): void {
    if (this.#state === 'asked' || this.#state === 'arriving') this.abort(new Error('the answer was discarded'))
  }

  abort(reason: Error): void {
    this.#break(reason)
  }

  forsake(): boolean {
    this.#isForsaken = true
    return this.#lease !== null || this.#state === 'whole'
  }

  tick(now: number): void {
    if (this.#state === 'whole' || this.#state === 'broken') return
    const { watch, timeouts } = this.#speech
    const isOpen = this.head === null
    if (isOpen && watch.firstEvent !== null) {
      if (now - this.#startedAt >= watch.firstEvent) this.#late('FIRST_EVENT_TIMEOUT', 'no content came in time')
    } else if (isOpen && this.#heldSince > 0 && watch.hold !== null && now - this.#heldSince >= watch.hold)
      this.#commit()
    if (this.#lease === null || !this.#flows) return
    const most = this.#state === 'asked' ? timeouts.headers : timeouts.idle
    if (now - this.#heardAt >= most) this.#late('MESSAGE_TIMEOUT', 'the next event did not come in time')
  }

  /** What the start of the answer is, as far as it is known. */
  #look(data: Buffer, isLast: boolean): void {
    const { firstEvent } = this.#speech.dialect
    const seen = firstEvent?.(data) ?? 'commit'
    if (typeof seen === 'object') {
      this.head = { status: seen.status, headers }
      this.#answer(seen.status, headers, data)
    } else if (seen === 'commit' || isLast || !this.#isHeld || this.#heldBytes >= holdLimit) this.#commit()
    else if (this.#heldSince === 0) this.#heldSince = performance.now()
  }

  /** Whether the turn was lost before it began, and is asked again. */
  #recovers(event: Buffer): boolean {
    if (this.#isForsaken) return false
    const lost = this.#speech.turns.lost?.(event) ?? null
    const again = lost && this.#recovery?.lost(lost)
    if (!again) return false
    this.#beginAgain(again)
    return true
  }

  #beginAgain(again: () => void): void {
    this.#lease?.markBroken()
    this.#lease = null
    this.#recovery = null
    this.#state = 'asked'
    this.#held = []
    this.#heldBytes = 0
    this.#heldSince = 0
    again()
  }

  #commit(): void {
    this.head = { status: 200, headers }
    this.#answer(200, headers, null)
  }

  /** The turn is over, and the connection free for the next one, unless the upstream is at fault. */
  #end(last: Buffer): void {
    this.#state = 'whole'
    const seen = this.#speech.dialect.firstEvent?.(last)
    const isFit =
      typeof seen !== 'object' ||
      (seen.status < 500 &&
        seen.status !== 401 &&
        seen.status !== 429 &&
        this.#speech.turns.lost?.(last) !== 'connection')
    if (isFit && !this.#isForsaken) this.#lease?.return()
    else this.#lease?.markBroken()
    this.#lease = null
  }

  #late(code: string, message: string): void {
    this.#break(Object.assign(new Error(message), { code }))
  }

  #break(error: NodeJS.ErrnoException): void {
    if (this.#state === 'whole' || this.#state === 'broken') return
    this.#state = 'broken'
    this.#error = error
    this.#lease?.markBroken()
    this.#lease = null
    if (this.head === null) this.#fail(error)
    else this.#sink?.broken(error)
  }

  #pause(): void {
    this.#flows = false
    this.#lease?.pause()
  }

  #answer(status: number, told: Headers, body: Buffer | null): void {
    const judgement = this.#judge({ kind: 'response', status, headers: told, body })
    const ms = performance.now() - this.#startedAt
    this.#settle({ kind: 'response', status, headers: told, judgement, ms, body })
  }

  #fail(error: NodeJS.ErrnoException): void {
    const judgement = this.#judge({ kind: 'failure', error })
    this.#settle({ kind: 'failure', error, judgement, ms: performance.now() - this.#startedAt })
  }

  #judge(result: Unjudged): Judgement {
    const { judge } = this.#speech.dialect
    return judge ? judge(result) : judgeByStatus(result)
  }
}
