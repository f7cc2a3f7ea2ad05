/** `postern migrate plan|up|status`: brings a database to the schema that this version of Postern needs, or says what that takes. */
import { loadConfig } from '../config/load.ts'
import { ConfigError, render as renderConfig } from '../config/problems.ts'
import { openDatabase, type Database, type DatabaseSetting } from '../database/database.ts'
import { shippedMigrations } from '../database/files.ts'
import { plan, status, up, type MigrateOptions } from '../database/migrate.ts'
import { MigrationError, render } from '../database/problems.ts'
import { silentLog } from '../observe/log.ts'
import { pluginSource } from '../plugins.ts'

export interface MigrateCommandOptions {
  /** gateway.yaml, which names the database unless `database` does. */
  readonly config: string
  readonly json: boolean
  /** What comes behind `migrate`. */
  readonly action: string | undefined
  /** `postgres://…`, `embedded` or `embedded:FOLDER`. */
  readonly database?: string
  /** Default: the migrations that Postern comes with. */
  readonly folder?: string
}

/** Where the answer goes, and where everything goes that should not mix with it. */
export interface Output {
  readonly tell: (line: string) => void
  readonly say: (line: string) => void
}

const terminal: Output = {
  tell: (line) => void process.stdout.write(`${line}\n`),
  say: (line) => void process.stderr.write(`${line}\n`),
}

/** How long, in ms, the database may take until it answers: an embedded one may have to be made, or to recover. */
const patience = { postgres: 10_000, embedded: 60_000 }

/** Exit code 0: done, or nothing to do; 1: refused or failed; 2: called wrongly; 3, of `status` alone: something is pending that `up` would run. */
export async function migrate(options: MigrateCommandOptions, out: Output = terminal): Promise<number> {
  const { action, folder = shippedMigrations, json } = options
  const act = action !== undefined && Object.hasOwn(actions, action) ? actions[action] : undefined
  if (!act) {
    out.say(`postern: migrate what? postern migrate ${Object.keys(actions).join('|')}`)
    return 2
  }
  let db: Database | undefined
  try {
    db = openDatabase(await settingOf(options), silentLog)
    await db.ready(patience[db.kind])
    const progress = (file: string, text: string): void => out.say(file ? `${file}: ${text}` : text)
    return await act(db, { folder, progress }, json, out)
  } catch (error) {
    if (json && error instanceof MigrationError) out.tell(pretty({ ok: false, problems: error.problems }))
    else out.say(sentence(error))
    return 1
  } finally {
    await db?.close()
  }
}

type Action = (db: Database, options: MigrateOptions, json: boolean, out: Output) => Promise<number>

const actions: Readonly<Record<string, Action>> = {
  async plan(db, options, json, { tell }) {
    const planned = await plan(db, options)
    if (json) tell(pretty({ ok: true, planned }))
    else if (planned.length === 0) tell('Nothing to do.')
    for (const { name, isOutsideTransaction, statements, held } of json ? [] : planned) {
      tell(`${name}  ${isOutsideTransaction ? 'statement by statement, outside a transaction' : 'in one transaction'}`)
      for (const { line, sql, action } of statements)
        tell(`  ${String(line).padStart(4)}  ${words[action]}${brief(sql)}`)
      for (const reason of held) tell(`  held: ${reason}`)
    }
    return 0
  },

  async up(db, options, json, { tell }) {
    const ran = await up(db, options)
    if (json) tell(pretty({ ok: true, ran }))
    else tell(ran.length === 0 ? 'Nothing to do.' : `${ran.length} run: ${ran.join(', ')}`)
    return 0
  },

  async status(db, options, json, { tell }) {
    const { applied, pending, due, problems } = await status(db, options)
    const isWell = problems.length === 0
    if (json) {
      tell(pretty({ ok: isWell && due.length === 0, applied, pending, due, problems }))
    } else {
      for (const { name, appliedAt } of applied) tell(`${appliedAt?.toISOString() ?? '?'.padEnd(24)}  ${name}`)
      for (const name of pending) tell(`${(due.includes(name) ? 'pending' : 'held').padEnd(24)}  ${name}`)
      for (const problem of problems) tell(render(problem))
    }
    if (!isWell) return 1
    return due.length > 0 ? 3 : 0
  },
}

/** What becomes of an index; of everything else the statement itself says it. */
const words = {
  run: '',
  build: 'build: ',
  rebuild: 'drop what is invalid, and build again: ',
  keep: 'is there already: ',
  drop: 'drop: ',
  nothing: 'is not there: ',
} as const

/** `--database` before gateway.yaml. */
async function settingOf({ database, config: file }: MigrateCommandOptions): Promise<DatabaseSetting> {
  if (database !== undefined) return database
  const { config, problems } = await loadConfig(file, { plugins: pluginSource })
  if (!config) throw new ConfigError(problems)
  const setting = config.settings.database.reveal()
  if (setting !== 'none') return setting
  throw new Error(`${file} names no database: add "database: postgres://…" to it, or call with --database URL`)
}

/** The first line of a statement, without its comments and the spaces between its words. */
function brief(sql: string): string {
  const line = sql.replaceAll(/--.*$/gm, '').replaceAll(/\s+/g, ' ').trim()
  return line.length > 100 ? `${line.slice(0, 99)}…` : line
}

function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2)
}

function sentence(error: unknown): string {
  if (error instanceof ConfigError) return error.problems.map(renderConfig).join('\n\n')
  if (error instanceof MigrationError) return error.message
  return `postern: ${error instanceof Error ? error.message : String(error)}`
}
