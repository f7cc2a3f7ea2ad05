/** The slot of whoever calls: of a principal, or of an address where nobody said who it is. */
import type { Maybe, Reply } from 'postern/plugin'
import { heldBy, waited, type Held, type Limited } from './held.ts'
import { refuseCaller } from './refusal.ts'
import type { Slots } from './slots.ts'

export interface CallerLimits {
  readonly per_principal: number
  readonly per_client: number
  readonly wait: { readonly principal: number }
  readonly waiters: { readonly principal: number }
}

/** Lets an exchange in as soon as its caller has a slot for it, or refuses it. Once per exchange, however often it is asked. */
export function admission(slots: Slots, limits: CallerLimits): (exchange: Limited) => Maybe<Reply> {
  return (exchange) => {
    if (exchange.facts.slots?.isAdmitted) return undefined
    const limit = limitOf(exchange)
    return limit > 0 ? admit(exchange, heldBy(exchange), limit) : undefined
  }

  function limitOf({ facts: { principal } }: Limited): number {
    return principal === null ? limits.per_client : (principal.concurrency ?? limits.per_principal)
  }

  async function admit(exchange: Limited, held: Held, limit: number): Promise<Reply | undefined> {
    held.isAdmitted = true
    const key = keyOf(exchange)
    const place = { key, limit }
    const patience = { timeout: limits.wait.principal, waiters: limit + limits.waiters.principal }
    const slot = (await slots.take(place)) ?? (await waited(held, slots.wait([place], patience, exchange)))
    if (typeof slot === 'string') return refuseCaller(slot)
    held.caller = slot
    return undefined
  }
}

/** All keys of one user have its slots in common. */
function keyOf({ facts: { principal }, client }: Limited): string {
  if (principal === null) return `slots:client:${client}`
  return principal.userId === null ? `slots:principal:${principal.id}` : `slots:user:${principal.userId}`
}
