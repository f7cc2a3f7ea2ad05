/** What was learnt of accounts, gathered and written together. Nothing on the way of a request waits for it. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log, PluginContext, Queue } from 'postern/plugin'
import { merged, type Change } from './health.ts'
import { writeChanges, writeModelLimits, writeUses } from './write.ts'

export interface WriteBackOptions {
  /** In ms. */
  readonly used_every: number
  readonly delay: number
  /** Accounts. */
  readonly queue: number
}

/** Accounts that are written by one statement. */
const mostAtOnce = 1000
/** While the database is down it is tried again this often, in ms. */
const retryEvery = 1000
/** So often the database may say no to the same changes. */
const mostRefusals = 10

export class WriteBack {
  readonly #context: Pick<PluginContext<unknown>, 'database' | 'signal' | 'log'>
  readonly #options: WriteBackOptions
  readonly #log: Log
  readonly #changes = new Map<number, Change>()
  /** When an account was used last, in ms since 1970, where that is still to be written. */
  readonly #uses = new Map<number, number>()
  /** When its last use was written, in ms since 1970. */
  readonly #written = new Map<number, number>()
  /** Holds one item while there is something to write: it is done when a gateway retires. */
  readonly #queue: Queue<null>
  #isBusy = false
  #lost = 0
  /** In a row. */
  #failures = 0

  constructor(
    context: Pick<PluginContext<unknown>, 'database' | 'signal' | 'log' | 'queue'>,
    options: WriteBackOptions,
  ) {
    this.#context = context
    this.#options = options
    this.#log = context.log
    this.#queue = context.queue<null>({ capacity: 1 }, () => this.#work())
  }

  /** How many accounts wait to be written. */
  get length(): number {
    return this.#changes.size + this.#uses.size
  }

  note(accountId: number, change: Change): void {
    const before = this.#changes.get(accountId)
    if (!before && this.#changes.size >= this.#options.queue) {
      if (this.#lost++ === 0)
        this.#log.warn({}, 'changes of accounts are lost: the database has not taken any for too long')
      return
    }
    this.#changes.set(accountId, before ? merged(before, change) : change)
    this.#wake()
  }

  /** It has answered. */
  used(accountId: number, now: number): void {
    if (now - (this.#written.get(accountId) ?? 0) < this.#options.used_every) return
    if (this.#written.size >= this.#options.queue) this.#written.clear()
    this.#written.set(accountId, now)
    if (this.#uses.size < this.#options.queue) this.#uses.set(accountId, now)
    this.#wake()
  }

  #wake(): void {
    if (this.#isBusy) return
    this.#isBusy = this.#queue.push(null)
  }

  async #work(): Promise<void> {
    const { signal } = this.#context
    try {
      for (let pause = this.#options.delay; this.length > 0;) {
        // Cut short when the gateway retires; what there is is tried once more then.
        await sleep(pause, undefined, { signal, ref: false }).catch(() => {})
        const isWell = await this.#flush()
        if (signal.aborted && !isWell) return
        pause = isWell ? this.#options.delay : retryEvery
      }
    } finally {
      this.#isBusy = false
    }
  }

  /** Whether the database took it. What it did not take waits for the next time, along with what has come meanwhile. */
  async #flush(): Promise<boolean> {
    const { database } = this.#context
    if (!database) return false
    const changes = [...this.#changes].slice(0, mostAtOnce)
    const uses = [...this.#uses].slice(0, mostAtOnce)
    for (const [id] of changes) this.#changes.delete(id)
    for (const [id] of uses) this.#uses.delete(id)
    try {
      await database.transaction(async (query) => {
        await writeUses(query, uses)
        await writeModelLimits(query, changes, Date.now())
        await writeChanges(query, changes, Date.now())
      })
      this.#failures = 0
      this.#lost = 0
      return true
    } catch (error) {
      if (this.#failures++ === 0) this.#log.warn({ err: error }, 'what was learnt of accounts could not be written yet')
      // What the database itself says no to again and again must not keep what comes behind it.
      if (this.#failures >= mostRefusals && !isAway(error)) {
        this.#failures = 0
        this.#log.error({ err: error, accounts: changes.map(([id]) => id) }, 'what was learnt of accounts is lost')
        return false
      }
      for (const [id, change] of changes) {
        const since = this.#changes.get(id)
        this.#changes.set(id, since ? merged(change, since) : change)
      }
      for (const [id, at] of uses) if (!this.#uses.has(id)) this.#uses.set(id, at)
      return false
    }
  }
}

/** Whether nobody was there to be asked. */
function isAway(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'DATABASE_UNAVAILABLE'
}
