/** The list of plugins: finds each, holds its configuration against its schema, mounts the providers. */
import type { JSONSchema } from 'json-schema-to-ts'
import type { Plugin } from '../plugin.ts'
import type { Dialect, Provider } from '../provider.ts'
import { check, isBroken, writtenAt, type Draft } from './check.ts'
import type { Path } from './document.ts'
import { ready } from './mistakes.ts'
import { didYouMean } from './problems.ts'
import { literal } from './sentences.ts'
import { settle } from './settle.ts'
import { hideAll } from './veil.ts'

/** Where plugins come from. The configuration knows none by itself. */
export interface PluginSource {
  /** The built-in ones. */
  readonly names: readonly string[]
  /** Finds a plugin by what gateway.yaml calls it; `folder` is gateway.yaml's own. Rejects with what is wrong. */
  load(name: string, folder: string): Promise<Plugin>
}

/** Why a plugin cannot be used, and what to do about it. */
export class UnusablePlugin extends Error {
  override name = 'UnusablePlugin'
  readonly cure: string
  constructor(message: string, cure: string) {
    super(message)
    this.cure = cure
  }
}

/** A plugin of the list, with its configuration. */
export interface PluginEntry {
  readonly name: string
  readonly plugin: Plugin
  /** Checked, defaults applied, durations in ms, sizes in bytes, frozen. */
  readonly config: unknown
  /** What a provider has mounted, all under one name; none for other plugins. */
  readonly providers: readonly Provider[]
  readonly line: number
  readonly column: number
}

/** An item of the list, as far as it could be read. One that could not be read at all may have the empty name. */
export interface Item {
  readonly name: string
  /** The name in sentences: a reference is said instead of what it stands for. */
  readonly called: string
  readonly offset: number
  /** Where its configuration is, if it has one. */
  readonly path: Path
  /** Null where it could not be loaded. */
  readonly plugin: Plugin | null
  /** Null where it could not be loaded or its configuration is wrong. */
  readonly entry: PluginEntry | null
}

/** Reads the whole list; items that cannot be read are reported, and the others are read all the same. */
export async function readPlugins(draft: Draft, source: PluginSource, folder: string): Promise<readonly Item[]> {
  const list = draft.yaml.value(['plugins'])
  if (!Array.isArray(list)) return []
  const items = await Promise.all(
    list.map(async (item: unknown, index): Promise<Item> => {
      const named = nameOf(draft, ['plugins', index], item)
      const usable = !isBroken(draft, ['plugins', index]) && checkItem(draft, ['plugins', index], item)
      return usable ? readItem(draft, named, source, folder) : { ...named, plugin: null, entry: null }
    }),
  )
  checkMounts(draft, items)
  return items
}

type Named = Omit<Item, 'plugin' | 'entry'>

/** The name that an item has, or else seems to have. */
function nameOf(draft: Draft, path: Path, item: unknown): Named {
  const name = typeof item === 'string' ? item : (keysOf(item)[0] ?? '')
  return { name, called: writtenAt(draft, path) ?? name, offset: draft.yaml.offset(path), path: [...path, name] }
}

/** Whether an item is a name, or a map with one name; reports what else it is. */
function checkItem(draft: Draft, path: Path, item: unknown): boolean {
  const { yaml, report } = draft
  const [first, second, ...more] = keysOf(item)
  if (typeof item === 'string' ? item !== '' : first && second === undefined) return true
  hideAll(yaml, report, yaml.node(path))
  if (first !== undefined && second !== undefined) {
    const names = [first, second, ...more].map(quoted).join(' and ')
    const cure = `Indent what belongs to ${first} further than its name, or give ${second} a dash of its own`
    report.add(yaml.keyOffset(path, second), `a plugin is a map with one name, but here are ${names}`, cure)
    return false
  }
  const found = item === null ? 'but here is nothing' : `not ${writtenAt(draft, path) ?? literal(item)}`
  const cure = 'Write "- NAME" or "- NAME: { OPTION: VALUE }"'
  report.add(yaml.offset(path), `a plugin is a name, or a map with that one name, ${found}`, cure)
  return false
}

function keysOf(item: unknown): readonly string[] {
  return typeof item === 'object' && item !== null && !Array.isArray(item) ? Object.keys(item) : []
}

async function readItem(draft: Draft, named: Named, source: PluginSource, folder: string): Promise<Item> {
  const { called, offset } = named
  const failed = (plugin: Plugin | null): Item => ({ ...named, plugin, entry: null })
  const plugin = await load(draft, named, source, folder)
  if (!plugin) return failed(null)
  const checked = await checkOptions(draft, plugin, named)
  if (!checked) return failed(plugin)
  try {
    const providers = plugin.mount?.(checked.value, await spokenBy(plugin, source, folder)) ?? []
    const place = draft.report.position(offset)
    return {
      ...named,
      plugin,
      entry: Object.freeze({ name: plugin.name, plugin, config: checked.value, providers, ...place }),
    }
  } catch (error) {
    draft.report.add(offset, `${called} cannot be mounted: ${messageOf(error)}`, undefined, 'CONFIG_PLUGIN')
    return failed(plugin)
  }
}

/** The dialects that a provider builds on, as they are by default. */
async function spokenBy({ speaks = [] }: Plugin, source: PluginSource, folder: string): Promise<readonly Dialect[]> {
  const spoken = await Promise.all(
    speaks.map(async (name) => {
      const other = await source.load(name, folder)
      if (!other.mount) throw new Error(`it speaks as ${name} does, which is no provider`)
      await ready(other.config)
      return other.mount(settle(other.config, {}), await spokenBy(other, source, folder)).map(({ dialect }) => dialect)
    }),
  )
  return spoken.flat()
}

/** Null where the options are wrong, or their schema is. */
async function checkOptions(
  draft: Draft,
  plugin: Plugin,
  { called, offset, path }: Named,
): Promise<{ readonly value: unknown } | null> {
  try {
    return await check(draft, closedSchema(plugin), path, { root: called, prefix: called })
  } catch (error) {
    const message = `${called} has a schema that cannot be used: ${messageOf(error)}`
    draft.report.add(offset, message, 'This is for its author to repair', 'CONFIG_PLUGIN')
    return null
  }
}

async function load(draft: Draft, named: Named, source: PluginSource, folder: string): Promise<Plugin | null> {
  const { name, called, offset, path } = named
  try {
    return await source.load(name, folder)
  } catch (error) {
    hideAll(draft.yaml, draft.report, draft.yaml.node(path))
    const isBare = !/[./]/.test(name) && !source.names.includes(name)
    const guess = isBare && called === name ? didYouMean(name, source.names) : ''
    const reason =
      guess === ''
        ? `${quoted(called)} cannot be loaded: ${messageOf(error)}`
        : `there is no plugin ${quoted(called)}${guess}`
    const builtIn = isBare ? `Built in are ${[...source.names].sort().join(', ')}` : undefined
    draft.report.add(offset, reason, error instanceof UnusablePlugin ? error.cure : builtIn, 'CONFIG_PLUGIN')
    return null
  }
}

/** At its top level a plugin knows the keys that its schema names and no others: else no typing error would be one. */
function closedSchema(plugin: Plugin): JSONSchema {
  const { config } = plugin
  if (typeof config === 'boolean' || config.additionalProperties !== undefined) return config
  const known = closed.get(plugin) ?? { ...config, additionalProperties: false }
  closed.set(plugin, known)
  return known
}

const closed = new WeakMap<Plugin, JSONSchema>()

/** Two providers under one name could not be told apart by `upstreams`. */
function checkMounts({ report }: Draft, items: readonly Item[]): void {
  const mounted = new Map<string, number>()
  for (const { entry, offset } of items) {
    const name = entry?.providers[0]?.name
    if (name === undefined) continue
    const line = mounted.get(name)
    if (line === undefined) mounted.set(name, entry!.line)
    else
      report.add(
        offset,
        `line ${line} has mounted a provider as ${quoted(name)} already`,
        `Give this one a name of its own with "as"`,
        'CONFIG_TWICE',
      )
  }
}

function quoted(name: string): string {
  return JSON.stringify(name)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
