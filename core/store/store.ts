/**
 * What sidecars know together, and what outlives a reload: small values with a time to live, counters, and slots. Every method
 * is one round trip. A store that is down rejects with `StoreDown` within its time limit; what an outage means is for the
 * caller to say, and every caller does (sticky sessions, load and counters go on without).
 */

/** Keys that must live on one node of a Redis Cluster share a part in braces: `sticky:{tenant:session}:x`. */
export interface Store {
  readonly kind: 'memory' | 'redis'
  /** Whether other processes see what this one writes. */
  readonly isShared: boolean
  /** Null where the key is not there or its time has come. */
  get(key: string): Promise<string | null>
  /** As `get` for each key, in their order; one round trip for all. */
  getMany(keys: readonly string[]): Promise<(string | null)[]>
  set(entry: StoreEntry): Promise<void>
  setMany(entries: readonly StoreEntry[]): Promise<void>
  /** Writes only where the key is not there; says whether it was written. */
  add(entry: StoreEntry): Promise<boolean>
  /**
   * Keeps the larger of the number that is there and `value`, with the longer time to live, and returns it. What rests until
   * a moment is never woken earlier by a second, milder signal.
   */
  raise(key: string, value: number, ttl: number): Promise<number>
  /** Adds to a counter, which begins at 0 and lives for `ttl` ms from its first addition; returns the sum. */
  increment(key: string, by: number, ttl: number): Promise<number>
  delete(keys: readonly string[]): Promise<void>
  /** Deletes every key that begins with `prefix`; returns how many. For operators: it may take long, and is no one round trip. */
  deletePrefix(prefix: string): Promise<number>

  /** Takes one of `limit` slots under the key, or refreshes the one `holder` has; false where none is free. */
  acquire(key: string, holder: string, limit: number, ttl: number): Promise<boolean>
  /** Gives it back; nothing where the holder has none. */
  release(key: string, holder: string): Promise<void>
  /** Puts off the end of slots that are still in use, by `ttl` ms from now. One that has ended meanwhile is taken again. */
  renew(slots: readonly Slot[], ttl: number): Promise<void>
  /** How many slots of each key are taken. */
  count(keys: readonly string[]): Promise<number[]>

  /** Tells every process that listens, this one included. Best effort: who is not connected misses it. */
  publish(channel: string, message: string): Promise<void>
  /** Returns what ends the listening. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>

  /** What /readyz and the metrics tell. */
  readonly health: StoreHealth
  close(): Promise<void>
}

export interface StoreEntry {
  readonly key: string
  readonly value: string
  /** How long it is kept, in ms. */
  readonly ttl: number
}

export interface Slot {
  readonly key: string
  readonly holder: string
}

export interface StoreHealth {
  readonly isUp: boolean
  /** What the last failure said; null before the first. */
  readonly lastError: string | null
  /** Commands that failed or took too long since the start. */
  readonly failures: number
}

/** The store could not be asked, or did not answer in time. */
export class StoreDown extends Error {
  override name = 'StoreDown'
  readonly code = 'STORE_DOWN'
}
