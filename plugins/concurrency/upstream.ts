/** The slot of the upstream that is asked: who is full is asked last, and nobody is asked without one. */
import { retry, shortlist, type Maybe, type Reply, type Retry, type Slot, type Upstream } from 'postern/plugin'
import { heldBy, waited, type Held, type Limited } from './held.ts'
import type { Load } from './load.ts'
import { refuseUpstream, type NoSlot } from './refusal.ts'
import type { Place, Slots } from './slots.ts'

export interface UpstreamWaits {
  readonly wait: { readonly upstream: number; readonly pinned: number }
  readonly waiters: { readonly upstream: number; readonly pinned: number }
}

/** How often an exchange goes on to another upstream for want of a slot before it waits. */
const mostPasses = 8

export class UpstreamSlots {
  readonly #slots: Slots
  readonly #load: Load
  readonly #waits: UpstreamWaits
  readonly #tellsLoad: boolean

  /** `tellsLoad`: whether anybody reads the fact. */
  constructor(slots: Slots, load: Load, waits: UpstreamWaits, tellsLoad: boolean) {
    this.#slots = slots
    this.#load = load
    this.#waits = waits
    this.#tellsLoad = tellsLoad
  }

  /** The candidates with those that are full at the end, otherwise in their order. */
  rank(exchange: Limited, candidates: readonly Upstream[]): readonly Upstream[] | Promise<readonly Upstream[]> {
    const { facts } = exchange
    // A slot that was waited for is kept for the upstream that had it.
    if (facts.slots && !facts.slots.isPassedOn) this.release(facts.slots)
    const some = shortlist(candidates, facts.session ?? exchange.id)
    if (some.every(({ slots }) => slots === null)) {
      facts.load = null
      return candidates
    }
    const held = heldBy(exchange)
    // There is nothing to choose from: the slot itself will say whether it is free.
    if (candidates.length === 1 && !this.#tellsLoad) {
      held.candidates = candidates
      return candidates
    }
    return this.#rank(exchange, held, candidates, some)
  }

  /** Takes a slot of the upstream that was chosen, now or later; a retry where another one has one sooner. */
  take(exchange: Limited): Maybe<Reply | Retry> {
    const { upstream, facts } = exchange
    const held = facts.slots
    if (held) {
      held.isPassedOn = false
      if (held.asked && held.asked.upstream === upstream) return undefined
      this.release(held)
    }
    if (upstream === null || upstream.slots === null) return undefined
    return this.#take(exchange, heldBy(exchange), upstream)
  }

  /** Gives back the slot of the latest attempt. */
  release(held: Held): void {
    if (held.asked === null) return
    this.#slots.release(held.asked.slot)
    this.#load.gaveBack(held.asked.upstream)
    held.asked = null
  }

  /** By the loads of `some` of them; by those of all, where all of these are full. */
  #rank(exchange: Limited, held: Held, candidates: readonly Upstream[], some: readonly Upstream[]): Ranking {
    held.candidates = some
    const reading = this.#load.refresh(some)
    const order = () => this.#order(exchange, held, candidates, some)
    return reading === null ? order() : reading.then(order)
  }

  #order(exchange: Limited, held: Held, candidates: readonly Upstream[], some: readonly Upstream[]): Ranking {
    const { facts } = exchange
    const { full, asked } = held
    const loads = some.map((one) => {
      // It has a slot for this exchange already.
      if (one === asked?.upstream) return 0
      const load = this.#load.of(one)
      return full.includes(one) ? Math.max(1, load) : load
    })
    if (this.#tellsLoad) facts.load = new Map(some.map((one, at) => [one, loads[at] ?? 0]))
    // Whoever is bound to one upstream waits for that one.
    if (facts.pin?.isHard || loads.every((load) => load < 1)) return candidates
    const isFree = (_: Upstream, at: number) => loads[at]! < 1
    if (some === candidates) return [...candidates.filter(isFree), ...candidates.filter((one, at) => !isFree(one, at))]
    if (loads[0]! < 1) return candidates
    const free = some.find(isFree)
    // From here on each is looked at: of a list that answers for a copy, that copy is made once.
    const all = [...candidates]
    return free ? withFirst(all, free) : this.#rank(exchange, held, all, all)
  }

  async #take(exchange: Limited, held: Held, upstream: Upstream): Promise<Reply | Retry | undefined> {
    const slot = await this.#slots.take(this.#load.place(upstream))
    if (slot !== null) {
      this.#hold(held, upstream, slot)
      return undefined
    }
    this.#load.isFull(upstream)
    const others = this.#others(exchange, held, upstream)
    if (others.some((one) => this.#load.of(one) < 1)) return passOn(held, upstream)
    const won = await waited(held, this.#wait(exchange, upstream, others))
    if (typeof won === 'string') return refuseUpstream(won, upstream, exchange)
    const winner = others.find((one) => this.#load.place(one).key === won.key) ?? upstream
    this.#hold(held, winner, won)
    return winner === upstream ? undefined : passOn(held, upstream)
  }

  #hold(held: Held, upstream: Upstream, slot: Slot): void {
    held.asked = { slot, upstream }
    this.#load.took(upstream)
  }

  /** Who may be asked instead. */
  #others({ facts, failures, passedOver }: Limited, held: Held, upstream: Upstream): readonly Upstream[] {
    if (held.full.length >= mostPasses || facts.pin?.isHard) return []
    return held.candidates.filter(
      (one) =>
        one !== upstream &&
        !held.full.includes(one) &&
        !failures.some((failure) => failure.upstream === one) &&
        !passedOver.some((passed) => passed.upstream === one),
    )
  }

  /** A pinned exchange waits longer, among fewer; where those are enough already, a soft pin is nothing to wait for. */
  async #wait(exchange: Limited, upstream: Upstream, others: readonly Upstream[]): Promise<Slot | NoSlot> {
    const { wait, waiters } = this.#waits
    const places: readonly [Place, ...Place[]] = [
      this.#load.place(upstream),
      ...others.map((one) => this.#load.place(one)),
    ]
    const pin = exchange.facts.pin?.upstream === upstream.name ? exchange.facts.pin : null
    if (pin !== null) {
      const pinned = await this.#slots.wait(places, { timeout: wait.pinned, waiters: waiters.pinned }, exchange)
      if (pinned !== 'queue full' || pin.isHard) return pinned
    }
    return this.#slots.wait(places, { timeout: wait.upstream, waiters: waiters.upstream }, exchange)
  }
}

type Ranking = readonly Upstream[] | Promise<readonly Upstream[]>

/** Of thousands only the first one matters: each attempt ranks anew. */
function withFirst(candidates: readonly Upstream[], first: Upstream): readonly Upstream[] {
  const at = candidates.indexOf(first)
  return [first].concat(candidates.slice(0, at), candidates.slice(at + 1))
}

/** Lets the next ranking choose somebody else. */
function passOn(held: Held, upstream: Upstream): Retry {
  held.full = [...held.full, upstream]
  held.isPassedOn = true
  return retry()
}
