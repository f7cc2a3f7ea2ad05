/** Numbers that look random and are the same for the same seed: a run can be repeated. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A whole number from 0 to below `limit`, which is at most 2³². By mulberry32: 1 ns, and good enough to choose among bytes. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }

  /** One of them; the list may not be empty. */
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]! // it is within
  }

  /** A length that is mostly short. */
  length(limit: number): number {
    return this.below(this.below(Math.max(1, limit)) + 1)
  }
}
