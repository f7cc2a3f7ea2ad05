/**
 * The keys of the database, as this process knows them: its own memory, then the store that sidecars share, then the database. A
 * change is heard of within a second, from whoever made it.
 */
import type { Database } from '../database/database.ts'
import type { Log } from '../plugin.ts'
import type { Store } from '../store/store.ts'
import { Cache, jittered } from './cache.ts'
import { patience, withDeadline } from './deadline.ts'
import type { Key, KeySource } from './key.ts'
import { findKey, keyOf, touchKeys, type KeyRow } from './records.ts'

/** Behaviour of the system this one follows: 65 535 keys for 15 s in memory, 300 s in the store, 30 s for keys that nobody has. */
const capacity = 65_535
const ownTtl = 15_000
const sharedTtl = 300_000
const absentTtl = 30_000

/** With store and database away, a key that was read so long ago still counts, in ms: as long as it might have stood in the store. */
const staleFor = sharedTtl

/** How long it then counts until it is asked for again, in ms: not every exchange waits for a database that does not answer. */
const askAgainAfter = 2000

/** A key's last use is written at most this often, in ms. */
const touchEvery = 30_000

/** On which channel changes are told, in the store and in the database: a key's hash, or `all`. */
export const changes = 'access_changed'

export class Directory implements KeySource {
  readonly #database: Database
  readonly #store: Store
  readonly #log: Log
  readonly #cache = new Cache<Key>({ capacity, ttl: ownTtl, absentTtl, patience })
  readonly #used = new Map<number, number>()
  readonly #timer: NodeJS.Timeout
  /** Ends what listens for changes. */
  #endings: (() => Promise<void>)[] = []
  #listening: Promise<void>
  #listeners = new Set<(change: string | null) => void>()

  constructor(database: Database, store: Store, log: Log) {
    this.#database = database
    this.#store = store
    this.#log = log
    this.#listening = this.#listen()
    this.#timer = setInterval(() => void this.#touch(), touchEvery)
    this.#timer.unref()
  }

  get size(): number {
    return this.#cache.size
  }

  /** How often a key was known, and how often it had to be asked for. */
  get lookups(): { readonly hits: number; readonly misses: number } {
    return this.#cache
  }

  find(hash: string): Key | null | Promise<Key | null> {
    const known = this.#cache.peek(hash)
    return known === undefined ? this.#ask(hash) : known
  }

  /** Nobody is refused for an outage of minutes: what is not known to have changed counts on. */
  async #ask(hash: string): Promise<Key | null> {
    try {
      return await this.#cache.load(hash, () => this.#load(hash))
    } catch (error) {
      const last = this.#cache.renew(hash, staleFor, askAgainAfter)
      if (last === null) throw error
      return last
    }
  }

  /** A key was used: written down some time later. */
  touch(keyId: number): void {
    if (!this.#used.has(keyId)) this.#used.set(keyId, 0)
  }

  /** Told of every change, `null` for changes that may have been missed. */
  onChange(listener: (change: string | null) => void): void {
    this.#listeners.add(listener)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#listening
    await Promise.all(this.#endings.map((end) => end()))
    await this.#touch()
  }

  async #load(hash: string): Promise<Key | null> {
    const shared = `apikey:auth:${hash}`
    const remembered = await this.#store.get(shared).catch(() => null)
    if (remembered === 'none') return null
    if (remembered !== null) return keyOf(JSON.parse(remembered) as KeyRow) // written below
    const { generation } = this.#cache
    const row = await withDeadline(findKey(this.#database.query, hash))
    // Something has changed meanwhile, perhaps this key: what was read is told, but not passed on.
    if (generation !== this.#cache.generation) return row && keyOf(row)
    const entry = row
      ? { key: shared, value: JSON.stringify(row), ttl: jittered(sharedTtl) }
      : { key: shared, value: 'none', ttl: jittered(absentTtl) }
    // Nobody waits for the store to remember.
    this.#store.set(entry).catch(() => {})
    return row && keyOf(row)
  }

  async #listen(): Promise<void> {
    const heard = (change: string | null) => {
      if (change === null) this.#cache.age()
      else if (change === 'all') this.#cache.clear()
      else this.#cache.forget(change)
      for (const listener of this.#listeners) listener(change)
    }
    const listen = async (open: () => Promise<() => Promise<void>>) => {
      try {
        this.#endings.push(await open())
      } catch (error) {
        this.#log.warn({ err: error }, 'changes of keys are not heard of at once: they count within 15 s')
      }
    }
    await Promise.all([
      listen(() => this.#store.subscribe(changes, heard)),
      // What changes in the database has to leave the store as well, whoever has put it there, and before anybody asks again.
      listen(() =>
        this.#database.listen(changes, (change) => {
          const left =
            change !== null && change !== 'all'
              ? this.#store.delete([`apikey:auth:${change}`])
              : this.#store.deletePrefix('apikey:auth:')
          void left.then(
            () => heard(change),
            () => heard(change),
          )
        }),
      ),
    ])
  }

  async #touch(): Promise<void> {
    const now = Date.now()
    const due = [...this.#used].filter(([, written]) => written === 0).map(([id]) => id)
    for (const [id, written] of this.#used) if (written !== 0 && now - written > touchEvery) this.#used.delete(id)
    if (due.length === 0) return
    for (const id of due) this.#used.set(id, now)
    await touchKeys(this.#database.query, due).catch(() => {
      for (const id of due) this.#used.delete(id)
    })
  }
}
