/** `postern upstreams`: how those of a running gateway do; sets one aside, or ends its rests. Asks the console's pages. */
import { parseDuration } from '../config/formats.ts'
import { loadConfig, type Config } from '../config/load.ts'
import { render } from '../config/problems.ts'
import { pluginSource } from '../plugins.ts'
import { table } from './admin-print.ts'
import { askAdmin } from './ask-admin.ts'

export interface UpstreamsOptions {
  readonly config: string
  readonly json: boolean
  /** What stands behind `upstreams`: nothing or `list`, `rest NAME DURATION`, `wake NAME`. */
  readonly words: readonly string[]
}

const usage =
  'postern: upstreams is followed by nothing, by rest NAME 10m (1m to 1d), or by wake NAME. Try: postern --help\n'

/** Resolves with the exit code: 0 if it was done, 1 if it could not be, 2 if it was called wrongly. */
export async function upstreams({ config: file, json, words }: UpstreamsOptions): Promise<number> {
  const wanted = wantedBy(words)
  if (wanted === null) {
    process.stderr.write(usage)
    return 2
  }
  const { config, problems } = await loadConfig(file, { plugins: pluginSource })
  if (!config) return say(json, { problems }, problems.map(render).join('\n\n'), 1)
  try {
    const { status, value, worker } = await askAdmin(config, `${consoleOf(config)}/data/${wanted.page}`, wanted.body)
    if (status !== 200) return fail(json, errorIn(value) ?? `the gateway answered ${status}`)
    const whose = worker !== null && !wanted.body ? `\nAs worker ${worker} has seen them.` : ''
    return say(json, value, wanted.text(value) + whose, 0)
  } catch (error) {
    return fail(json, error instanceof Error ? error.message : String(error))
  }
}

interface Wanted {
  readonly page: string
  readonly body?: object
  /** What is said of the answer. */
  readonly text: (told: unknown) => string
}

/** Null where the words make no sense. */
function wantedBy([verb = 'list', upstream, duration, ...more]: readonly string[]): Wanted | null {
  if (more.length > 0) return null
  if (verb === 'list' && upstream === undefined) return { page: 'upstreams', text: listed }
  if (upstream === undefined) return null
  if (verb === 'wake' && duration === undefined)
    return { page: 'unrest', body: { upstream }, text: (told) => `${upstream} is asked again${whereOf(told)}` }
  const ms = duration === undefined ? null : parseDuration(duration)
  if (verb !== 'rest' || ms === null) return null
  const text = (told: unknown) => `${upstream} is set aside until ${String(fieldOf(told, 'until'))}${whereOf(told)}`
  return { page: 'rest', body: { upstream, minutes: ms / 60_000 }, text }
}

/** Its pages are what is asked. Throws a sentence where the list has none. */
function consoleOf({ plugins }: Config): string {
  const found = plugins.find(({ name }) => name === 'console')
  if (!found) throw new Error('upstreams are told by the plugin console: add it to plugins')
  return String(fieldOf(found.config, 'path'))
}

/** Of an upstream, as the console tells it. */
interface Told {
  readonly name: string
  readonly provider: string
  readonly aside_until: string | null
  readonly passed_over: { readonly reason: string; readonly until: string | null } | null
  readonly slots: { readonly limit: number | null; readonly taken: number | null }
  readonly asked: number
  readonly errors: number | null
  readonly first_content_ms: number | null
  readonly last_error: string | null
}

const titles = ['NAME', 'PROVIDER', 'STATE', 'SLOTS', 'ASKED', 'ERRORS', 'FIRST CONTENT', 'LAST ERROR']

function listed(told: unknown): string {
  const all = fieldOf(told, 'upstreams') as readonly Told[] // what the page tells
  const rows = all.map((one) => [
    one.name,
    one.provider,
    stateOf(one),
    one.slots.limit === null ? null : `${one.slots.taken ?? '?'} of ${one.slots.limit}`,
    one.asked,
    one.errors === null ? null : `${(one.errors * 100).toFixed(1)} %`,
    one.first_content_ms === null ? null : `${one.first_content_ms} ms`,
    one.last_error,
  ])
  return table(titles, rows).join('\n')
}

function stateOf({ aside_until: aside, passed_over: passed }: Told): string {
  if (aside !== null) return `set aside until ${aside}`
  if (passed === null) return 'is asked'
  return passed.until === null ? passed.reason : `${passed.reason.replace(/ \(\d+ s\)$/, '')} until ${passed.until}`
}

function whereOf(told: unknown): string {
  return fieldOf(told, 'told') === false ? ', by that process only: the store did not take it' : ''
}

function errorIn(value: unknown): string | null {
  const error = fieldOf(value, 'error')
  return typeof error === 'string' ? error : null
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined
}

function fail(json: boolean, error: string): number {
  return say(json, { error }, error, 1)
}

function say(json: boolean, value: unknown, text: string, code: number): number {
  process.stdout.write(json ? `${JSON.stringify(value, null, 2)}\n` : `${text}\n`)
  return code
}
