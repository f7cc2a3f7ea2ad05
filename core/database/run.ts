/** One run of node-pg-migrate's runner, through its own extension points. */
import { resolve } from 'node:path'
import { runner, type MigrationBuilder, type RunnerOption } from 'node-pg-migrate'
import { sqlState } from './connection.ts'
import type { Database, Query, Session } from './database.ts'
import type { MigrationFile, MigrationFolder } from './files.ts'
import { historyTable, remember } from './history.ts'
import { runIndexStatement, type IndexAction, type IndexRun } from './indexes.ts'
import type { MigrateOptions } from './migrate.ts'
import { MigrationError, problem } from './problems.ts'
import type { Statement } from './statements.ts'

/** On a session that holds the lock. */
export class Run {
  readonly #db: Pick<Database, 'query'>
  readonly #session: Session
  readonly #folder: MigrationFolder
  readonly #options: MigrateOptions
  #current: MigrationFile | null = null
  /** Which statement an error belongs to. */
  readonly #failed = new WeakMap<object, string>()

  constructor(db: Pick<Database, 'query'>, session: Session, folder: MigrationFolder, options: MigrateOptions) {
    this.#db = db
    this.#session = session
    this.#folder = folder
    this.#options = options
  }

  /** Runs the first `count` of what has not run. */
  async start(count: number): Promise<void> {
    const files = new Map(this.#folder.files.map((file) => [resolve(file.path), file]))
    const options: RunnerOption = {
      // All it does with a connection is to ask it.
      dbClient: { query: this.#ask } as unknown as Extract<RunnerOption, { dbClient: unknown }>['dbClient'],
      dir: resolve(this.#folder.path),
      ignorePattern: String.raw`(?:\..*|.*\.md)`,
      migrationsTable: historyTable,
      migrationsSchema: 'public',
      direction: 'up',
      count,
      noLock: true, // we hold it already, and have waited for it without a snapshot
      singleTransaction: false,
      logger: { info() {}, warn() {}, error() {} },
      migrationLoaderStrategies: [
        {
          extensions: ['.sql'],
          loader: async (paths) =>
            paths.map((path) => {
              const file = files.get(path)
              if (!file) throw new Error(`${path} has come into the folder only now`)
              return { id: path, filePaths: [path], actions: { up: (pgm) => this.#run(pgm, file), down: false } }
            }),
        },
      ],
    }
    try {
      await runner(options)
    } catch (error) {
      throw this.#named(error)
    }
  }

  readonly #ask: Query = async <Row>(text: string, values?: readonly unknown[]) => {
    try {
      return await this.#session.query<Row>(text, values)
    } catch (error) {
      if (error instanceof Error) this.#failed.set(error, text)
      throw error
    }
  }

  async #run(pgm: MigrationBuilder, file: MigrationFile): Promise<void> {
    this.#current = file
    const { lockTimeout = 5000, progress = () => {} } = this.#options
    if (file.isOutsideTransaction) {
      pgm.noTransaction()
      for (const statement of file.statements) {
        const action = await runIndexStatement(this.#indexRun(file, statement))
        progress(file.file, `line ${statement.line}: ${done[action]}`)
      }
    } else {
      const { length } = file.statements
      progress(file.file, `${length} statement${length === 1 ? '' : 's'} in a transaction`)
      // A statement that waits for a table makes everybody behind it wait as well.
      pgm.sql(`SET LOCAL lock_timeout = ${lockTimeout}`)
      for (const statement of file.statements) pgm.sql(statement.text)
    }
    pgm.sql(remember(file.name, file.sha256))
  }

  #indexRun(file: MigrationFile, statement: Statement): IndexRun {
    const { lockWait = 60_000, progress = () => {} } = this.#options
    const watch: IndexRun['watch'] = async (name, build) => {
      const { rows } = await this.#ask<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      const timer = setInterval(() => {
        const said = this.#db.query<{ said: string }>(phase, [rows[0]?.pid])
        said.then(({ rows }) => rows[0] && progress(file.file, `${name}: ${rows[0].said}`)).catch(() => {})
      }, 500)
      try {
        return await build()
      } finally {
        clearInterval(timer)
      }
    }
    return { query: this.#ask, file: file.file, statement, wait: lockWait, watch }
  }

  /** The error with the file and the line of the statement that failed. */
  #named(error: unknown): unknown {
    const text = error instanceof Error ? this.#failed.get(error) : undefined
    const file = this.#current
    if (!(error instanceof Error) || text === undefined || !file) return error
    const statement = file.statements.find((statement) => text.startsWith(statement.text))
    const position = Number((error as { position?: string }).position ?? 0) // PostgreSQL's errors may have one
    const inside = statement && position > 0 ? text.slice(0, position).split('\n').length - 1 : 0
    const said = [sqlState(error), error.message].filter(Boolean).join(' ')
    const line = statement ? statement.line + inside : 0
    return new MigrationError([problem('MIGRATION_FAILED', file.file, line, said)], { cause: error })
  }
}

const done: Readonly<Record<IndexAction, string>> = {
  build: 'index built',
  rebuild: 'an invalid index was dropped, and built again',
  keep: 'the index is there already',
  drop: 'index dropped',
  nothing: 'there is no such index',
}

const phase = `
  SELECT phase || CASE WHEN blocks_total > 0 THEN ' ' || round(100.0 * blocks_done / blocks_total) || ' %'
    WHEN lockers_total > 0 THEN ' (' || lockers_total - lockers_done || ' transactions)' ELSE '' END AS said
  FROM pg_stat_progress_create_index WHERE pid = $1`
