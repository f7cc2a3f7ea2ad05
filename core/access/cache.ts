/** Answers that are remembered for a while: bounded, spread over time, one question at a time, and nobody waits for ever. */

export interface CacheOptions {
  /** Answers kept at most; beyond it the oldest go. */
  readonly capacity: number
  /** How long an answer counts, in ms; each one up to 10 % more or less, so that they do not all end at once. */
  readonly ttl: number
  /** How long the answer counts that there is nothing, in ms. */
  readonly absentTtl: number
  /** How long somebody waits for the question of another before asking for himself, in ms. */
  readonly patience: number
}

interface Kept<V> {
  readonly value: V | null
  readonly readAt: number
  endsAt: number
}

export class Cache<V> {
  readonly #options: CacheOptions
  readonly #kept = new Map<string, Kept<V>>()
  readonly #asking = new Map<string, Promise<V | null>>()
  /** Counts what was forgotten: an answer that was asked for before must not be kept after. */
  generation = 0
  hits = 0
  misses = 0

  constructor(options: CacheOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#kept.size
  }

  /** What is known; undefined where it has to be asked for. Null: it is known that there is nothing. */
  peek(key: string): V | null | undefined {
    const kept = this.#kept.get(key)
    if (kept && kept.endsAt > Date.now()) {
      this.hits++
      return kept.value
    }
    this.misses++
    return undefined
  }

  /**
   * Asks, once for all who want to know at the same time. `load` has limits of its own; who has waited for another's question for
   * `patience` asks himself. A question that fails is not remembered.
   */
  async load(key: string, load: () => Promise<V | null>): Promise<V | null> {
    const asked = this.#asking.get(key)
    if (!asked) return this.#ask(key, load)
    let timer: NodeJS.Timeout | undefined
    const tired = new Promise<typeof gaveUp>((resolve) => {
      timer = setTimeout(() => resolve(gaveUp), this.#options.patience)
    })
    try {
      const answer = await Promise.race([asked, tired])
      return answer === gaveUp ? await load() : answer
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * For when nobody can be asked: the value that was read last, if that is at most `most` ms ago. It then counts for `more` ms, so that
   * not everyone asks in vain. Null: there is none.
   */
  renew(key: string, most: number, more: number): V | null {
    const kept = this.#kept.get(key)
    const now = Date.now()
    if (!kept || kept.value === null || now - kept.readAt > most) return null
    kept.endsAt = Math.max(kept.endsAt, now + more)
    return kept.value
  }

  /** Every value that is kept, with its key. */
  *entries(): Generator<[string, V]> {
    for (const [key, { value }] of this.#kept) if (value !== null) yield [key, value]
  }

  forget(key: string): void {
    this.generation++
    this.#kept.delete(key)
    this.#asking.delete(key)
  }

  /** Something may have changed: everything is asked for again. */
  age(): void {
    this.generation++
    for (const kept of this.#kept.values()) kept.endsAt = 0
    this.#asking.clear()
  }

  clear(): void {
    this.generation++
    this.#kept.clear()
    this.#asking.clear()
  }

  #ask(key: string, load: () => Promise<V | null>): Promise<V | null> {
    const generation = this.generation
    const asking = load()
      .then((value) => {
        if (generation === this.generation) this.#keep(key, value)
        return value
      })
      .finally(() => {
        if (this.#asking.get(key) === asking) this.#asking.delete(key)
      })
    this.#asking.set(key, asking)
    return asking
  }

  #keep(key: string, value: V | null): void {
    const { capacity, ttl, absentTtl } = this.#options
    this.#kept.delete(key)
    const readAt = Date.now()
    this.#kept.set(key, { value, readAt, endsAt: readAt + jittered(value === null ? absentTtl : ttl) })
    if (this.#kept.size <= capacity) return
    const [oldest] = this.#kept.keys()
    if (oldest !== undefined) this.#kept.delete(oldest)
  }
}

const gaveUp = Symbol('gave up')

/** Up to 10 % more or less. */
export function jittered(ms: number): number {
  return ms * (0.9 + Math.random() * 0.2)
}
