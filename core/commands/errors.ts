/** `postern errors list|show|summary`: what ops-capture has kept of failed exchanges, wherever gateway.yaml puts it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { resolve } from 'node:path'
import { findErrors, listErrors, sumErrors, type Found, type Places } from '../captured/archive.ts'
import type { CapturedError } from '../captured/captured.ts'
import { isThere } from '../captured/files.ts'
import { owners, phases, type Filter } from '../captured/filter.ts'
import { loadConfig } from '../config/load.ts'
import { ConfigError, render } from '../config/problems.ts'
import { sqlState, type Database } from '../database/database.ts'
import { pluginSource } from '../plugins.ts'
import { Misuse, readWords, type Given, type Option } from './admin-words.ts'
import { openNamed } from './database.ts'
import { details, help, lineOf, overview } from './errors-print.ts'

/** Where the answer goes, and where everything goes that should not mix with it. */
interface Output {
  readonly tell: (line: string) => void
  readonly say: (line: string) => void
  /** Characters of a line; 0: as many as there are. */
  readonly width: number
}

interface Call {
  readonly given: Given
  readonly words: readonly string[]
  readonly places: Places
  readonly out: Output
}

/** How often, in ms, `--follow` asks; and how far back it looks for records of sidecars that write later. */
const often = 1000
const overlap = 15_000
const dayLength = 86_400_000
/** How long, in ms, a database has to answer before the file is told alone. */
const wait = 3000

const filters: Readonly<Record<string, Option>> = {
  since: { value: 'TIME', says: 'Not older than: 1h, 7d, or 2027-01-31T12:00:00Z. Default: 1d' },
  status: { value: 'N', says: 'What the client was told; 0: nothing' },
  upstream: { value: 'NAME', says: 'The upstream that was asked last' },
  phase: { value: 'PHASE', says: phases.join(', ') },
  owner: { value: 'OWNER', says: `Who has to act: ${owners.join(', ')}` },
  code: { value: 'CODE', says: 'The error’s code, or its type where it has none' },
  exchange: { value: 'ID', says: 'The exchange, as the client was told in x-postern-exchange' },
}

interface Verb {
  readonly words: readonly string[]
  readonly options: Readonly<Record<string, Option>>
  run(call: Call): Promise<Error | null>
}

const verbs: Readonly<Record<string, Verb>> = {
  list: {
    words: [],
    options: {
      ...filters,
      limit: { value: 'N', says: 'So many at most. Default: 50' },
      follow: { says: 'Go on with those to come, until Ctrl-C' },
    },
    async run({ given, places, out }) {
      const filter = filterOf(given)
      const { found, problem } = await listErrors(places, filter, limitOf(given))
      const tell = (record: CapturedError) =>
        out.tell(given.has('follow') && given.has('json') ? JSON.stringify(record) : lineOf(record, out.width))
      if (given.has('follow')) return follow({ places, out }, filter, found.toReversed(), tell)
      if (given.has('json')) out.tell(JSON.stringify({ ok: problem === null, errors: found }, null, 2))
      else if (found.length === 0) out.tell('None.')
      else found.forEach(tell)
      return problem
    },
  },
  show: {
    words: ['ID'],
    options: {},
    async run({ words: [id = ''], given, places, out }) {
      const { found, problem } = await findErrors(places, id, 100)
      if (found.length === 0 && !problem)
        throw new Error(`there is no captured error ${id}: it went well, was left out, or has become too old`)
      if (given.has('json')) out.tell(JSON.stringify({ ok: problem === null, errors: found }, null, 2))
      else out.tell(found.map((record) => details(record).join('\n')).join('\n\n'))
      return problem
    },
  },
  summary: {
    words: [],
    options: filters,
    async run({ given, places, out }) {
      const { found, problem } = await sumErrors(places, filterOf(given))
      if (given.has('json')) out.tell(JSON.stringify({ ok: problem === null, ...found }, null, 2))
      else overview(found, out.width).forEach(out.tell)
      return problem
    },
  },
}

/**
 * Runs one: `words` is everything behind `errors`. Exit code 0: told all; 1: refused, or some of it could not be asked for; 2: called
 * wrongly.
 */
export async function errors([name = '', ...rest]: readonly string[]): Promise<number> {
  const out: Output = {
    tell: (line) => void process.stdout.write(`${line}\n`),
    say: (line) => void process.stderr.write(`${line}\n`),
    width: process.stdout.isTTY ? process.stdout.columns : 0,
  }
  // Whoever reads no further, as `head` does, has what it wanted.
  process.stdout.on('error', () => process.exit(0))
  try {
    return await run(name, rest, out)
  } catch (error) {
    const isMisuse = error instanceof Misuse
    out.say(`postern: ${sentence(error)}${isMisuse ? ' Try: postern errors --help' : ''}`)
    return isMisuse ? 2 : 1
  }
}

async function run(name: string, rest: readonly string[], out: Output): Promise<number> {
  const verb = Object.hasOwn(verbs, name) ? verbs[name] : undefined
  if (['', '--help', '-h', 'help'].includes(name)) {
    if (name === '') throw new Misuse(`Say what to do with errors: ${Object.keys(verbs).join(', ')}.`)
    out.tell(help(verbs.list!.options))
    return 0
  }
  if (!verb) throw new Misuse(`errors has no command "${name}": ${Object.keys(verbs).join(', ')}.`)
  const { words, given } = readWords({ ...verb, says: '', run: () => Promise.reject(new Error()) }, rest)
  if (given.has('help')) {
    out.tell(help(verb.options))
    return 0
  }
  // Before anything is opened.
  filterOf(given)
  limitOf(given)
  const { file, setting } = await placesIn(given)
  let db: Database | null = null
  let down: unknown = null
  if (setting !== null) db = await openNamed(setting, wait).catch((error: unknown) => ((down = error), null))
  try {
    if (!db && !(await isThere(file))) {
      if (down) throw down
      throw new Error(
        `${file} is not there (yet): nothing was captured, or the gateway runs in another folder. Run this in the gateway’s`,
      )
    }
    const problem = (await verb.run({ given, words, places: { database: db, file }, out })) ?? down
    if (problem) out.say(`postern: ${sentence(problem)}. This is what stands in ${file} alone`)
    return problem ? 1 : 0
  } finally {
    await db?.close()
  }
}

/** Where ops-capture writes, as gateway.yaml says. */
async function placesIn(given: Given): Promise<{ readonly file: string; readonly setting: string | null }> {
  const { config, problems } = await loadConfig(given.text('config') ?? 'gateway.yaml', { plugins: pluginSource })
  if (!config) throw new ConfigError(problems)
  const entry = config.plugins.find(({ name }) => name === 'ops-capture')
  if (!entry)
    throw new Error(
      `nothing is captured: the plugins of ${config.file} lack ops-capture. Add "- ops-capture" to the end of its list`,
    )
  const options = entry.config as { readonly file: string; readonly database: boolean } // as its schema has it
  const setting = given.text('database') ?? config.settings.database.reveal()
  return { file: resolve(options.file), setting: options.database && setting !== 'none' ? setting : null }
}

function limitOf(given: Given): number {
  const limit = given.whole('limit') ?? 50
  if (limit < 1) throw new Misuse('--limit must be 1 at least.')
  return Math.min(limit, 100_000)
}

function filterOf(given: Given): Filter {
  const since = given.text('since')
  const phase = given.text('phase')
  const owner = given.text('owner')
  if (phase !== undefined && !phases.some((known) => known === phase))
    throw new Misuse(`--phase must be one of ${phases.join(', ')}.`)
  if (owner !== undefined && !owners.some((known) => known === owner))
    throw new Misuse(`--owner must be one of ${owners.join(', ')}.`)
  // Of one exchange everything is wanted.
  const isAll = since === undefined && given.has('exchange')
  return {
    since: isAll ? undefined : momentOf(given, since),
    status: given.whole('status'),
    upstream: given.text('upstream'),
    phase,
    owner,
    code: given.text('code'),
    exchange: given.text('exchange'),
  }
}

function momentOf(given: Given, since: string | undefined): number {
  if (since === undefined) return Date.now() - dayLength
  if (/^\d{4}-/.test(since)) return given.dateOrNone('since')!.getTime()
  return Date.now() - given.duration('since')!
}

/** Tells those that are there, the oldest first, and then each that comes. Ends with the process. */
async function follow(
  { places, out }: Pick<Call, 'places' | 'out'>,
  filter: Filter,
  before: readonly CapturedError[],
  tell: (record: CapturedError) => void,
): Promise<Error | null> {
  let told = new Set<string>()
  let problem: Error | null = null
  const keyOf = ({ id, at, exchange }: CapturedError) => id || `${at} ${exchange}`
  for (const record of before) {
    tell(record)
    told.add(keyOf(record))
  }
  const begin = Date.now()
  for (;;) {
    await sleep(often)
    const recent = { ...filter, since: Math.max(begin - overlap, Date.now() - overlap) }
    const asked: Found<CapturedError[]> = await listErrors(places, recent, 10_000)
    if (asked.problem && asked.problem.message !== problem?.message) out.say(`postern: ${sentence(asked.problem)}`)
    problem = asked.problem
    const fresh = asked.found.filter((record) => !told.has(keyOf(record)))
    for (const record of fresh.toReversed()) tell(record)
    // What is older than what was asked for does not come again.
    told = new Set([...asked.found.map(keyOf), ...(Date.now() - begin < overlap ? told : [])])
  }
}

function sentence(error: unknown): string {
  if (error instanceof ConfigError) return error.problems.map(render).join('\n\n')
  // An undefined table or column.
  if (['42P01', '42703'].includes(sqlState(error)))
    return 'the schema of the database is not this version’s: run postern migrate up'
  return error instanceof Error ? error.message : String(error)
}
