/** The database: one `query`, whether PostgreSQL is somebody else's or a child of ours. */
import type { Log } from '../plugin.ts'
import type { Listener } from './channels.ts'
import { startEmbedded } from './embedded.ts'
import type { State } from './health.ts'
import { PooledDatabase, type PoolOptions } from './pool.ts'

export { CannotStart, DatabaseUnavailable, isOutage, sqlState } from './connection.ts'
export type { Listener } from './channels.ts'
export type { State } from './health.ts'

export interface Result<Row> {
  readonly rows: Row[]
  /** How many rows were returned or changed. */
  readonly rowCount: number
}

/**
 * One statement, with `$1`, `$2` … for values. `numeric` and `date` arrive as text, `int8` as a number that is safe (else the
 * query fails), `timestamptz` as a Date, `json` parsed. Rejects with DatabaseUnavailable when PostgreSQL cannot be asked, and
 * with its own error when it says no; `sqlState(error)` is then its code.
 */
export type Query = <Row = Record<string, unknown>>(text: string, values?: readonly unknown[]) => Promise<Result<Row>>

/** A connection of its own, for what a pool cannot do: locks of a session, statements without a time limit. */
export interface Session {
  readonly query: Query
}

export interface Database {
  readonly kind: 'embedded' | 'postgres'
  /** `down` fails queries at once; it is asked again in the background until it answers. */
  readonly state: State
  /** Why it is not up. */
  readonly lastError: Error | null
  readonly query: Query
  /**
   * Commits what `run` did if it resolves, else takes all of it back. If the connection is lost during the commit nobody knows
   * which of the two has happened: what must not happen twice needs a key that says so.
   */
  transaction<T>(run: (query: Query) => Promise<T>): Promise<T>
  /** Opens a connection for `run` and closes it behind it. */
  session<T>(run: (session: Session) => Promise<T>): Promise<T>
  /** Hears NOTIFY on a channel until the function it resolves with is called. See Listener. */
  listen(channel: string, listener: Listener): Promise<() => Promise<void>>
  /** Resolves when it is up. Rejects after `ms` (default 30 000; Infinity: never), or at once when waiting is of no use. */
  ready(ms?: number): Promise<void>
  /** Statements under way have 3 s to end. An embedded PostgreSQL is stopped. Never rejects. */
  close(): Promise<void>
}

/** `postgres://…`; or a PostgreSQL of our own on a folder: `embedded`, `embedded:FOLDER`. */
export type DatabaseSetting = string | { readonly embedded: string }

/** Where an embedded PostgreSQL keeps its data unless it is told, from the working directory. */
export const defaultFolder = '.postern/postgres'

const defaults: PoolOptions = {
  connections: 10,
  waiting: 1000,
  connectTimeout: 2000,
  statementTimeout: 10_000,
  closeTimeout: 3000,
}

/**
 * Opens it and returns at once, in the state `starting`; nothing rejects, nothing is thrown but for a setting that is neither
 * `embedded` nor a URL of PostgreSQL.
 */
export function openDatabase(setting: DatabaseSetting, log: Log, options: Partial<PoolOptions> = {}): Database {
  const limits = { ...defaults, ...options }
  if (typeof setting === 'string' && !/^embedded(:|$)/.test(setting)) {
    if (!/^postgres(ql)?:\/\//.test(setting)) throw new TypeError('a database is `embedded`, or a URL postgres://…')
    return new PooledDatabase('postgres', { url: setting }, limits, log, null)
  }
  const folder = typeof setting === 'string' ? setting.slice('embedded:'.length) : setting.embedded
  const server = startEmbedded(folder || defaultFolder, log)
  return new PooledDatabase('embedded', server.target, limits, log, server)
}
