/** What waits to be sent: bounded, in batches, tried again where the collector may take it later, and never in anybody's way. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from 'postern/plugin'
import type { Outcome } from './post.ts'

export interface OutboxOptions<T> {
  /** Items that may wait. */
  readonly capacity: number
  /** Items that are sent at once. */
  readonly batch: number
  /** In ms, from the end of the gateway until what still waits is given up. */
  readonly flush: number
  readonly send: (items: readonly T[], signal: AbortSignal) => Promise<Outcome>
  readonly count: (outcome: 'sent' | 'dropped' | 'refused' | 'lost', items: number) => void
  readonly log: Log
  /** Aborted when the gateway ends. */
  readonly signal: AbortSignal
}

/** Tries of one batch: 1, 2, 4 and 8 s apart, as the SDKs' exporters do. */
const mostTries = 5
const firstPause = 1000
/** A collector that asks for more than this is not waited for, in ms. */
const longestPause = 30_000
/** That items are lost is said at most this often, in ms. */
const complaintsEvery = 60_000

export class Outbox<T> {
  readonly #options: OutboxOptions<T>
  #waiting: T[] = []
  #sending: Promise<void> | null = null
  /** Aborted when time is up for what waits. */
  readonly #over = new AbortController()
  #lost = 0
  #saidAt = Number.NEGATIVE_INFINITY

  constructor(options: OutboxOptions<T>) {
    this.#options = options
  }

  get length(): number {
    return this.#waiting.length
  }

  /** Takes an item, or counts it as dropped: nobody waits. */
  push(item: T): void {
    const { capacity, batch } = this.#options
    if (this.#waiting.length >= capacity) return this.#lose('dropped', 1, 'the queue is full')
    this.#waiting.push(item)
    if (this.#waiting.length >= batch && this.#sending === null) void this.send()
  }

  /** Sends what waits; resolves when all of it is sent or given up. Never rejects. */
  send(): Promise<void> {
    this.#sending ??= this.#sendAll().then(() => {
      this.#sending = null
    })
    return this.#sending
  }

  /** The last time: what the collector has not taken within `flush` is lost. */
  async end(): Promise<void> {
    const timer = setTimeout(() => this.#over.abort(), this.#options.flush)
    // What came while the batch before it was sent, too.
    while (this.#sending !== null || this.#waiting.length > 0) await this.send()
    clearTimeout(timer)
  }

  async #sendAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#deliver(this.#waiting.splice(0, this.#options.batch))
    }
  }

  async #deliver(items: readonly T[]): Promise<void> {
    const { send, count } = this.#options
    let reason = 'there was no time left'
    for (let tries = 1; tries <= mostTries && !this.#over.signal.aborted; tries++) {
      const outcome = await send(items, this.#over.signal)
      if (outcome.kind === 'taken') {
        count('sent', items.length - Math.min(items.length, outcome.refused))
        if (outcome.refused > 0) this.#lose('refused', Math.min(items.length, outcome.refused), 'partly refused')
        return
      }
      reason = outcome.reason
      if (outcome.kind === 'refused') return this.#lose('refused', items.length, reason)
      if ((outcome.after ?? 0) > longestPause || tries === mostTries) break
      await this.#pause(outcome.after ?? firstPause * 2 ** (tries - 1) * (0.5 + Math.random() / 2))
    }
    this.#lose('lost', items.length, reason)
  }

  /** Waits; a gateway that ends while it does wakes it, and the batch has one more chance. */
  async #pause(ms: number): Promise<void> {
    const { signal } = this.#options
    const isEnding = signal.aborted
    const wake = AbortSignal.any(isEnding ? [this.#over.signal] : [this.#over.signal, signal])
    await sleep(ms, undefined, { signal: wake, ref: false }).catch(() => {})
  }

  #lose(outcome: 'dropped' | 'refused' | 'lost', items: number, reason: string): void {
    this.#options.count(outcome, items)
    this.#lost += items
    if (performance.now() - this.#saidAt < complaintsEvery) return
    this.#saidAt = performance.now()
    this.#options.log.warn({ lost: this.#lost, reason }, 'telemetry was lost: the collector did not take it')
    this.#lost = 0
  }
}
