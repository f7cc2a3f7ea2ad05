/**
 * The slots that this process holds. A slot is a lease: its owner renews it while the exchange lasts, however long a stream that is;
 * what a process that died held ends by itself.
 */
import { randomBytes } from 'node:crypto'
import type { Exchange, Log, PluginContext, Queue, Slot, Store } from 'postern/plugin'
import { Outage } from './outage.ts'
import type { NoSlot } from './refusal.ts'
import { metricsOf, ownerOf, type SlotMetrics } from './metrics.ts'
import { Lines } from './waiting.ts'

/** Releases that may wait, for a worker or for the end of an outage; what does not fit is left to the end of its lease. */
const releases = { capacity: 100_000, workers: 64 } as const

/** Whatever has so many slots: a caller, an upstream. */
export interface Place {
  readonly key: string
  readonly limit: number
}

/** How long somebody waits, and among how many. */
export interface Patience {
  /** In ms. */
  readonly timeout: number
  readonly waiters: number
}

/** What all gateways of a process have in common at one store: who they are, who waits, and whether the store answers. */
export class Holder {
  /** The random beginning of every id of this process. */
  readonly prefix = `r${randomBytes(8).readBigUInt64BE().toString(36)}`
  readonly lines = new Lines()
  readonly outage: Outage
  #count = 0

  constructor(store: Store, log: Log) {
    this.outage = new Outage(store, log, () => this.lines.wakeAll())
  }

  /** An id that no other slot of any process has. */
  nextId(): string {
    return `${this.prefix}-${(this.#count++).toString(36)}`
  }
}

const stores = new WeakMap<Store, string>()
let opened = 0

/** Opens the holder of this process at the store, or takes the one that an earlier gateway opened. */
export function shareHolder(context: PluginContext<unknown>): Promise<Holder> {
  const { store, log } = context
  // A reload may have changed the store: who waits at the old one is no concern of the new one.
  const key = stores.get(store) ?? `holder ${++opened}`
  stores.set(store, key)
  return context.shared(
    key,
    () => new Holder(store, log),
    () => {},
  )
}

/** The slots of one gateway's exchanges. */
export class Slots {
  readonly #ttl: number
  readonly #holder: Holder
  readonly #held = new Set<Slot>()
  readonly #owners = new Map<string, number>()
  readonly #releases: Queue<Slot>
  readonly #metrics: SlotMetrics
  /** What an outage has kept from being released. */
  #late: Slot[] = []

  constructor(context: PluginContext<{ readonly ttl: number }>, holder: Holder) {
    this.#ttl = context.config.ttl
    this.#holder = holder
    this.#releases = context.queue(releases, (slot) => this.#giveBack(slot))
    context.every(this.#ttl / 3, () => this.#renew())
    this.#metrics = metricsOf(context.metrics)
    context.signal.addEventListener(
      'abort',
      context.metrics.onRender(() => this.#tell()),
      { once: true },
    )
    const releaseLate = () => this.#releaseLate()
    holder.outage.whenOver.add(releaseLate)
    context.signal.addEventListener('abort', () => holder.outage.whenOver.delete(releaseLate))
  }

  /** How many wait in this process for a slot of the key. */
  waiting(key: string): number {
    return this.#holder.lines.lengthOf(key)
  }

  /** Takes one; null where none is free or others wait already. Never rejects: without a store nothing is limited. */
  async take(place: Place): Promise<Slot | null> {
    return this.waiting(place.key) > 0 ? null : this.#attempt(place)
  }

  /**
   * Waits for one of the first place's, or of whichever of the others has one sooner. `queue full`: too many wait for the first
   * already. Rejects with the reason of `exchange.signal` when the exchange ends meanwhile.
   */
  async wait(
    [first, ...others]: readonly [Place, ...Place[]],
    { timeout, waiters }: Patience,
    exchange: Pick<Exchange, 'signal'>,
  ): Promise<Slot | NoSlot> {
    const hasRoom = ({ key }: Place) => this.waiting(key) < waiters
    const of = ownerOf(first.key)
    const began = performance.now()
    const ended = (outcome: string) =>
      this.#metrics.waits.with({ of, outcome }).observe((performance.now() - began) / 1000)
    if (!hasRoom(first)) {
      ended('full')
      return 'queue full'
    }
    const places = new Map([first, ...others.filter(hasRoom)].map((place) => [place.key, place]))
    const slot = await this.#holder.lines.join([...places.keys()], {
      attempt: (key) => this.#attempt(places.get(key)!),
      giveBack: (late) => this.release(late),
      timeout,
      signal: exchange.signal,
    })
    ended(slot === null ? 'timeout' : 'got')
    return slot ?? 'timeout'
  }

  /** Gives a slot back, once; nobody waits for the store. What cannot be released ends with its lease. */
  release(slot: Slot): void {
    if (this.#held.delete(slot)) this.#releases.push(slot)
  }

  /** As `Store.count`; null where the store cannot be asked. */
  count(keys: readonly string[]): Promise<number[] | null> {
    return this.#holder.outage.ask<number[] | null>((store) => store.count(keys), null)
  }

  async #attempt({ key, limit }: Place): Promise<Slot | null> {
    const { outage } = this.#holder
    const slot: Slot = { key, holder: this.#holder.nextId() }
    const isTaken = await outage.ask((store) => store.acquire(key, slot.holder, limit, this.#ttl), null)
    if (isTaken === false) return null
    // Without an answer it may have been taken or not. It counts as held: renewed, it is true again as soon as the store is there.
    if (isTaken === null) outage.count()
    this.#held.add(slot)
    return slot
  }

  async #giveBack(slot: Slot): Promise<void> {
    const { outage, lines } = this.#holder
    const isReleased = await outage.ask(async (store) => {
      await store.release(slot.key, slot.holder)
      return true
    }, false)
    if (isReleased) lines.wake(slot.key)
    else if (this.#late.length < releases.capacity) this.#late.push(slot)
  }

  /** Names that have none any more are told as 0. */
  #tell(): void {
    this.#metrics.waiting.set(this.#holder.lines.length)
    for (const of of this.#owners.keys()) this.#owners.set(of, 0)
    for (const { key } of this.#held) this.#owners.set(ownerOf(key), (this.#owners.get(ownerOf(key)) ?? 0) + 1)
    for (const [of, slots] of this.#owners) this.#metrics.held.with({ of }).set(slots)
  }

  #releaseLate(): void {
    const late = this.#late
    this.#late = []
    for (const slot of late) this.#releases.push(slot)
  }

  async #renew(): Promise<void> {
    this.#releaseLate()
    if (this.#held.size === 0) return
    await this.#holder.outage.ask((store) => store.renew([...this.#held], this.#ttl), undefined)
  }
}
