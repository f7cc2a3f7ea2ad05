/** A retry budget: retries are a share of the traffic, plus a few a second, and never more. */

/** So many seconds' worth of the floor can be saved up. */
const saved = 10

export class RetryBudget {
  #share: number
  #floor: number
  #tokens: number
  #filledAt: number

  /** `share`: retries per exchange; `floor`: retries per second that are always there; `now` in ms. */
  constructor(share: number, floor: number, now: number) {
    this.#share = share
    this.#floor = floor
    this.#tokens = floor * saved
    this.#filledAt = now
  }

  /** Other figures from now on: the budget outlives a reload. */
  limitTo(share: number, floor: number): void {
    this.#share = share
    this.#floor = floor
  }

  /** An exchange has begun. */
  deposit(): void {
    this.#tokens = Math.min(this.#most, this.#tokens + this.#share)
  }

  get #most(): number {
    return Math.max(this.#floor * saved, 1)
  }

  /** Whether one more retry may be made; if so, it is counted. */
  take(now: number): boolean {
    const seconds = Math.max(0, now - this.#filledAt) / 1000
    this.#filledAt = now
    this.#tokens = Math.min(this.#most, this.#tokens + seconds * this.#floor)
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
