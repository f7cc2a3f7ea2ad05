/** Takes away rows that are older than they have to be: a few at a time, in the background, by one sidecar at a time. */
import type { PluginContext } from '../plugin.ts'
import type { Database, Query } from './database.ts'

/** A table whose rows end. Names go into the statement as they are: they come from code, never from outside. */
export interface Expiring {
  readonly table: string
  /** A timestamptz with an index. */
  readonly column: string
  /** How old a row becomes, in ms. */
  readonly keep: number
}

/** Rows that go in one transaction, as in the Go system; about 20 ms of work. */
const batch = 5000
/** How often, in ms, a table is looked at, and how often whether it is time to. */
const every = 10 * 60_000
const glance = 1000

/**
 * Looks for old rows as soon as the database answers, and every ten minutes. Exchanges never wait for it: a transaction takes at most
 * 5000 rows, skips those that somebody holds, and gives its connection back before the next one.
 */
export function janitor(
  { every: repeat, log, signal }: Pick<PluginContext<unknown>, 'every' | 'log' | 'signal'>,
  database: Database,
  tables: readonly Expiring[],
): void {
  let due = 0
  repeat(glance, async () => {
    if (performance.now() < due || database.state !== 'up') return
    due = performance.now() + every
    for (const expiring of tables) {
      const rows = await sweep(database, expiring, signal)
      if (rows > 0) log.info({ table: expiring.table, rows }, 'rows that had become too old were deleted')
    }
  })
}

/** Resolves with how many rows it has deleted. Another sidecar at the same table ends it: what is left is in good hands. */
export async function sweep(
  database: Pick<Database, 'transaction'>,
  { table, column, keep }: Expiring,
  signal: AbortSignal,
  most = batch,
): Promise<number> {
  const before = new Date(Date.now() - keep)
  for (let sum = 0; ;) {
    const rows = signal.aborted
      ? 0
      : await database.transaction((query) => takeAway(query, { table, column, before, most }))
    sum += rows
    if (rows < most) return sum
  }
}

async function takeAway(
  query: Query,
  { table, column, before, most }: Omit<Expiring, 'keep'> & { readonly before: Date; readonly most: number },
): Promise<number> {
  // Held until the transaction ends, whatever happens to the sidecar.
  const { rows } = await query<{ mine: boolean }>('SELECT pg_try_advisory_xact_lock(hashtext($1)) AS mine', [
    `postern janitor ${table}`,
  ])
  if (!rows[0]?.mine) return 0
  const { rowCount } = await query(
    `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM ${table} WHERE ${column} < $1 ORDER BY ${column} LIMIT $2 FOR UPDATE SKIP LOCKED))`,
    [before, most],
  )
  return rowCount
}
