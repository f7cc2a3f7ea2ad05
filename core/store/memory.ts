/** The store of a single sidecar: in memory, bounded, gone with the process. Ends of life are looked at on use and by a sweep. */
import { getHeapStatistics } from 'node:v8'
import type { Log } from '../plugin.ts'
import { lifetime } from './lifetime.ts'
import { Listeners, type Listener } from './listeners.ts'
import { Oldest } from './oldest.ts'
import { StoreDown, type Slot, type Store, type StoreEntry, type StoreHealth } from './store.ts'

export interface MemoryStoreOptions {
  /** Values that are kept at most, and keys that hold slots; beyond it the ones that were written first go. */
  readonly capacity?: number
  /** Characters of keys and values that are kept at most, likewise. */
  readonly room?: number
  /** The clock, in ms; for tests. */
  readonly now?: () => number
  /** Is told of listeners that throw. */
  readonly log?: Pick<Log, 'error'>
}

export interface MemoryStore extends Store {
  /** Keys that are held, those whose time has come and which were not looked at since included. */
  readonly size: number
  /** Looks at a sixtieth of what is held, and drops what has ended; done once a second by itself. */
  sweep(): void
}

interface Kept {
  value: string
  endsAt: number
}

/** How often the sweep takes a step, in ms, and in how many it has looked at everything: no pause is ever felt. */
const sweepEvery = 1000
const sweepSteps = 60

/**
 * What V8 may keep for long, in bytes: in a small container much less than elsewhere, and beyond it the process dies. Its limit has the
 * room of young objects in it, 3 × 64 MiB on Node 24.
 */
const { heap_size_limit: limit } = getHeapStatistics()
const heap = Math.max(limit - 192 * 2 ** 20, limit / 4)

/**
 * 1 000 000 sticky sessions fit, of 270 to 350 bytes each (store.bench.ts; the longer ones have keys of the old system). In a small heap as
 * many as a quarter of it holds.
 */
const defaultCapacity = Math.min(1_000_000, Math.floor(heap / 4 / 350))

/** 256 Mi characters: a quarter of a gigabyte, or half of one where they are beyond Latin-1. An eighth of a small heap. */
const defaultRoom = Math.min(256 * 2 ** 20, Math.floor(heap / 8))

export function openMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  return new InMemory(options)
}

class InMemory implements MemoryStore {
  readonly kind = 'memory'
  readonly isShared = false
  readonly health: StoreHealth = { isUp: true, lastError: null, failures: 0 }
  readonly #capacity: number
  readonly #room: number
  readonly #now: () => number
  /** In the order of writing: a Map forgets its oldest key in no time. */
  readonly #values = new Map<string, Kept>()
  /** The characters of its keys and values. */
  #length = 0
  /** By key, then by holder: when the lease ends. */
  readonly #slots = new Map<string, Map<string, number>>()
  readonly #oldestValue = new Oldest(this.#values)
  readonly #oldestSlots = new Oldest(this.#slots)
  readonly #listeners: Listeners
  readonly #timer: NodeJS.Timeout
  readonly #sweepValues: () => void
  readonly #sweepSlots: () => void

  constructor(options: MemoryStoreOptions) {
    const { capacity = defaultCapacity, room = defaultRoom, now = () => performance.now(), log = silent } = options
    this.#capacity = capacity
    this.#room = room
    this.#now = now
    this.#listeners = new Listeners(log)
    this.#sweepValues = stepwise(this.#values, (key) => this.#read(key))
    this.#sweepSlots = stepwise(this.#slots, (key) => this.#live(key))
    this.#timer = setInterval(() => this.sweep(), sweepEvery)
    this.#timer.unref()
  }

  get size(): number {
    return this.#values.size + this.#slots.size
  }

  async get(key: string): Promise<string | null> {
    return this.#read(key)?.value ?? null
  }

  async getMany(keys: readonly string[]): Promise<(string | null)[]> {
    return keys.map((key) => this.#read(key)?.value ?? null)
  }

  async set({ key, value, ttl }: StoreEntry): Promise<void> {
    this.#write(key, value, ttl)
  }

  async setMany(entries: readonly StoreEntry[]): Promise<void> {
    for (const { key, value, ttl } of entries) this.#write(key, value, ttl)
  }

  async add({ key, value, ttl }: StoreEntry): Promise<boolean> {
    if (this.#read(key)) return false
    this.#write(key, value, ttl)
    return true
  }

  async raise(key: string, value: number, ttl: number): Promise<number> {
    const kept = this.#read(key)
    const there = Number(kept?.value ?? NaN)
    const highest = there > value ? there : value
    const left = kept ? kept.endsAt - this.#now() : 0
    this.#write(key, String(highest), Math.max(ttl, left))
    return highest
  }

  async increment(key: string, by: number, ttl: number): Promise<number> {
    const kept = this.#read(key)
    const sum = Number(kept?.value ?? 0) + by
    if (Number.isNaN(sum)) throw new StoreDown('what is there, or what is added, is no number')
    this.#write(key, String(sum), kept ? kept.endsAt - this.#now() : ttl)
    return sum
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#deleteOne(key)
  }

  async deletePrefix(prefix: string): Promise<number> {
    const keys = [...this.#values.keys(), ...this.#slots.keys()].filter((key) => key.startsWith(prefix))
    return keys.filter((key) => this.#deleteOne(key)).length
  }

  async acquire(key: string, holder: string, limit: number, ttl: number): Promise<boolean> {
    const slots = this.#live(key)
    if (!slots.has(holder) && slots.size >= limit) return false
    this.#take(key, holder, ttl)
    return true
  }

  async release(key: string, holder: string): Promise<void> {
    const slots = this.#slots.get(key)
    slots?.delete(holder)
    if (slots?.size === 0) this.#slots.delete(key)
  }

  async renew(slots: readonly Slot[], ttl: number): Promise<void> {
    for (const { key, holder } of slots) this.#take(key, holder, ttl)
  }

  async count(keys: readonly string[]): Promise<number[]> {
    return keys.map((key) => this.#live(key).size)
  }

  async publish(channel: string, message: string): Promise<void> {
    this.#listeners.tell(channel, message)
  }

  async subscribe(channel: string, listener: Listener): Promise<() => Promise<void>> {
    this.#listeners.add(channel, listener)
    return async () => void this.#listeners.remove(channel, listener)
  }

  sweep(): void {
    this.#sweepValues()
    this.#sweepSlots()
    this.#oldestValue.rest()
    this.#oldestSlots.rest()
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#values.clear()
    this.#length = 0
    this.#slots.clear()
    this.#listeners.clear()
  }

  #read(key: string): Kept | null {
    const kept = this.#values.get(key)
    if (!kept) return null
    if (kept.endsAt > this.#now()) return kept
    this.#forget(key, kept)
    return null
  }

  #write(key: string, value: string, ttl: number): void {
    const endsAt = this.#now() + lifetime(ttl)
    // Forgotten first, so that it moves to the end of the order.
    this.#forget(key)
    this.#values.set(key, { value, endsAt })
    this.#length += key.length + value.length
    while (this.#values.size > this.#capacity || this.#length > this.#room)
      this.#forget(this.#oldestValue.next() ?? key)
  }

  #forget(key: string, kept = this.#values.get(key)): void {
    if (!kept) return
    this.#values.delete(key)
    this.#length -= key.length + kept.value.length
  }

  #take(key: string, holder: string, ttl: number): void {
    const slots = this.#live(key)
    slots.set(holder, this.#now() + lifetime(ttl))
    this.#slots.set(key, slots)
    if (this.#slots.size > this.#capacity) this.#slots.delete(this.#oldestSlots.next() ?? key)
  }

  /** The slots of a key without those that have ended; a key without any is forgotten. */
  #live(key: string): Map<string, number> {
    const slots = this.#slots.get(key)
    if (!slots) return new Map()
    const now = this.#now()
    for (const [holder, endsAt] of slots) if (endsAt <= now) slots.delete(holder)
    if (slots.size === 0) this.#slots.delete(key)
    return slots
  }

  #deleteOne(key: string): boolean {
    const wasThere = this.#read(key) !== null || this.#live(key).size > 0
    this.#forget(key)
    this.#slots.delete(key)
    return wasThere
  }
}

const silent = { error() {} }

/** Looks at a part of the map with each call, and at all of it in `sweepSteps`; keys that come and go meanwhile do no harm. */
function stepwise(map: ReadonlyMap<string, unknown>, look: (key: string) => unknown): () => void {
  let keys: Iterator<string> | null = null
  let atOnce = 0
  return () => {
    if (!keys) {
      keys = map.keys()
      atOnce = Math.ceil(map.size / sweepSteps)
    }
    for (let left = atOnce; left > 0; left--) {
      const next = keys.next()
      if (next.done) {
        keys = null
        return
      }
      look(next.value)
    }
  }
}
