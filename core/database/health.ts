/** Whether PostgreSQL answers: asked at the start, after a failure, and now and then. */
import type { Log } from '../plugin.ts'
import { backoff } from './backoff.ts'
import { CannotStart, DatabaseUnavailable, messageOf, sqlState } from './connection.ts'

export type State = 'starting' | 'up' | 'down'

/** How often, in ms, a database that is up is asked whether it still is: a peer that vanished says nothing by itself. */
const calm = 15_000

interface Waiter {
  resolve(): void
  reject(error: Error): void
}

export class Health {
  state: State = 'starting'
  lastError: Error | null = null
  readonly #probe: () => Promise<void>
  readonly #log: Log
  readonly #waiters = new Set<Waiter>()
  #timer: NodeJS.Timeout | undefined
  #probing: Promise<void> | null = null
  #attempt = 0
  #isEnded = false

  constructor(probe: () => Promise<void>, log: Log) {
    this.#probe = probe
    this.#log = log
    this.doubt()
  }

  /** Something went wrong on a connection: is it only that one? Asks at once, unless it is known to be down. */
  doubt(error?: unknown): void {
    if (this.#isEnded) return
    if (error !== undefined && this.state !== 'up') this.lastError = asError(error)
    if (this.#probing || this.state === 'down') return
    this.ask()
  }

  /** It is known to be gone. Asks at once all the same: to ask may be to bring it back. */
  lose(error: Error): void {
    if (this.#isEnded) return
    this.state = 'down'
    this.lastError = error
    this.ask()
  }

  /** Asks at once, whatever is known. */
  ask(): void {
    if (this.#isEnded || this.#probing) return
    clearTimeout(this.#timer)
    this.#probing = this.#probe()
      .then(
        () => this.#rise(),
        (error: unknown) => this.#fall(asError(error)),
      )
      .then(() => {
        this.#probing = null
      })
  }

  /** Resolves when it is up. Rejects when that takes longer than `ms` (Infinity: however long), or will never be. */
  ready(ms: number): Promise<void> {
    if (this.state === 'up') return Promise.resolve()
    if (this.#isEnded) return Promise.reject(this.lastError ?? new DatabaseUnavailable('closed'))
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        this.#waiters.delete(waiter)
        act()
      }
      const waiter: Waiter = { resolve: () => settle(resolve), reject: (error) => settle(() => reject(error)) }
      const late = (): void => waiter.reject(this.unavailable(`no answer within ${ms} ms`))
      const timer = Number.isFinite(ms) ? setTimeout(late, ms) : undefined
      this.#waiters.add(waiter)
    })
  }

  /** The error for whoever asks now. */
  unavailable(otherwise: string): DatabaseUnavailable {
    const cause = this.lastError
    return new DatabaseUnavailable(cause ? messageOf(cause) : otherwise, { cause })
  }

  /** It will never be up: says so to everybody who waits. */
  async end(error: Error): Promise<void> {
    this.#isEnded = true
    this.state = 'down'
    this.lastError = error
    clearTimeout(this.#timer)
    for (const waiter of this.#waiters) waiter.reject(error)
    await this.#probing
  }

  #rise(): void {
    if (this.#isEnded) return
    if (this.state === 'down') this.#log.info({}, 'the database answers again')
    this.state = 'up'
    this.lastError = null
    this.#attempt = 0
    for (const waiter of this.#waiters) waiter.resolve()
    this.#later(calm * (0.75 + Math.random() / 2))
  }

  #fall(error: Error): void {
    if (this.#isEnded) return
    const before = this.lastError?.message
    if (this.state !== 'down' || before !== error.message)
      this.#log.error({ err: error }, 'the database does not answer')
    this.state = 'down'
    this.lastError = error
    if (isLasting(error)) for (const waiter of this.#waiters) waiter.reject(error)
    this.#later(backoff(this.#attempt++))
  }

  #later(ms: number): void {
    this.#timer = setTimeout(() => this.ask(), ms)
    this.#timer.unref()
  }
}

/** Waiting does not cure it: somebody has to change something. (It is asked again all the same; somebody may.) */
function isLasting(error: Error): boolean {
  return (error instanceof CannotStart && !error.isPassing) || /^(28|3D)/.test(sqlState(error))
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
