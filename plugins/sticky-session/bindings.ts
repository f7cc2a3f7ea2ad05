/** Bindings in the store: one round trip to read, at most one to write, and none that an exchange waits for but the first. */
import type { PluginContext, Queue, QueueOptions, Store, StoreEntry } from 'postern/plugin'
import type { Counters } from './counters.ts'
import type { Keys } from './keys.ts'

/** What the store says of one binding. */
export interface Bound {
  readonly upstream: string
  /** Only the old key knew it. */
  readonly isOld: boolean
}

/** A binding as it shall be. */
export interface Binding {
  readonly keys: Keys
  readonly upstream: string
  /** In ms. */
  readonly ttl: number
}

export interface BindingSettings {
  readonly readsOld: boolean
  readonly writesOld: boolean
  /** Bindings that have not changed are written again at most this often, in ms. */
  readonly refresh: number
  /** The old system's account ids, by which old keys name upstreams. */
  readonly accounts: Readonly<Record<string, string>>
}

/** As much of a plugin's context as it takes. */
interface Needed extends Pick<PluginContext<unknown>, 'queue'> {
  readonly store: BindingStore
}
type BindingStore = Pick<Store, 'getMany' | 'setMany' | 'delete'>

/** A write on its way to the store. */
interface Write {
  readonly entries: readonly StoreEntry[]
  /** Keys to delete. */
  readonly gone: readonly string[]
}

/** Old keys are there for the time in which both systems run, no longer: ten minutes, as the old system's own successor had it. */
const longestLegacyTtl = 10 * 60 * 1000

/** Sessions whose last write is remembered; beyond it the ones longest not written are written a little too often. */
const remembered = 100_000

/** Writes that may wait; while the store is slow, more than these are lost, which costs stickiness and nothing else. */
const queued: QueueOptions = { capacity: 1000, workers: 16 }

const none: readonly never[] = Object.freeze([])

export class Bindings {
  readonly #store: BindingStore
  readonly #counters: Counters
  readonly #settings: BindingSettings
  readonly #queue: Queue<Write>
  readonly #accountOf: ReadonlyMap<string, string>
  /** By key, until the store has it: a turn may follow the one before it faster than its binding gets there. */
  readonly #underway = new Map<string, Write>()
  /** By key: when it was last written, on the clock of `performance.now()`, oldest first. */
  readonly #written = new Map<string, number>()

  constructor(context: Needed, counters: Counters, settings: BindingSettings) {
    this.#store = context.store
    this.#counters = counters
    this.#settings = settings
    this.#queue = context.queue<Write>(queued, (write) => this.#carryOut(write))
    this.#accountOf = new Map(Object.entries(settings.accounts).map(([account, upstream]) => [upstream, account]))
  }

  /** What the store says of each, new key before old, all in one round trip; null where it cannot be asked. Never rejects. */
  read(wanted: readonly Keys[]): Promise<readonly (Bound | null)[] | null> {
    const keys: string[] = []
    for (const { key } of wanted) keys.push(key)
    if (this.#settings.readsOld) for (const { legacy } of wanted) if (legacy !== null) keys.push(legacy)
    this.#counters.add('sticky_reads')
    // Before the store is asked: what is on its way now may have arrived by the time of the answer.
    const own = this.#underway.size === 0 ? none : keys.map((key) => this.#underway.get(key))
    return this.#store.getMany(keys).then(
      (values) => this.#found(wanted, keys, values, own),
      () => {
        this.#counters.add('store_errors')
        return null
      },
    )
  }

  #found(
    wanted: readonly Keys[],
    keys: readonly string[],
    values: readonly (string | null)[],
    own: readonly (Write | undefined)[],
  ): readonly (Bound | null)[] {
    const valueOf = (at: number) => (own[at] ? (valueIn(own[at], keys[at]!) ?? null) : (values[at] ?? null))
    // The old keys stand behind the new ones, in the same order.
    let oldAt = wanted.length
    let [fellBack, hit] = [false, false]
    const found = wanted.map((one, at): Bound | null => {
      const now = valueOf(at)
      if (one.legacy === null || !this.#settings.readsOld) return now === null ? null : { upstream: now, isOld: false }
      const account = valueOf(oldAt++)
      const old = account === null ? null : (this.#settings.accounts[account] ?? account)
      if (now !== null) {
        // Somebody moves sessions who knows the old key only.
        if (old !== null && old !== now) this.#counters.disagree({ key: one.key, upstream: now, old })
        return { upstream: now, isOld: false }
      }
      fellBack = true
      hit ||= old !== null
      return old === null ? null : { upstream: old, isOld: true }
    })
    if (found.some((one) => one !== null)) this.#counters.hit()
    if (fellBack) this.#counters.add('fallback_total')
    if (hit) this.#counters.add('fallback_hit')
    return found
  }

  /** Writes bindings that are new or have changed; all in one round trip that nobody waits for. */
  write(bindings: readonly Binding[]): void {
    if (bindings.length === 0) return
    const entries: StoreEntry[] = []
    for (const { keys, upstream, ttl } of bindings) {
      entries.push({ key: keys.key, value: upstream, ttl })
      this.#remember(keys.key)
      if (keys.legacy === null || !this.#settings.writesOld) continue
      const value = this.#accountOf.get(upstream) ?? upstream
      entries.push({ key: keys.legacy, value, ttl: Math.min(ttl, longestLegacyTtl) })
      this.#counters.add('dual_writes')
    }
    this.#counters.add('writes')
    this.#send({ entries, gone: [] })
  }

  /** Whether a binding that has not changed should be written again, to put its end off. */
  isDue({ keys, ttl }: Binding): boolean {
    const last = this.#written.get(keys.key)
    if (last === undefined) return true
    const shortest = keys.legacy !== null && this.#settings.writesOld ? Math.min(ttl, longestLegacyTtl) : ttl
    return performance.now() - last >= Math.min(this.#settings.refresh, shortest / 2)
  }

  forget({ key, legacy }: Keys): void {
    this.#written.delete(key)
    this.#send({ entries: [], gone: legacy === null ? [key] : [key, legacy] })
  }

  #send(write: Write): void {
    for (const key of keysOf(write)) this.#underway.set(key, write)
    if (!this.#queue.push(write)) this.#lost(write)
  }

  async #carryOut(write: Write): Promise<void> {
    try {
      if (write.entries.length > 0) await this.#store.setMany(write.entries)
      if (write.gone.length > 0) await this.#store.delete(write.gone)
      this.#arrived(write)
    } catch {
      this.#lost(write)
    }
  }

  #arrived(write: Write): void {
    for (const key of keysOf(write)) if (this.#underway.get(key) === write) this.#underway.delete(key)
  }

  #lost(write: Write): void {
    this.#counters.add('store_errors')
    // The next turn writes it again, however soon it comes.
    for (const key of keysOf(write)) this.#written.delete(key)
    this.#arrived(write)
  }

  #remember(key: string): void {
    this.#written.delete(key)
    this.#written.set(key, performance.now())
    if (this.#written.size <= remembered) return
    const [oldest] = this.#written.keys()
    if (oldest !== undefined) this.#written.delete(oldest)
  }
}

function keysOf({ entries, gone }: Write): string[] {
  return [...entries.map(({ key }) => key), ...gone]
}

function valueIn({ entries }: Write, key: string): string | undefined {
  return entries.find((entry) => entry.key === key)?.value
}
