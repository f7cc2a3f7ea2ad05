/** Migrations: node-pg-migrate's runner, through its own extension points, with what it lacks added. */
import { sqlState } from './connection.ts'
import type { Database, Query } from './database.ts'
import { readMigrations, type MigrationFile, type MigrationFolder } from './files.ts'
import { indexGate, observeIndexes } from './gate.ts'
import { compare, makeChecksumTable, readHistory, type Applied } from './history.ts'
import { planIndexStatement, type IndexAction } from './indexes.ts'
import { withMigrationLock } from './lock.ts'
import { MigrationError, type MigrationProblem } from './problems.ts'
import { Run } from './run.ts'

export interface MigrateOptions {
  /** The folder of migrations. */
  readonly folder: string
  /** Hears what happens, in words; `file` is empty where it is about none. */
  readonly progress?: (file: string, text: string) => void
  /**
   * Whether a database that a newer version has brought further is well: so that in a rolling update, or after one was taken back,
   * the version before still starts. Default: it is not.
   */
  readonly isAheadFine?: boolean
  /** ms to wait for another runner, and for somebody else's build of the same index. Default: 60 000. */
  readonly lockWait?: number
  /** ms that a statement in a transaction waits for its table; then it is tried again, twice. Default: 5 000. */
  readonly lockTimeout?: number
}

export interface PlannedStatement {
  readonly line: number
  readonly sql: string
  readonly action: IndexAction | 'run'
}

export interface Planned {
  readonly name: string
  readonly isOutsideTransaction: boolean
  readonly statements: readonly PlannedStatement[]
  /** Why it may not run yet; empty if it may. */
  readonly held: readonly string[]
}

export interface Status {
  readonly applied: readonly Applied[]
  /** Names of files that have not run, in order. */
  readonly pending: readonly string[]
  /** Those of them that `up` would run now: those in front of the first one that its gate holds. */
  readonly due: readonly string[]
  /** As long as there is one, `up` refuses. */
  readonly problems: readonly MigrationProblem[]
}

/** What has run and what has not. Changes nothing. */
export async function status(db: Pick<Database, 'query'>, options: MigrateOptions): Promise<Status> {
  const read = await readMigrations(options.folder)
  const applied = await readHistory(db.query)
  const problems = [...read.problems, ...compare(read, applied, options.isAheadFine)]
  const files = pendingOf(read, applied)
  const pending = files.map(({ name }) => name)
  const { count } = await firstHeld(db.query, files)
  return { applied, pending, due: pending.slice(0, count), problems }
}

/** What `up` would do to the database as it is, statement by statement. Changes nothing. Throws MigrationError. */
export async function plan(db: Pick<Database, 'session'>, options: MigrateOptions): Promise<Planned[]> {
  const folder = await readChecked(options)
  return db.session(async ({ query }) => {
    const applied = await readHistory(query)
    refuse(compare(folder, applied, options.isAheadFine))
    const planned: Planned[] = []
    for (const file of pendingOf(folder, applied)) {
      const statements: PlannedStatement[] = []
      for (const statement of file.statements) {
        const action = file.isOutsideTransaction
          ? await planIndexStatement({ query, file: file.file, statement, wait: 0, watch: (_, build) => build() })
          : 'run'
        statements.push({ line: statement.line, sql: statement.text, action })
      }
      const { name, isOutsideTransaction } = file
      planned.push({ name, isOutsideTransaction, statements, held: await indexGate(query, file) })
    }
    return planned
  })
}

/**
 * Runs what has not run, in order, under the lock; resolves with the names. Stops in front of a file whose gate holds it. Safe to
 * run twice, by two, and after any crash. Throws MigrationError: files before the one that failed stay applied, of a file in a
 * transaction nothing stays, a `_notx` file goes on where it was by the next run.
 */
export async function up(db: Pick<Database, 'session' | 'query'>, options: MigrateOptions): Promise<string[]> {
  const folder = await readChecked(options)
  const { progress = () => {}, lockWait = 60_000 } = options
  return db.session((session) =>
    withMigrationLock(
      session,
      lockWait,
      (holder) => progress('', `waiting for ${holder}`),
      async () => {
        const history = await readHistory(session.query)
        refuse(compare(folder, history, options.isAheadFine))
        const pending = pendingOf(folder, history)
        const { count, reasons } = await firstHeld(session.query, pending)
        await observeIndexes(session.query, pending)
        if (reasons.length > 0) progress(pending[count]?.file ?? '', `held: ${reasons.join('; ')}`)
        const free = pending.slice(0, count).map(({ name }) => name)
        if (free.length === 0) return []
        await session.query(makeChecksumTable)
        for (let attempt = 1; ; attempt++) {
          try {
            const ran = new Set((await readHistory(session.query)).map(({ name }) => name))
            await new Run(db, session, folder, options).start(free.filter((name) => !ran.has(name)).length)
            return free
          } catch (error) {
            await session.query('ROLLBACK').catch(() => {})
            const isLocked = error instanceof MigrationError && sqlState(error.cause) === '55P03'
            if (!isLocked || attempt === 3) throw error
            progress(error.problems[0]?.file ?? '', 'its table is locked by others; trying again')
          }
        }
      },
    ),
  )
}

/**
 * Writes down, for the gate of indexes that pending files want to drop, how often they have been used. To be called once a day;
 * `up` does it as well.
 */
export async function observe(db: Pick<Database, 'query'>, { folder }: MigrateOptions): Promise<void> {
  await observeIndexes(db.query, pendingOf(await readMigrations(folder), await readHistory(db.query)))
}

/** How many of the files may run now, and why the next one may not. */
async function firstHeld(
  query: Query,
  pending: readonly MigrationFile[],
): Promise<{ count: number; reasons: readonly string[] }> {
  for (const [count, file] of pending.entries()) {
    const reasons = await indexGate(query, file)
    if (reasons.length > 0) return { count, reasons }
  }
  return { count: pending.length, reasons: [] }
}

async function readChecked({ folder }: MigrateOptions): Promise<MigrationFolder> {
  const read = await readMigrations(folder)
  refuse(read.problems)
  return read
}

function refuse(problems: readonly MigrationProblem[]): void {
  if (problems.length > 0) throw new MigrationError(problems)
}

function pendingOf({ files }: MigrationFolder, history: readonly Applied[]): MigrationFile[] {
  const ran = new Set(history.map(({ name }) => name))
  return files.filter(({ name }) => !ran.has(name))
}
