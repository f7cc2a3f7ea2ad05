/** Opens what outlives a reload: the ledger that writes rows, and the sums that are counted where there is no database. */
import { resolve } from 'node:path'
import type { ConfigOf, Database, PluginContext } from 'postern/plugin'
import type { config } from './config.ts'
import { Journal } from './journal.ts'
import { databaseSink, fileSink } from './sinks.ts'
import { Totals } from './totals.ts'
import { Ledger } from './write.ts'

type Context = PluginContext<ConfigOf<typeof config>>

/** Null: rows are only counted. Rejects where the journal's folder cannot be written. */
export async function openLedger(context: Context): Promise<Ledger | null> {
  const { config, database, log } = context
  const { queue: capacity, batch } = config
  if (!database && config.file === '') return null
  const target = database ? `database ${numberOf(database)}` : resolve(config.file)
  const folder = database && config.journal !== '' ? resolve(config.journal) : null
  return context.shared(
    `ledger ${target} ${folder} ${capacity} ${batch}`,
    () => {
      const sink = database ? databaseSink(database) : fileSink(target)
      return new Ledger({ sink, journal: folder === null ? null : new Journal(folder), log, capacity, batch })
    },
    (ledger) => ledger.close(),
  )
}

/** Null where there is a database to count. */
export async function openTotals(context: Context): Promise<Totals | null> {
  if (context.database) return null
  return context.shared(
    'totals',
    () => new Totals(),
    () => {},
  )
}

const numbers = new WeakMap<Database, number>()
let opened = 0

/** A database has a number of its own as long as it is open: a ledger never outlives the one it writes to. */
function numberOf(database: Database): number {
  let number = numbers.get(database)
  if (number === undefined) numbers.set(database, (number = opened++))
  return number
}
