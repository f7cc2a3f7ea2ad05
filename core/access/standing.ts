/** What a caller has left to spend, as far as this process knows: what was read, less what was spent and promised here since. */
import { validateAndCheckLimits, type Subscription } from './subscription.ts'
import { deny, type Denial } from './verify.ts'

/** Amounts are units of 10⁻¹⁰ USD. */
export interface Standing {
  /** Why it cannot pay for an exchange that begins `now` (ms since the epoch); null: it can. */
  check(now: number): Denial | null
  /** Promises this much to an exchange; false where it is not there. */
  reserve(amount: bigint): boolean
  /** An exchange has ended: what it was promised is free again, what it cost is owed until the database has it. */
  settle(reserved: bigint, cost: bigint): void
  /** The database has taken what was owed. */
  confirm(cost: bigint): void
}

/** It pays nothing. */
export const free: Standing = Object.freeze({ check: () => null, reserve: () => true, settle() {}, confirm() {} })

/** It should pay with a subscription and has none. */
export const unsubscribed: Standing = Object.freeze({ ...free, check: () => deny('SUBSCRIPTION_NOT_FOUND') })

/** What all that is spent has in common: promises, debts, and the age of what was read. */
abstract class Spending {
  reserved = 0n
  owed = 0n
  /** `performance.now()` of the last reading. */
  readAt = performance.now()
  /** Counts confirmations: a reading that one has overtaken may not have seen it. */
  version = 0

  settle(reserved: bigint, cost: bigint): void {
    this.reserved -= reserved
    this.owed += cost
  }

  /** Nothing here would be lost with it. */
  get isIdle(): boolean {
    return this.reserved === 0n && this.owed === 0n
  }
}

/** A wallet. */
export class Balance extends Spending implements Standing {
  readonly userId: number
  balance: bigint

  constructor(userId: number, balance: bigint) {
    super()
    this.userId = userId
    this.balance = balance
  }

  get available(): bigint {
    return this.balance - this.owed - this.reserved
  }

  check(): Denial | null {
    return this.available > 0n ? null : deny('INSUFFICIENT_BALANCE')
  }

  reserve(amount: bigint): boolean {
    if (this.available < amount) return false
    this.reserved += amount
    return true
  }

  confirm(cost: bigint): void {
    this.owed -= cost
    this.balance -= cost
    this.version++
  }

  /** A reading that began at `version`. Where a debit has overtaken it, the lower number is the safe one. */
  read(balance: bigint, version: number): void {
    this.balance = version === this.version || balance < this.balance ? balance : this.balance
    this.readAt = performance.now()
  }
}

/** A subscription. */
export class Subscribed extends Spending implements Standing {
  subscription: Subscription
  readonly #maintain: (subscription: Subscription) => void
  /** Confirmed since the last reading. */
  #spent = 0n
  #wasTold = false

  /** `maintain` is told once per reading that a window has to be begun in the database. */
  constructor(subscription: Subscription, maintain: (subscription: Subscription) => void) {
    super()
    this.subscription = subscription
    this.#maintain = maintain
  }

  check(now: number): Denial | null {
    const more = this.#spent + this.owed + this.reserved
    const { denial, needsMaintenance } = validateAndCheckLimits(this.subscription, now, more)
    if (needsMaintenance && !this.#wasTold) {
      this.#wasTold = true
      this.#maintain(this.subscription)
    }
    return denial
  }

  reserve(amount: bigint): boolean {
    this.reserved += amount
    return true
  }

  confirm(cost: bigint): void {
    this.owed -= cost
    this.#spent += cost
    this.version++
  }

  read(subscription: Subscription, version: number): void {
    this.subscription = subscription
    // What has overtaken the reading counts twice until the next one: on the safe side.
    if (version === this.version) this.#spent = 0n
    this.#wasTold = false
    this.readAt = performance.now()
  }
}
