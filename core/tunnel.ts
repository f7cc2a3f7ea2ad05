/** An upgrade that is passed on unread: once both sides have switched, bytes go from socket to socket. */
import type { Headers, Judgement, Result } from './plugin.ts'
import { judgeByStatus, type Dialect, type Unjudged } from './provider.ts'
import type { Answering } from './upstream/attempt.ts'

/** Whoever opens it (`Connections.tunnel`) says what comes of it. */
export class Tunnel implements Answering {
  readonly framing = 'bytes'
  readonly head = null
  readonly path: string
  readonly headers: Headers
  readonly result: Promise<Result>
  /** Resolves when both sides are closed. */
  readonly ended: Promise<void>
  hasBegun = false
  readonly #judge: (result: Unjudged) => Judgement
  readonly #startedAt = performance.now()
  #settle: (result: Result) => void = () => {}
  #end: () => void = () => {}
  #cut: ((reason: Error) => void) | null = null
  #aborted: Error | null = null

  constructor(dialect: Dialect, { path, headers }: { path: string; headers: Headers }) {
    this.#judge = dialect.judge ?? judgeByStatus
    this.path = path
    this.headers = headers
    this.result = new Promise((resolve) => {
      this.#settle = resolve
    })
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  /** The request is on its way; `cut` ends whatever has become of it. */
  onSent(cut: (reason: Error) => void): void {
    this.#cut = cut
    if (this.#aborted) cut(this.#aborted)
  }

  onOpen(): void {
    this.hasBegun = true
    this.#answer(101, {}, null)
  }

  /** The upstream has answered and not switched. */
  onRefused(status: number, headers: Headers, body: Buffer): void {
    // Without Upgrade and Connection a 101 is no switch, and the client must not take it for one.
    if (status === 101) return this.onError(new Error('the upstream answered 101 without Upgrade and Connection'))
    this.#answer(status, headers, body)
  }

  onError(error: NodeJS.ErrnoException): void {
    const judgement = this.#judge({ kind: 'failure', error })
    this.#settle({ kind: 'failure', error, judgement, ms: performance.now() - this.#startedAt })
  }

  onEnd(): void {
    this.#end()
  }

  abort(reason: Error): void {
    this.#aborted ??= reason
    this.#cut?.(reason)
  }

  discard(): void {
    this.abort(new Error('another upstream is asked'))
  }

  deliverTo(): void {}

  resume(): void {}

  tick(): void {}

  #answer(status: number, headers: Headers, body: Buffer | null): void {
    const judgement = this.#judge({ kind: 'response', status, headers, body })
    this.#settle({ kind: 'response', status, headers, judgement, ms: performance.now() - this.#startedAt, body })
  }
}
