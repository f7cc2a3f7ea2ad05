/** The upstream's side of a WebSocket session, asked once: a connection, or what the upstream says in place of one. */
import type { Judgement, Result } from '../plugin.ts'
import { judgeByStatus, type Dialect, type Unjudged } from '../provider.ts'
import type { Answering } from './attempt.ts'
import { systemClock } from './ws-clock.ts'
import type { WsConnection } from './ws-connection.ts'
import { dial, type Dialing, type Handshake } from './ws-dial.ts'
import { UpgradeRefused } from './ws-errors.ts'

interface Opening extends Omit<Handshake, 'onClosed'> {
  /** Milliseconds for the handshake. */
  readonly timeout: number
  readonly maxPayload: number
  readonly isCompressed: boolean
}

export class SessionAttempt implements Answering {
  readonly framing = 'messages'
  readonly head = null
  readonly result: Promise<Result>
  /** Null until it is open. Messages wait in it for a listener. */
  connection: WsConnection | null = null
  readonly #dialing: Dialing
  readonly #judge: (result: Unjudged) => Judgement
  readonly #startedAt = performance.now()

  constructor(dialect: Dialect, { timeout, maxPayload, isCompressed, ...to }: Opening) {
    this.#judge = dialect.judge ?? judgeByStatus
    this.#dialing = dial(
      { ...to, onClosed() {} },
      { handshakeTimeout: timeout, closeTimeout: 2000, maxPayload, isCompressed },
      systemClock,
    )
    this.result = this.#dialing.opened.then(
      (connection) => {
        this.connection = connection
        return this.#answer(101, {}, null)
      },
      (error: unknown) => this.#refused(error),
    )
  }

  abort(reason: Error): void {
    this.#dialing.abort(reason)
    this.connection?.terminate()
  }

  discard(): void {
    this.abort(new Error('another upstream serves the session'))
  }

  deliverTo(): void {}

  resume(): void {}

  tick(): void {}

  #refused(error: unknown): Result {
    if (error instanceof UpgradeRefused) return this.#answer(error.status, error.headers, error.body)
    const failure: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error))
    const judgement = this.#judge({ kind: 'failure', error: failure })
    return { kind: 'failure', error: failure, judgement, ms: performance.now() - this.#startedAt }
  }

  #answer(status: number, headers: UpgradeRefused['headers'], body: Buffer | null): Result {
    const judgement = this.#judge({ kind: 'response', status, headers, body })
    return { kind: 'response', status, headers, judgement, ms: performance.now() - this.#startedAt, body }
  }
}
