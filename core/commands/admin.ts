/** `postern users|groups|keys|accounts …`: what operators do with the records of the database, while gateways run. */
import { loadConfig, type Config } from '../config/load.ts'
import { ConfigError, render } from '../config/problems.ts'
import { DatabaseUnavailable, sqlState, type Database } from '../database/database.ts'
import { pluginSource } from '../plugins.ts'
import { RecordProblem } from '../records/problem.ts'
import { accounts } from './admin-accounts.ts'
import { groups } from './admin-groups.ts'
import { keys } from './admin-keys.ts'
import { helpOf, helpOfVerb } from './admin-print.ts'
import { users } from './admin-users.ts'
import { Misuse, readWords, type Given, type Verb } from './admin-words.ts'
import { openNamed } from './database.ts'

const nouns: Readonly<Record<string, Readonly<Record<string, Verb>>>> = { users, groups, keys, accounts }

/**
 * Runs one command: `words` is everything behind `postern`. Exit code 0: done; 1: refused, or the database cannot be asked; 2:
 * called wrongly.
 */
export async function admin(words: readonly string[]): Promise<number> {
  const isJson = words.includes('--json')
  try {
    return await run(words)
  } catch (error) {
    const isMisuse = error instanceof Misuse
    const message = sentence(error)
    if (isJson && !isMisuse) tell(JSON.stringify({ ok: false, code: codeOf(error), error: message }, null, 2))
    else process.stderr.write(`postern: ${message}${isMisuse ? ` Try: postern ${words[0] ?? ''} --help` : ''}\n`)
    return isMisuse ? 2 : 1
  }
}

async function run([noun = '', name = '', ...rest]: readonly string[]): Promise<number> {
  const verbs = Object.hasOwn(nouns, noun) ? nouns[noun] : undefined
  if (!verbs) throw new Misuse(`There is nothing called "${noun}"; there are ${Object.keys(nouns).join(', ')}.`)
  if (name === '--help' || name === '-h' || name === 'help') return tell(...helpOf(noun, verbs))
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
  if (!verb) {
    const what =
      name === '' || name.startsWith('-') ? `Say what to do with ${noun}` : `${noun} has no command "${name}"`
    throw new Misuse(`${what}: ${Object.keys(verbs).join(', ')}.`)
  }
  const { words, given } = readWords(verb, rest)
  if (given.has('help')) return tell(...helpOfVerb(noun, name, verb))
  let loaded: Promise<Config> | null = null
  const config = () => (loaded ??= load(given.text('config') ?? 'gateway.yaml'))
  const db = await open(given, config)
  try {
    const { json, lines } = await verb.run({ words, given, db, config })
    return given.has('json') ? tell(JSON.stringify({ ok: true, ...json }, null, 2)) : tell(...lines)
  } finally {
    await db.close()
  }
}

function tell(...lines: string[]): 0 {
  process.stdout.write(`${lines.join('\n')}\n`)
  return 0
}

async function load(file: string): Promise<Config> {
  const { config, problems } = await loadConfig(file, { plugins: pluginSource })
  if (!config) throw new ConfigError(problems)
  return config
}

/** `--database` before gateway.yaml. */
async function open(given: Given, config: () => Promise<Config>): Promise<Database> {
  const named = given.text('database') ?? (await namedIn(config))
  if (!/^(embedded|embedded:.+|postgres(ql)?:\/\/.+)$/.test(named))
    throw new Misuse('--database must be postgres://USER:PASSWORD@HOST/NAME or embedded.')
  return openNamed(named)
}

async function namedIn(config: () => Promise<Config>): Promise<string> {
  const { file, settings } = await config()
  const setting = settings.database.reveal()
  if (setting !== 'none') return setting
  throw new Error(`${file} names no database: add "database: postgres://…" to it, or call with --database URL`)
}

function codeOf(error: unknown): string {
  if (error instanceof RecordProblem) return error.code
  if (error instanceof DatabaseUnavailable) return error.code
  return error instanceof ConfigError ? 'CONFIG' : 'FAILED'
}

function sentence(error: unknown): string {
  if (error instanceof ConfigError) return error.problems.map(render).join('\n\n')
  // An undefined table or column.
  if (['42P01', '42703'].includes(sqlState(error)))
    return 'the schema of the database is not this version’s: run postern migrate up'
  return error instanceof Error ? error.message : String(error)
}
