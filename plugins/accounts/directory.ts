/** The accounts as this process knows them. Outlives a reload, so that a new gateway has them from its first exchange on. */
import type { Database, Log } from 'postern/plugin'
import { readAccounts, type Reading } from './read.ts'

/** On which channel of the database changes are told: an account's id, `woken ID` where an operator has ended its rest, or `all`. */
export const changes = 'accounts_changed'

/** However many changes are told, they are read no more often than this, in ms. */
const shortest = 200
/** A reading that failed is tried again after this, doubled each time, in ms. */
const firstRetry = 50
const longestRetry = 1000

export class Directory {
  /** Null until they were read for the first time. A database that is down leaves the last reading in place. */
  reading: Reading | null = null
  readonly #database: Database
  readonly #log: Log
  readonly #onReading = new Set<(reading: Reading) => void>()
  readonly #onWoken = new Set<(accountId: number) => void>()
  readonly #listening: Promise<(() => Promise<void>) | null>
  #running: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  #begunAt = Number.NEGATIVE_INFINITY
  #failures = 0
  #isStale = false
  #isClosed = false

  /** Begins to listen and to read, and waits for neither. */
  constructor(database: Database, log: Log) {
    this.#database = database
    this.#log = log
    this.#listening = database
      .listen(changes, (change) => this.#heard(change))
      .catch((error: unknown) => {
        log.warn({ err: error }, 'changes of accounts are not heard of at once')
        return null
      })
    this.refresh()
  }

  /** Tells of every reading from now on; the function it returns ends that. */
  onReading(listener: (reading: Reading) => void): () => void {
    this.#onReading.add(listener)
    return () => void this.#onReading.delete(listener)
  }

  /** Tells of every account whose rest an operator has ended. */
  onWoken(listener: (accountId: number) => void): () => void {
    this.#onWoken.add(listener)
    return () => void this.#onWoken.delete(listener)
  }

  /** Reads them again, soon; once, however often it is called until then. */
  refresh(): void {
    if (this.#isClosed) return
    this.#isStale = true
    if (this.#running) return
    this.#later(Math.max(0, this.#begunAt + shortest - performance.now()))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#timer) clearTimeout(this.#timer)
    await this.#running
    const end = await this.#listening
    await end?.()
  }

  #heard(change: string | null): void {
    const woken = /^woken (\d{1,15})$/.exec(change ?? '')?.[1]
    if (woken !== undefined) for (const listener of this.#onWoken) listener(Number(woken))
    this.refresh()
  }

  #later(ms: number): void {
    if (this.#isClosed) return
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#running = this.#read().finally(() => {
        this.#running = null
        if (this.#failures > 0) this.#later(Math.min(longestRetry, firstRetry * 2 ** (this.#failures - 1)))
        else if (this.#isStale) this.refresh()
      })
    }, ms)
    this.#timer.unref()
  }

  async #read(): Promise<void> {
    if (this.#isClosed) return
    this.#isStale = false
    this.#begunAt = performance.now()
    try {
      this.reading = await readAccounts(this.#database.query)
      if (this.#failures > mentioned) this.#log.info({}, 'the accounts can be read again')
      this.#failures = 0
    } catch (error) {
      this.#failures++
      // At the start the database may not be there yet.
      if (this.#failures === mentioned)
        this.#log.warn({ err: error }, 'the accounts cannot be read; the last list is kept')
      return
    }
    for (const listener of this.#onReading) listener(this.reading)
  }
}

/** From which failure in a row on it is said. */
const mentioned = 6

const numbers = new WeakMap<Database, number>()
let count = 0

/** A number for each database: what was read from one is nothing to a gateway that was given another. */
export function numberOf(database: Database): number {
  let number = numbers.get(database)
  if (number === undefined) numbers.set(database, (number = ++count))
  return number
}
