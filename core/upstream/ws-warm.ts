/** How many connections a lane should have before they are asked for, and when one more may be opened. */
import type { LaneLimits } from './ws-lane-spec.ts'

/** Milliseconds between two beginnings, so that a burst of acquisitions asks once. */
const cooldown = 300
/** Two handshakes in vain within these milliseconds, and the upstream is left alone until they have passed. */
const failureWindow = 30_000
const failuresAllowed = 2

/** Connections that a lane should have, in use or not, while `demand` are lent or waited for. */
export function wantedConnections(demand: number, limits: LaneLimits): number {
  // A single user at a time needs no second connection.
  const wanted = demand <= 1 ? demand : Math.ceil(demand / limits.utilization)
  return Math.min(limits.max, Math.max(limits.minIdle, wanted))
}

/** One handshake at a time, and none against an upstream that refuses them. */
export class Warmer {
  #isBusy = false
  #notBefore = Number.NEGATIVE_INFINITY
  #failures = 0
  #failedAt = Number.NEGATIVE_INFINITY

  /** `isNext` for the next one of a row: the cooldown is for the beginnings of rows. */
  mayBegin(now: number, isNext: boolean): boolean {
    if (this.#isBusy || (now < this.#notBefore && !isNext)) return false
    return this.#failures < failuresAllowed || now - this.#failedAt >= failureWindow
  }

  began(now: number): void {
    this.#isBusy = true
    this.#notBefore = now + cooldown
  }

  ended(): void {
    this.#isBusy = false
  }

  failed(now: number): void {
    this.#isBusy = false
    this.#failures = now - this.#failedAt < failureWindow ? this.#failures + 1 : 1
    this.#failedAt = now
  }
}
