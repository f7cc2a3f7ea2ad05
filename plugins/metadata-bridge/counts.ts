/** Fallback reads per day: while there are any, some app still sends what it should no longer have to. */
import type { Log, Store } from 'postern/plugin'
import type { Field } from './fields.ts'

/** `gate:{DAY}:COUNTER`; the day is UTC, in braces so that a cluster keeps it on one node. `postern gates` reads the first two. */
export function countKey(day: string, counter: Counter): string {
  return `gate:{${day}}:${counter}`
}

/** Exchanges, fallback reads, and those of each field. */
export type Counter = 'metadata_reads' | 'metadata_fallback' | `metadata_fallback_${Field}`

/** How long a day is kept, in ms. */
const kept = 40 * 24 * 60 * 60 * 1000

export class Counts {
  /** Of the newest gateway. */
  store: Store
  readonly #log: Log
  readonly #counted = new Map<Counter, number>()

  constructor(store: Store, log: Log) {
    this.store = store
    this.#log = log
  }

  add(counter: Counter, by = 1): void {
    this.#counted.set(counter, (this.#counted.get(counter) ?? 0) + by)
  }

  /** Adds what was counted since the last time to the day's sums; what the store does not take waits for the next time. */
  async flush(): Promise<void> {
    const day = new Date().toISOString().slice(0, 10)
    const counted = [...this.#counted]
    this.#counted.clear()
    const fallbacks = counted.filter(([counter]) => counter !== 'metadata_reads')
    if (fallbacks.length > 0) this.#log.info(Object.fromEntries(fallbacks), 'metadata was read from the headers of old')
    await Promise.all(
      counted.map(([counter, by]) =>
        this.store.increment(countKey(day, counter), by, kept).catch(() => this.add(counter, by)),
      ),
    )
  }
}
