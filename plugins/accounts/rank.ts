/** Who of the candidates may be asked for a caller: those of its group that do not rest, on the group's route for the model. */
import type { Exchange, Fact, Upstream } from 'postern/plugin'
import type { Roster } from './roster.ts'

export type Read = 'principal' | 'model' | 'provider'
type Asks = Exchange<Read & Fact, never>

/** Reasons are told for so many of them at most: nobody reads more, and each takes as long as there are some already. */
const mostReasons = 20

export class Ranking {
  readonly #roster: Roster
  /** Lists that come again and again: what is left of each for a group, by the set that is hidden from it. */
  readonly #sifted = new WeakMap<readonly Upstream[], { hidden: ReadonlySet<Upstream>; left: readonly Upstream[] }>()

  constructor(roster: Roster) {
    this.#roster = roster
  }

  /** The candidates that are left, in their order. Nothing is said of accounts that belong to others: not even that they are there. */
  rank(exchange: Asks, candidates: readonly Upstream[]): readonly Upstream[] {
    const group = exchange.facts.principal?.groupId ?? null
    const hidden = this.#roster.hiddenFrom(group)
    const own = hidden.size === 0 ? candidates : this.#own(candidates, hidden)
    const awake = this.#roster.hasChanging ? this.#awake(exchange, own) : own
    return this.#routed(exchange, group, this.#withAddress(exchange, awake))
  }

  #own(candidates: readonly Upstream[], hidden: ReadonlySet<Upstream>): readonly Upstream[] {
    const known = this.#sifted.get(candidates)
    if (known?.hidden === hidden) return known.left
    const left = candidates.filter((candidate) => !hidden.has(candidate))
    this.#sifted.set(candidates, { hidden, left })
    return left
  }

  #awake(exchange: Asks, candidates: readonly Upstream[]): readonly Upstream[] {
    if (!candidates.some((candidate) => this.#roster.isChanging(candidate))) return candidates
    const now = Date.now()
    let told = 0
    return candidates.filter((candidate) => {
      const absence = this.#absence(candidate, exchange.facts.model, now)
      if (!absence) return true
      if (told++ < mostReasons) exchange.passOver(candidate, absence.reason, absence)
      return false
    })
  }

  #absence(upstream: Upstream, model: string | null, now: number): Absence | null {
    const account = this.#roster.accountOf(upstream)
    if (!account) return null
    if (account.expiresAt <= now) return { reason: 'has expired' }
    const { rest } = account
    const ofModel = model === null ? 0 : (account.modelRests?.get(model) ?? 0)
    const until = Math.max(rest?.until ?? 0, ofModel)
    if (until <= now) return null
    const wait = until - now
    const isLimited = ofModel >= (rest?.until ?? 0) || rest?.isLimited === true
    return { reason: `is resting (${Math.ceil(wait / 1000)} s)`, wait, isLimited }
  }

  /** An account without an address, of a provider without one, can be asked nowhere. */
  #withAddress(exchange: Asks, candidates: readonly Upstream[]): readonly Upstream[] {
    if (exchange.facts.provider?.url !== null) return candidates
    return candidates.filter((candidate) => {
      if (candidate.url) return true
      exchange.passOver(candidate, 'has no address')
      return false
    })
  }

  /** Where everybody on the route has failed, or rests, the others of the group are asked. */
  #routed(exchange: Asks, group: number | null, candidates: readonly Upstream[]): readonly Upstream[] {
    const { model } = exchange.facts
    const ids = model === null ? null : this.#roster.routerFor(group)?.accountsFor(model)
    if (!ids) return candidates
    const routed = candidates.filter((candidate) => {
      const id = this.#roster.accountOf(candidate)?.id
      return id !== undefined && ids.has(id) && !exchange.failures.some(({ upstream }) => upstream === candidate)
    })
    return routed.length > 0 ? routed : candidates
  }
}

interface Absence {
  readonly reason: string
  readonly wait?: number
  readonly isLimited?: boolean
}
