/**
 * From the text of gateway.yaml to a configuration: YAML → references → the gateway's own schema → each plugin with its
 * schema → what must fit together. A step that fails does not keep the others from saying what they find: all problems
 * are reported at once.
 */
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Key } from '../access/key.ts'
import type { Upstream } from '../plugin.ts'
import { check, type Draft } from './check.ts'
import { readYaml } from './document.ts'
import { checkFacts } from './facts.ts'
import { checkKeys, readKeys } from './keys.ts'
import { readPlugins, type Item, type PluginEntry, type PluginSource } from './plugins.ts'
import type { Problem } from './problems.ts'
import { resolveReferences } from './references.ts'
import { Report } from './report.ts'
import { coreSchema, type Core, type Settings } from './schema.ts'
import { checkListenerTls } from './tls.ts'
import { checkUpstreams, readUpstreams } from './upstreams.ts'
import { checkWebsocket } from './websocket.ts'
import { checkWorkers } from './workers.ts'

export type { PluginEntry, PluginSource }

/** One version of gateway.yaml, ready to be built. Frozen all the way down, but for what plugins have made. */
export interface Config {
  /** As it was given to `loadConfig`. */
  readonly file: string
  /** The first 12 hex digits of the SHA-256 of the file and of the files it refers to. */
  readonly version: string
  /** The gateway's own settings. */
  readonly settings: Settings
  readonly upstreams: readonly Upstream[]
  /** The keys of the file, by the SHA-256 of each, in hex. */
  readonly keys: ReadonlyMap<string, Key>
  /** In the order of the list. */
  readonly plugins: readonly PluginEntry[]
  /** What the operator should know although it is no problem. */
  readonly notes: readonly string[]
}

/** The SHA-256 of files as they were read, by their paths; null where they could not be. */
export type FileHashes = ReadonlyMap<string, string | null>

/** Either a configuration or at least one problem. */
export interface Loaded {
  readonly config: Config | null
  readonly problems: readonly Problem[]
  readonly file: string
  readonly text: string
  /** The files it refers to, those included that could not be read. */
  readonly files: FileHashes
  /** What those held that could be read, by their paths. */
  readonly taken: ReadonlyMap<string, Uint8Array>
}

export interface LoadOptions {
  readonly plugins: PluginSource
  /** Where `${VAR}` looks; the environment of this process where absent. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Files that it refers to, as they were read before: these are not read again. */
  readonly given?: ReadonlyMap<string, Uint8Array>
}

/** Reads gateway.yaml from its file. Never rejects for what is in the file, nor because there is none. */
export async function loadConfig(file: string, options: LoadOptions): Promise<Loaded> {
  const bytes = await readFile(file).catch((error: unknown) => reasonOf(error))
  if (typeof bytes !== 'string' && isUtf8(bytes)) return parseConfig(bytes.toString('utf8'), file, options)
  const report = new Report(file, '')
  const reason = typeof bytes === 'string' ? bytes : 'it is not UTF-8'
  report.add(0, `this file cannot be read: ${reason}`, 'Name the right one with --config FILE', 'CONFIG_FILE')
  return { config: null, problems: report.problems(), file, text: '', files: new Map(), taken: new Map() }
}

/** Reads gateway.yaml from a text; `file` says where it would be, which is what paths in it are relative to. */
export async function parseConfig(text: string, file: string, options: LoadOptions): Promise<Loaded> {
  const report = new Report(file, text)
  const files = new Map<string, string | null>()
  const taken = new Map<string, Uint8Array>()
  const config = await read(text, file, { report, files, taken, ...options })
  return { config, problems: report.problems(), file, text, files, taken }
}

interface Reading extends LoadOptions {
  readonly report: Report
  readonly files: Map<string, string | null>
  readonly taken: Map<string, Uint8Array>
}

async function read(text: string, file: string, { report, ...options }: Reading): Promise<Config | null> {
  const yaml = readYaml(text, report)
  if (!yaml) return null
  const folder = dirname(resolve(file))
  const references = await resolveReferences(yaml, report, {
    ...options,
    env: options.env ?? process.env,
    folder,
  })
  const draft: Draft = { yaml, references, report }
  const core = await check(draft, coreSchema, [], { root: 'the gateway', prefix: '' })
  const items = await readPlugins(draft, options.plugins, folder)
  checkFacts(items, report)
  checkUpstreams(draft, items)
  if (!core) return null
  // `check` has held it against the schema that Core is the type of.
  const { keys, upstreams: list, plugins: _items, ...settings } = core.value as Core
  checkTimers(draft, settings)
  checkWebsocket(draft, settings.websocket)
  checkDatabase(draft, settings, items)
  checkWorkers(draft, settings, items)
  checkKeys(draft, keys)
  checkListenerTls(draft, ['tls'])
  checkListenerTls(draft, ['admin', 'tls'])
  if (!report.clean) return null
  const admitted = readKeys(keys)
  const { upstreams, notes } = readUpstreams(list)
  return Object.freeze({
    file,
    version: versionOf([text, ...references.contents]),
    settings: Object.freeze(settings),
    plugins: Object.freeze(items.flatMap(({ entry }) => entry ?? [])),
    keys: admitted.keys,
    upstreams,
    notes: Object.freeze([...notes, ...admitted.notes]),
  })
}

/** Node's timers hold 2³¹-1 ms; a longer one does not wait at all. */
const longestTimer = 2 ** 31 - 1

function checkTimers({ yaml, report }: Draft, { limits, timeouts, websocket }: Settings): void {
  const timers = [
    ['limits', 'drain', limits.drain],
    ['websocket', 'ping', websocket.ping],
    ['websocket', 'ping_timeout', websocket.ping_timeout],
    ...Object.entries(timeouts).map(([key, value]) => ['timeouts', key, value] as const),
  ] as const
  for (const [map, key, value] of timers) {
    if (value > longestTimer)
      report.add(yaml.offset([map, key]), `${map}.${key} must be at most 24d`, 'Write 24d for "as long as it takes"')
  }
}

function checkDatabase({ report }: Draft, { database }: Settings, items: readonly Item[]): void {
  if (database.reveal() !== 'none') return
  for (const { plugin, called, offset } of items) {
    if (plugin?.needsDatabase)
      report.add(
        offset,
        `${called} needs a database`,
        'Add database: embedded, or database: postgres://…, to the file',
        'CONFIG_MISSING',
      )
  }
}

/** One text: its own hash, as `sha256sum` prints it. */
function versionOf(texts: readonly string[]): string {
  const hash = createHash('sha256')
  texts.forEach((text, index) => hash.update(index === 0 ? text : `\0${text}`))
  return hash.digest('hex').slice(0, 12)
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'there is no such file'
  if (code === 'EISDIR') return 'it is a folder'
  return code === 'EACCES' || code === 'EPERM' ? 'this user may not read it' : String(code ?? error)
}
