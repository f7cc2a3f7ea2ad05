/** Counts per day, for the gates of the compatibility switches: collected in memory, added to the store every few seconds. */
import type { Log, Store } from 'postern/plugin'

/** What is counted. `postern gates` reads the same names. */
export const counters = [
  /** Look-ups, one for each exchange that has a session. */
  'sticky_reads',
  /** Look-ups that did not find the new key and asked for the old one. */
  'fallback_total',
  /** … and found it. */
  'fallback_hit',
  /** Bindings written or put off. */
  'writes',
  /** … under the old key as well. */
  'dual_writes',
  /** Sessions that went on at another upstream. */
  'moves',
  /** The old and the new key named different upstreams, or the switches were set out of order. */
  'alerts',
  /** Commands that the store did not carry out. */
  'store_errors',
] as const
export type Counter = (typeof counters)[number]

/** `gate:{DAY}:COUNTER`; the day is UTC, such as 2026-03-01, in braces so that a cluster keeps it on one node. */
export function counterKey(day: string, counter: Counter): string {
  return `gate:{${day}}:${counter}`
}

/** How long a day is kept, in ms: the gates look at the last seven, and people look further back. */
const kept = 40 * 24 * 60 * 60 * 1000

/** A session about which the two keys disagree. */
export interface Disagreement {
  readonly key: string
  readonly upstream: string
  /** What the old key says: the name of an upstream, or an account that nobody has named. */
  readonly old: string
}

export class Counters {
  readonly #store: Pick<Store, 'increment'>
  readonly #log: Log
  readonly #tellEvent: (event: Counter | 'hits') => void
  readonly #counts = new Map<Counter, number>()
  /** Failures and disagreements that no line of the log has told yet. */
  #failures = 0
  #disagreements = 0
  #latest: Disagreement | null = null

  /** `tell` hears of each event as it happens. */
  constructor(store: Pick<Store, 'increment'>, log: Log, tell: (event: Counter | 'hits') => void = () => {}) {
    this.#store = store
    this.#log = log
    this.#tellEvent = tell
  }

  /** A look-up has found a session's upstream; only operators are told of it. */
  hit(): void {
    this.#tellEvent('hits')
  }

  add(counter: Counter): void {
    this.#put(counter, 1)
    this.#tellEvent(counter)
    if (counter === 'store_errors') this.#failures++
  }

  /** The old and the new key of a session name different upstreams. */
  disagree(latest: Disagreement): void {
    this.add('alerts')
    this.#disagreements++
    this.#latest = latest
  }

  /**
   * Adds what was counted since the last time. What the store does not take is kept for the next time; what is counted in the last
   * seconds of a day may be added to the next one.
   */
  async flush(): Promise<void> {
    const day = new Date().toISOString().slice(0, 10)
    const counted = [...this.#counts]
    this.#counts.clear()
    this.#tell()
    await Promise.all(
      counted.map(([counter, by]) =>
        this.#store.increment(counterKey(day, counter), by, kept).catch(() => this.#put(counter, by)),
      ),
    )
  }

  /** A line for each kind, however often it happened. */
  #tell(): void {
    if (this.#failures > 0) {
      this.#log.warn({ store_errors: this.#failures }, 'the store did not answer: sessions are not held meanwhile')
      this.#failures = 0
    }
    if (this.#disagreements > 0) {
      this.#log.warn(
        { alerts: this.#disagreements, latest: this.#latest },
        'old session keys name other upstreams than the new ones: an old system moves sessions, or legacy_accounts lacks one of its accounts',
      )
      this.#disagreements = 0
    }
  }

  #put(counter: Counter, by: number): void {
    this.#counts.set(counter, (this.#counts.get(counter) ?? 0) + by)
  }
}
