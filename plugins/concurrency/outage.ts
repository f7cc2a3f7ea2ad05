/** A store that cannot be asked: exchanges go on without limits, which is told of once. */
import type { Log, Store } from 'postern/plugin'

/** Trouble that comes and goes is told of no more often than this, in ms. */
const tellEvery = 60_000

export class Outage {
  readonly #store: Store
  readonly #log: Log
  /** Called when it begins. */
  readonly #began: () => void
  /** Called when the store answers again. */
  readonly whenOver = new Set<() => void>()
  /** Null while the store answers. */
  #since: number | null = null
  #toldAt = -Infinity
  #unlimited = 0

  constructor(store: Store, log: Log, began: () => void) {
    this.#store = store
    this.#log = log
    this.#began = began
  }

  /**
   * What the store says to `question`, or `without` where it cannot be asked. Never rejects, and takes no longer than the store's
   * own time limit; a store that is known to be down says so at once.
   */
  async ask<T>(question: (store: Store) => Promise<T>, without: T): Promise<T> {
    try {
      const answer = await question(this.#store)
      // Of a cluster, some nodes answer while others do not.
      if (this.#since !== null && this.#store.health.isUp) this.#end(this.#since)
      return answer
    } catch (error) {
      if (this.#since === null) this.#begin(error)
      return without
    }
  }

  /** An exchange went on without its slot. */
  count(): void {
    this.#unlimited++
  }

  #begin(error: unknown): void {
    const now = performance.now()
    this.#since = now
    if (now - this.#toldAt > tellEvery) {
      this.#toldAt = now
      this.#log.warn({ err: error }, 'the store cannot be asked: exchanges are not limited until it can')
    }
    this.#began()
  }

  #end(since: number): void {
    this.#since = null
    const fields = { ms: Math.round(performance.now() - since), unlimited: this.#unlimited }
    this.#unlimited = 0
    this.#log.info(fields, 'the store answers again: exchanges are limited')
    for (const listener of this.whenOver) listener()
  }
}
