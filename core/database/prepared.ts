/**
 * A database whose schema is this version's. While that is looked at for the first time queries wait a moment; where it is not, they are
 * refused as those of a database that is down are.
 */
import type { Log } from '../plugin.ts'
import { backoff } from './backoff.ts'
import { DatabaseUnavailable, messageOf } from './connection.ts'
import type { Database, Listener, Query, Session, State } from './database.ts'
import { shippedMigrations } from './files.ts'
import { observe, status, up } from './migrate.ts'
import { render } from './problems.ts'

export interface Preparation {
  /** `auto` brings the schema up to date, `check` waits until somebody has. */
  readonly migrate: 'auto' | 'check'
  readonly folder?: string
}

/** How long a question waits for the first look at the schema, in ms: as long as for a connection. */
const startPatience = 2000

/** How often, in ms, the gates of indexes are given a new observation. */
const day = 24 * 60 * 60 * 1000

/** Begins at once, and again after every failure; resolves nothing, throws nothing: `state` and `lastError` tell. */
export function prepared(db: Database, options: Preparation, log: Log): Database {
  return new PreparedDatabase(db, options, log)
}

class PreparedDatabase implements Database {
  readonly kind
  readonly #db: Database
  readonly #options: Required<Preparation>
  readonly #log: Log
  readonly #waiters = new Set<() => void>()
  #isReady = false
  #isClosed = false
  #problem: Error | null = null
  #timer: NodeJS.Timeout | undefined
  #preparing: Promise<void>

  constructor(db: Database, { migrate, folder = shippedMigrations }: Preparation, log: Log) {
    this.kind = db.kind
    this.#db = db
    this.#options = { migrate, folder }
    this.#log = log
    this.#preparing = this.#prepare(0)
  }

  get state(): State {
    if (this.#isReady || this.#db.state !== 'up') return this.#db.state
    return this.#problem ? 'down' : 'starting'
  }

  get lastError(): Error | null {
    return this.#db.lastError ?? this.#problem
  }

  query: Query = (text, values) =>
    this.#isReady ? this.#db.query(text, values) : this.#soon(() => this.#db.query(text, values))

  transaction<T>(run: (query: Query) => Promise<T>): Promise<T> {
    return this.#isReady ? this.#db.transaction(run) : this.#soon(() => this.#db.transaction(run))
  }

  session<T>(run: (session: Session) => Promise<T>): Promise<T> {
    return this.#isReady ? this.#db.session(run) : this.#soon(() => this.#db.session(run))
  }

  listen(channel: string, listener: Listener): Promise<() => Promise<void>> {
    return this.#db.listen(channel, listener)
  }

  async ready(ms = 30_000): Promise<void> {
    const until = performance.now() + ms
    await this.#db.ready(ms)
    if (this.#isReady) return
    await new Promise<void>((resolve, reject) => {
      const late = () => {
        this.#waiters.delete(done)
        reject(this.#notYet())
      }
      const timer = Number.isFinite(ms) ? setTimeout(late, Math.max(0, until - performance.now())) : undefined
      const done = () => {
        clearTimeout(timer)
        if (this.#isReady) resolve()
        else reject(this.#notYet())
      }
      this.#waiters.add(done)
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#release()
    await this.#db.close()
    await this.#preparing
  }

  /** A process that has just begun is asked before it knows its schema: nobody is refused for the moment that takes. */
  async #soon<T>(act: () => Promise<T>): Promise<T> {
    if (this.state !== 'starting') throw this.#notYet()
    await this.ready(startPatience).catch(() => {
      throw this.#notYet()
    })
    return act()
  }

  #notYet(): DatabaseUnavailable {
    const reason = this.lastError ? messageOf(this.lastError) : 'it is being brought up to date'
    return new DatabaseUnavailable(`the database cannot be used yet: ${reason}`)
  }

  async #prepare(attempt: number): Promise<void> {
    try {
      await this.#db.ready(60_000)
      if (this.#options.migrate === 'auto') await this.#migrate()
      else await this.#check()
      await observe(this.#db, this.#options)
      if (this.#problem) this.#log.info({}, 'the schema of the database is up to date')
      this.#isReady = true
      this.#problem = null
      this.#release()
      this.#later(day, 0)
    } catch (error) {
      const before = this.#problem?.message
      this.#problem = error instanceof Error ? error : new Error(String(error))
      if (this.#isClosed) return
      if (this.#problem.message !== before)
        this.#log.error({ err: this.#problem }, 'the schema of the database is not this version’s')
      this.#later(Math.max(1000, backoff(attempt)), attempt + 1)
    }
  }

  async #migrate(): Promise<void> {
    const ran = await up(this.#db, {
      folder: this.#options.folder,
      // A newer version may have been here: what it adds, this one does not look at.
      isAheadFine: true,
      progress: (file, text) => this.#log.info({ file }, `migration: ${text}`),
    })
    if (ran.length > 0) this.#log.info({ ran }, 'the schema of the database was brought up to date')
  }

  async #check(): Promise<void> {
    const { due, problems } = await status(this.#db, { ...this.#options, isAheadFine: true })
    if (problems[0]) throw new Error(render(problems[0]))
    if (due.length > 0) throw new Error(`${due.join(', ')} have not run: run postern migrate up, or set migrate: auto`)
  }

  #later(ms: number, attempt: number): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#preparing = this.#prepare(attempt)
    }, ms)
    this.#timer.unref()
  }

  #release(): void {
    for (const done of this.#waiters) done()
    this.#waiters.clear()
  }
}
