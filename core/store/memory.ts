/** The store of a single sidecar: in memory, bounded, gone with the process. Ends of life are looked at on use and by a sweep. */
import type { Slot, Store, StoreEntry, StoreHealth } from './store.ts'

export interface MemoryStoreOptions {
  /** Values that are kept at most; beyond it the ones that were written first go. */
  readonly capacity?: number
  /** The clock, in ms; for tests. */
  readonly now?: () => number
}

interface Kept {
  value: string
  endsAt: number
}

/** How many keys one step of the sweep looks at, and how often it takes one, in ms: no pause is ever felt. */
const sweepStep = 2000
const sweepEvery = 1000

/** 1 000 000 sticky sessions fit. */
const defaultCapacity = 1_000_000

export function openMemoryStore(options: MemoryStoreOptions = {}): Store {
  return new MemoryStore(options)
}

class MemoryStore implements Store {
  readonly kind = 'memory'
  readonly isShared = false
  readonly health: StoreHealth = { isUp: true, lastError: null, failures: 0 }
  readonly #capacity: number
  readonly #now: () => number
  /** In the order of writing: a Map forgets its oldest key in no time. */
  readonly #values = new Map<string, Kept>()
  /** By key, then by holder: when the slot ends. */
  readonly #slots = new Map<string, Map<string, number>>()
  readonly #listeners = new Map<string, Set<(message: string) => void>>()
  readonly #timer: NodeJS.Timeout
  #sweep: Iterator<[string, Kept]> | null = null

  constructor({ capacity = defaultCapacity, now = Date.now }: MemoryStoreOptions) {
    this.#capacity = capacity
    this.#now = now
    this.#timer = setInterval(() => this.#sweepOn(), sweepEvery)
    this.#timer.unref()
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
    const highest = Math.max(value, Number(kept?.value ?? -Infinity))
    const left = kept ? kept.endsAt - this.#now() : 0
    this.#write(key, String(highest), Math.max(ttl, left))
    return highest
  }

  async increment(key: string, by: number, ttl: number): Promise<number> {
    const kept = this.#read(key)
    const sum = Number(kept?.value ?? 0) + by
    if (kept) kept.value = String(sum)
    else this.#write(key, String(sum), ttl)
    return sum
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#values.delete(key)
  }

  async deletePrefix(prefix: string): Promise<number> {
    let deleted = 0
    for (const key of this.#values.keys()) {
      if (!key.startsWith(prefix)) continue
      this.#values.delete(key)
      deleted++
    }
    return deleted
  }

  async acquire(key: string, holder: string, limit: number, ttl: number): Promise<boolean> {
    const slots = this.#live(key)
    if (!slots.has(holder) && slots.size >= limit) return false
    slots.set(holder, this.#now() + ttl)
    this.#slots.set(key, slots)
    return true
  }

  async release(key: string, holder: string): Promise<void> {
    const slots = this.#slots.get(key)
    slots?.delete(holder)
    if (slots?.size === 0) this.#slots.delete(key)
  }

  async renew(slots: readonly Slot[], ttl: number): Promise<void> {
    const endsAt = this.#now() + ttl
    for (const { key, holder } of slots) {
      const live = this.#live(key)
      live.set(holder, endsAt)
      this.#slots.set(key, live)
    }
  }

  async count(keys: readonly string[]): Promise<number[]> {
    return keys.map((key) => (this.#slots.has(key) ? this.#live(key).size : 0))
  }

  async publish(channel: string, message: string): Promise<void> {
    for (const listener of this.#listeners.get(channel) ?? []) listener(message)
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    const listeners = this.#listeners.get(channel) ?? new Set()
    this.#listeners.set(channel, listeners.add(listener))
    return async () => {
      listeners.delete(listener)
      if (listeners.size === 0) this.#listeners.delete(channel)
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#values.clear()
    this.#slots.clear()
    this.#listeners.clear()
  }

  #read(key: string): Kept | null {
    const kept = this.#values.get(key)
    if (!kept) return null
    if (kept.endsAt > this.#now()) return kept
    this.#values.delete(key)
    return null
  }

  #write(key: string, value: string, ttl: number): void {
    // Deleted first, so that it moves to the end of the order.
    this.#values.delete(key)
    this.#values.set(key, { value, endsAt: this.#now() + ttl })
    if (this.#values.size <= this.#capacity) return
    const [oldest] = this.#values.keys()
    if (oldest !== undefined) this.#values.delete(oldest)
  }

  /** The slots of a key without those that have ended. */
  #live(key: string): Map<string, number> {
    const slots = this.#slots.get(key)
    if (!slots) return new Map()
    const now = this.#now()
    for (const [holder, endsAt] of slots) if (endsAt <= now) slots.delete(holder)
    return slots
  }

  #sweepOn(): void {
    const now = this.#now()
    this.#sweep ??= this.#values.entries()
    for (let looked = 0; looked < sweepStep; looked++) {
      const next = this.#sweep.next()
      if (next.done) {
        this.#sweep = null
        break
      }
      const [key, { endsAt }] = next.value
      if (endsAt <= now) this.#values.delete(key)
    }
    for (const key of this.#slots.keys()) if (this.#live(key).size === 0) this.#slots.delete(key)
  }
}
