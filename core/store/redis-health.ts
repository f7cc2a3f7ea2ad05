/** Whether Redis answers, as /readyz and the metrics tell it. A change is logged once, never per command. */
import type { Log } from '../plugin.ts'
import { StoreDown, type StoreHealth } from './store.ts'

/** Reasons that are logged of one outage: a server that fails in ever new words does not fill the log. */
const reasonsTold = 8

export class RedisHealth implements StoreHealth {
  isUp = false
  lastError: string | null = null
  failures = 0
  readonly #log: Log
  readonly #store: string
  readonly #password: string | null
  readonly #told = new Set<string>()
  #downSince: number | null = null

  /** `store` is the address as it may be logged. */
  constructor(log: Log, store: string, password: string | null) {
    this.#log = log
    this.#store = store
    this.#password = password
  }

  up(): void {
    if (this.isUp) return
    this.isUp = true
    const down_ms = this.#downSince === null ? 0 : Math.round(performance.now() - this.#downSince)
    this.#log.info({ store: this.#store, down_ms }, 'the store answers')
    this.#downSince = null
    this.#told.clear()
  }

  down(error: unknown): void {
    this.lastError = this.reason(error)
    this.isUp = false
    const isNew = this.#downSince === null
    this.#downSince ??= performance.now()
    // That the connection was lost and then is refused is one outage. What the server itself says, a person has to read.
    if (isNew || isReply(error)) this.#tell(this.lastError, 'the store is down: going on without it')
  }

  /** The error for the caller of a command that failed. */
  failed(error: unknown): StoreDown {
    this.failures++
    this.lastError = this.reason(error)
    return new StoreDown(this.lastError)
  }

  /** Redis answered, and refused: that is no outage, and nothing that goes by itself either. */
  refused(error: unknown): StoreDown {
    const down = this.failed(error)
    this.#tell(down.message, 'the store refuses a command')
    return down
  }

  /** What an error says, in one line. Never the error itself: ioredis hangs the arguments on it, AUTH's as well. */
  reason(error: unknown): string {
    if (typeof error === 'string') return error
    // Of a command that it does not know, Redis repeats the arguments: they are keys and passwords.
    const [said = ''] = messageOf(error).split(/,? with args beginning with/, 1)
    const text = said.replaceAll(/\s+/g, ' ').slice(0, 300)
    return this.#password === null ? text : text.replaceAll(this.#password, '***')
  }

  #tell(reason: string, what: string): void {
    if (this.#told.has(reason) || this.#told.size >= reasonsTold) return
    this.#told.add(reason)
    this.#log.warn({ store: this.#store, reason }, what)
  }
}

/** Redis has answered, and says no. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}

function messageOf(error: unknown): string {
  // localhost has two addresses: the error then holds one for each, and says nothing itself.
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0])
  if (!(error instanceof Error)) return String(error)
  return error.message || error.name
}

/** Where no node of a cluster can be had, the error says only that; why is in what the last of them said. */
export function rootOf(error: unknown): unknown {
  return error instanceof Error && 'lastNodeError' in error && error.lastNodeError instanceof Error
    ? error.lastNodeError
    : error
}
