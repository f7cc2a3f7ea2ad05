/** Lets an exchange in if its payer has enough left for the most it may cost, and keeps that much for it. */
import type { Access, Principal, Standing } from 'postern/access'
import { refuse, type Body, type Exchange, type Refusal } from 'postern/plugin'
import { multiplierOf } from './cost.ts'
import type { Meter } from './meter.ts'
import type { PriceTable } from './prices.ts'
import { estimate, type ReserveOptions } from './reserve.ts'

type Entering = Pick<Exchange<'principal' | 'model' | 'provider' | 'claim', never>, 'facts' | 'log' | 'method'>

export class Admission {
  readonly #access: Access | null
  readonly #prices: PriceTable
  readonly #options: ReserveOptions

  /** Without access nobody pays, and everybody is let in. */
  constructor(access: Access | null, prices: PriceTable, options: ReserveOptions) {
    this.#access = access
    this.#prices = prices
    this.#options = options
  }

  /** At once, but for a payer that was never looked up: the auth plugin has done that, and its answer is remembered. */
  admit(exchange: Entering, meter: Meter, body: Body): Refusal | undefined | Promise<Refusal | undefined> {
    const { principal } = exchange.facts
    if (!this.#access || !principal || principal.billing === 'none') {
      meter.reserved ??= 0n
      return undefined
    }
    const standing = this.#access.standingOf(principal)
    // What only looks something up is promised nothing, but pays for what it finds: a response that was done meanwhile.
    if (exchange.method !== 'POST') {
      meter.reserved = 0n
      if (!(standing instanceof Promise)) meter.standing = standing
      else standing.catch(() => {})
      return undefined
    }
    if (!(standing instanceof Promise)) return this.#reserve(exchange, principal, meter, body, standing)
    return standing.then(
      (known) => this.#reserve(exchange, principal, meter, body, known),
      (error: unknown) => {
        exchange.log.warn({ err: error }, 'nobody knows what a caller has left')
        return refuse(503, 'BILLING_UNAVAILABLE', 'Billing service temporarily unavailable. Please retry later.')
      },
    )
  }

  #reserve(
    exchange: Entering,
    principal: Principal,
    meter: Meter,
    body: Body,
    standing: Standing,
  ): Refusal | undefined {
    // Each turn of a connection is promised its own, and gives back what the one before has left.
    if (meter.reserved !== null) meter.standing?.settle(meter.reserved, 0n)
    meter.reserved = null
    meter.standing = null
    const price = this.#prices.find(null, modelOf(exchange, body))
    const amount = estimate(body, price, multiplierFor(principal), this.#options)
    if (!standing.reserve(amount)) return refuse(403, 'INSUFFICIENT_BALANCE', 'Insufficient account balance')
    // A subscription says no only when it is asked: with this promise counted.
    const denial = standing.check(Date.now())
    if (denial && principal.billing === 'subscription') {
      standing.settle(amount, 0n)
      return refuse(denial.status, denial.code, denial.message)
    }
    meter.reserved = amount
    meter.standing = standing
    return undefined
  }
}

/** A provider that stands further down the list has not looked yet. */
function modelOf({ facts: { model, claim, provider } }: Entering, body: Body): string | null {
  const field = provider?.dialect.fields.model
  const asked = model ?? claim?.model ?? (field !== undefined && body.kind === 'json' ? body.get(field) : null)
  return typeof asked === 'string' ? asked : null
}

/** Subscriptions count what an exchange costs, whatever the group's multiplier. */
function multiplierFor({ billing, rateMultiplier }: Principal): bigint {
  return multiplierOf(billing === 'subscription' ? '1' : rateMultiplier)
}
