/** Somebody who waits for a connection: with a deadline, a signal, and one outcome. */
import type { Headers } from '../plugin.ts'
import type { Cancel, Clock } from './ws-clock.ts'
import { WsError } from './ws-errors.ts'
import type { Lease } from './ws-member.ts'

export interface Asked {
  /** Milliseconds to wait, whatever for; the pool's `acquireTimeout` where absent. */
  readonly timeout?: number
  readonly signal?: AbortSignal
  /** The id of a connection that would be best. */
  readonly prefer?: string
  /** That connection (or the session's own) or an error. */
  readonly force?: boolean
  /** Who asks: a connection that it has pinned comes first. */
  readonly session?: AskingSession
}

export interface AskingSession {
  readonly id: string
  /** What is this session's alone, such as its id: where it has no connection yet, one is opened with them and pinned. */
  readonly headers?: Readonly<Headers>
}

export class Waiter {
  readonly asked: Asked
  readonly since: number
  readonly promise: Promise<Lease>
  /** Where it stands. */
  queue: Waiter[] | null = null
  /** Whether a handshake or a check under way is for this one. */
  isPending = false
  /** Whether it ever waited for others to give back. */
  hasQueued = false
  #isSettled = false
  #resolve: (lease: Lease) => void = () => {}
  #reject: (error: unknown) => void = () => {}
  #cancel: Cancel

  /** `onLeft` is called with the reason when it gives up by itself. */
  constructor(
    asked: Asked,
    timeout: number,
    clock: Clock,
    onLeft: (waiter: Waiter, why: 'timeout' | 'signal') => void,
  ) {
    this.asked = asked
    this.since = clock.now()
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { signal } = asked
    const abort = (): void => {
      if (this.fail(signal?.reason)) onLeft(this, 'signal')
    }
    signal?.addEventListener('abort', abort, { once: true })
    const stop = clock.after(timeout, () => {
      if (this.fail(new WsError('ACQUIRE_TIMEOUT', `no WebSocket connection in ${timeout} ms`))) onLeft(this, 'timeout')
    })
    this.#cancel = () => {
      stop()
      signal?.removeEventListener('abort', abort)
    }
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  give(lease: Lease): void {
    if (this.#settle()) this.#resolve(lease)
  }

  /** False where it had its outcome already. */
  fail(error: unknown): boolean {
    if (!this.#settle()) return false
    this.#reject(error)
    return true
  }

  #settle(): boolean {
    if (this.#isSettled) return false
    this.#isSettled = true
    this.#cancel()
    return true
  }
}
