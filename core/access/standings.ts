/** Balances and subscriptions of those who call: read when first needed, read again in the background, never waited for twice. */
import type { Database } from '../database/database.ts'
import type { Log } from '../plugin.ts'
import { Cache } from './cache.ts'
import { patience, withDeadline } from './deadline.ts'
import type { Principal } from './principal.ts'
import { beginWindows, findBalance, findSubscription } from './records.ts'
import { Balance, free, Subscribed, unsubscribed, type Standing } from './standing.ts'
import { midnightBefore, windowNames, windows, type Subscription } from './subscription.ts'

/** Behaviour of the system this one follows: a standing is read again after 10 s. */
const freshFor = 10_000

/** With the database away, what was read last counts this long, in ms: nobody is refused for an outage of minutes. */
const staleFor = 300_000

/** Windows that wait to be begun; more are left for their next reading. */
const mostMaintenance = 1024
const workers = 2

type Known = Balance | Subscribed

export class Standings {
  readonly #database: Database
  readonly #log: Log
  readonly #known = new Map<string, Known>()
  readonly #reading = new Cache<Known>({ capacity: 0, ttl: 0, absentTtl: 0, patience })
  readonly #waiting: Subscription[] = []
  #working = 0
  #idle: (() => void) | null = null
  #isClosed = false

  constructor(database: Database, log: Log) {
    this.#database = database
    this.#log = log
  }

  /** What a caller has left. Rejects where nothing is known and the database cannot be asked. */
  of(principal: Principal): Standing | Promise<Standing> {
    const { billing, userId, groupId } = principal
    if (billing === 'none' || userId === null) return free
    const key = billing === 'balance' ? `user:${userId}` : `user:${userId}:${groupId}`
    const known = this.#known.get(key)
    if (!known) return this.#read(key, principal)
    const age = performance.now() - known.readAt
    if (age < freshFor) return known
    const reading = this.#read(key, principal)
    if (age >= staleFor) return reading
    reading.catch(() => {})
    return known
  }

  /** Everything is read again in the background when it is next needed. */
  age(): void {
    const old = performance.now() - freshFor
    for (const known of this.#known.values()) known.readAt = Math.min(known.readAt, old)
  }

  /** Everything is read again before it is used. */
  forget(): void {
    for (const [key, known] of this.#known) {
      if (known.isIdle) this.#known.delete(key)
      else known.readAt = -Infinity
    }
  }

  /** Resolves when the windows that waited were begun. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#working > 0) await new Promise<void>((resolve) => (this.#idle = resolve))
  }

  async #read(key: string, { billing, userId, groupId }: Principal): Promise<Standing> {
    const read = await this.#reading.load(key, async () => {
      const known = this.#known.get(key)
      const version = known?.version ?? 0
      const { query } = this.#database
      if (billing === 'balance') {
        const balance = (await withDeadline(findBalance(query, userId!))) ?? 0n // a user who has gone has nothing left
        if (known instanceof Balance) known.read(balance, version)
        return this.#keep(key, known ?? new Balance(userId!, balance))
      }
      const subscription = groupId === null ? null : await withDeadline(findSubscription(query, userId!, groupId))
      if (!subscription) return null
      if (known instanceof Subscribed) known.read(subscription, version)
      return this.#keep(key, known ?? new Subscribed(subscription, (one) => this.#maintain(one)))
    })
    return read ?? unsubscribed
  }

  /** Two who have read at the same time share what the first has kept. */
  #keep(key: string, read: Known): Known {
    const known = this.#known.get(key)
    if (known) return known
    this.#known.set(key, read)
    if (this.#known.size > mostKnown)
      for (const [other, one] of this.#known) if (one.isIdle) return this.#drop(other, read)
    return read
  }

  #drop(key: string, kept: Known): Known {
    this.#known.delete(key)
    return kept
  }

  /** Bounded, and never waited for: what does not fit is told again after its next reading. */
  #maintain(subscription: Subscription): void {
    if (this.#isClosed || this.#waiting.length >= mostMaintenance) return
    this.#waiting.push(subscription)
    if (this.#working < workers) void this.#work()
  }

  async #work(): Promise<void> {
    this.#working++
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const now = Date.now()
      const waiting = next
      const over = windowNames.filter((name) => {
        const { start } = waiting[name]
        return start === null || now - start >= windows[name]
      })
      try {
        await beginWindows(this.#database.query, next, midnightBefore(now), over)
        this.#known.get(`user:${next.userId}:${next.groupId}`)!.readAt = -Infinity
      } catch (error) {
        this.#log.warn({ err: error, subscription: next.id }, 'the windows of a subscription were not begun')
      }
    }
    if (--this.#working === 0) this.#idle?.()
  }
}

/** Standings kept at most, beside those in use. */
const mostKnown = 65_536
