/** CREATE and DROP INDEX CONCURRENTLY, so that running them again always ends in the same place. */
import { setTimeout as sleep } from 'node:timers/promises'
import { quoteName } from './channels.ts'
import { readIndexStatement } from './check.ts'
import type { Query } from './database.ts'
import { MigrationError, problem } from './problems.ts'
import type { Statement } from './statements.ts'

/** What a statement does, or would do, to the database as it is. */
export type IndexAction = 'build' | 'rebuild' | 'keep' | 'drop' | 'nothing'

export interface IndexRun {
  readonly query: Query
  readonly file: string
  readonly statement: Statement
  /** ms to wait for somebody else who is building the same index. */
  readonly wait: number
  /** Wraps the statement that takes long. */
  readonly watch: (name: string, build: () => Promise<unknown>) => Promise<unknown>
}

/**
 * Brings the index to where the statement wants it. IF NOT EXISTS alone does not: a build that failed leaves an index that is
 * there, costs every write, and answers no query. Such a one is dropped and built again; one of the same name that says something
 * else is refused.
 */
export async function runIndexStatement(run: IndexRun): Promise<IndexAction> {
  const action = await planIndexStatement(run)
  const { query, statement } = run
  const { name } = parse(run)
  if (action === 'rebuild') await dropLeftover(run)
  if (action === 'build' || action === 'rebuild') {
    try {
      await run.watch(name, () => query(statement.text))
    } catch (error) {
      // Its cause is in the error; what it leaves behind would only cost writes until the next run.
      await dropLeftover(run).catch(() => {})
      throw error
    }
    const built = await look(run)
    if (!built?.isValid) throw refusal(run, 'INDEX_INVALID', name)
  }
  if (action === 'drop') await run.watch(name, () => query(statement.text))
  return action
}

/** The same, but only looks. Waits for a build by somebody else. */
export async function planIndexStatement(run: IndexRun): Promise<IndexAction> {
  const { action, name } = parse(run)
  const deadline = performance.now() + run.wait
  let found = await look(run)
  while (found?.isBeingBuilt) {
    if (performance.now() >= deadline) throw refusal(run, 'INDEX_BUSY', name)
    await sleep(200)
    found = await look(run)
  }
  if (action === 'drop') return found ? 'drop' : 'nothing'
  if (!found) return 'build'
  if (!found.definition) throw refusal(run, 'INDEX_DIFFERS', `${name} is not an index`)
  if (!found.isValid) return 'rebuild'
  const wanted = await definitionOf(run)
  if (!found.isOnTable || (wanted !== null && wanted !== found.definition)) {
    throw refusal(run, 'INDEX_DIFFERS', `there: ${found.definition}; in the file: ${wanted ?? 'on another table'}`)
  }
  return 'keep'
}

interface Found {
  /** Empty if something else has the name. */
  readonly definition: string
  readonly isValid: boolean
  readonly isOnTable: boolean
  readonly isBeingBuilt: boolean
}

/** The index as it is; null if there is none. Of an index to be created the schema is its table's. */
async function look(run: IndexRun): Promise<Found | null> {
  const { action, name, schema } = parse(run)
  const { rows } = await run.query<Found>(
    `SELECT coalesce(CASE WHEN i.indisunique THEN 'UNIQUE' ELSE '' END || ${behindName('i.indexrelid')}, '') AS definition,
       coalesce(i.indisvalid, false) AS "isValid",
       coalesce(i.indrelid = to_regclass($2), false) AS "isOnTable",
       EXISTS (SELECT FROM pg_stat_progress_create_index p
               WHERE p.index_relid = c.oid AND p.pid <> pg_backend_pid()) AS "isBeingBuilt"
     FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
     WHERE c.relname = $1::name AND c.relnamespace = CASE
       WHEN $4 = 'create' THEN (SELECT relnamespace FROM pg_class WHERE oid = to_regclass($2))
       WHEN $3::text IS NOT NULL THEN to_regnamespace(quote_ident($3))
       ELSE (SELECT relnamespace FROM pg_class WHERE oid = to_regclass(quote_ident($1))) END`,
    [name, action === 'create' ? tableText(run) : null, schema, action],
  )
  return rows[0] ?? null
}

/**
 * What PostgreSQL makes of the statement, in its own words: it builds the index on an empty copy of the table, and takes both
 * back. null where it cannot (the expression needs something that the copy has not).
 */
async function definitionOf(run: IndexRun): Promise<string | null> {
  const { query, statement } = run
  const { name, isUnique, table } = parse(run)
  const copy = quoteName(statement.tokens[table[1] - 1]?.value ?? '')
  const rest = statement.text.slice((statement.tokens[table[1]]?.start ?? 0) - statement.start)
  await query('BEGIN')
  try {
    await query(`CREATE TEMP TABLE ${copy} (LIKE ${tableText(run)})`)
    await query(`CREATE ${isUnique ? 'UNIQUE ' : ''}INDEX ${quoteName(name)} ON pg_temp.${copy} ${rest}`)
    const { rows } = await query<{ definition: string }>(
      `SELECT CASE WHEN i.indisunique THEN 'UNIQUE' ELSE '' END || ${behindName('i.indexrelid')} AS definition
       FROM pg_index i WHERE i.indexrelid = to_regclass($1)`,
      [`pg_temp.${quoteName(name)}`],
    )
    return rows[0]?.definition ?? null
  } catch {
    return null
  } finally {
    await query('ROLLBACK')
  }
}

async function dropLeftover(run: IndexRun): Promise<void> {
  const found = await look(run)
  if (!found || found.isValid || !found.definition) return
  const { rows } = await run.query<{ name: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relname = $1::name AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass($2))`,
    [parse(run).name, tableText(run)],
  )
  if (rows[0]) await run.query(`DROP INDEX CONCURRENTLY IF EXISTS ${rows[0].name}`)
}

/** From USING on: the name in front is the same anyway, and the table's is compared by itself. */
function behindName(oid: string): string {
  return `substr(pg_get_indexdef(${oid}), strpos(pg_get_indexdef(${oid}), ' USING '))`
}

function parse({ statement }: IndexRun) {
  const parsed = readIndexStatement(statement)
  // The file has been checked.
  if (!parsed) throw new TypeError(`not a statement about an index: ${statement.text}`)
  return parsed
}

/** The table as the statement names it. */
function tableText({ statement }: IndexRun): string {
  const [from, to] = readIndexStatement(statement)?.table ?? [0, 0]
  const name = statement.tokens.slice(from, to)
  return name.map((token) => token.text).join('')
}

function refusal(
  run: IndexRun,
  code: 'INDEX_DIFFERS' | 'INDEX_INVALID' | 'INDEX_BUSY',
  detail: string,
): MigrationError {
  return new MigrationError([problem(code, run.file, run.statement.line, detail)])
}
