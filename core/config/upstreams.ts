/** The list of upstreams: each name once, each provider mounted; one whose key is empty is left out. */
import type { Upstream } from '../plugin.ts'
import { isBroken, writtenAt, type Draft } from './check.ts'
import type { Path } from './document.ts'
import type { Item } from './plugins.ts'
import { didYouMean } from './problems.ts'
import { checkHost } from './hosts.ts'
import type { UpstreamSettings } from './schema.ts'
import { checkUpstreamTls, readTls } from './tls.ts'

/** Reports what the list has wrong with itself or with the plugins; what its schema refuses is reported elsewhere. */
export function checkUpstreams(draft: Draft, plugins: readonly Item[]): void {
  for (const { entry, path } of plugins) if (entry?.providers.length) checkHost(draft, [...path, 'url'])
  const list = draft.yaml.value(['upstreams'])
  const lines = new Map<unknown, number>()
  for (const index of Array.isArray(list) ? list.keys() : []) {
    checkName(draft, ['upstreams', index, 'name'], lines)
    checkProvider(draft, ['upstreams', index, 'provider'], plugins)
    checkHost(draft, ['upstreams', index, 'url'])
    checkUpstreamTls(draft, ['upstreams', index])
  }
}

/** The upstreams that can be asked, and a note on each that is left out. */
export function readUpstreams(list: readonly UpstreamSettings[]): {
  upstreams: readonly Upstream[]
  notes: readonly string[]
} {
  const isLeftOut = ({ key }: UpstreamSettings) => key?.reveal() === ''
  return {
    upstreams: Object.freeze(list.filter((upstream) => !isLeftOut(upstream)).map(readUpstream)),
    notes: Object.freeze(list.filter(isLeftOut).map(({ name }) => `upstream ${name} is left out: its key is empty`)),
  }
}

function readUpstream(settings: UpstreamSettings): Upstream {
  const { name, provider, url, key, models, priority, slots, websocket, allow_private: allowsPrivate, tls } = settings
  return Object.freeze({
    name,
    provider,
    url: url === undefined ? null : new URL(url),
    key: key ?? null,
    models: models ?? null,
    priority,
    slots: slots ?? null,
    ...(websocket === undefined ? {} : { websocket }),
    ...(allowsPrivate ? { allowsPrivate } : {}),
    ...(tls ? { tls: readTls(tls) } : {}),
  })
}

function checkName(draft: Draft, path: Path, lines: Map<unknown, number>): void {
  const { yaml, report } = draft
  const name = yaml.value(path)
  if (typeof name !== 'string' || isBroken(draft, path)) return
  const offset = yaml.offset(path)
  const line = lines.get(name)
  const shown = writtenAt(draft, path) ?? JSON.stringify(name)
  if (line === undefined) lines.set(name, report.position(offset).line)
  else
    report.add(
      offset,
      `line ${line} has an upstream ${shown} already`,
      'Give each upstream a name of its own',
      'CONFIG_TWICE',
    )
}

function checkProvider(draft: Draft, path: Path, plugins: readonly Item[]): void {
  const { yaml, report } = draft
  const provider = yaml.value(path)
  if (typeof provider !== 'string' || provider === '' || isBroken(draft, path)) return
  const mounted = [...new Set(plugins.flatMap(({ entry }) => entry?.providers.map(({ name }) => name) ?? []))]
  if (mounted.includes(provider)) return checkAddress(draft, path.slice(0, -1), provider, plugins)
  if (couldMount(draft, provider, plugins)) return
  const written = writtenAt(draft, path)
  const guess = written === undefined ? didYouMean(provider, mounted) : ''
  const cure = mounted.length > 0 ? `Add it to plugins; mounted are ${mounted.join(', ')}` : 'Add it to plugins'
  report.add(
    yaml.offset(path),
    `no provider is mounted as ${written ?? JSON.stringify(provider)}${guess}`,
    cure,
    'CONFIG_UPSTREAM',
  )
}

/** Somebody has to say where it is. */
function checkAddress({ yaml, report }: Draft, path: Path, provider: string, plugins: readonly Item[]): void {
  const [mount] = plugins.flatMap(({ entry }) => entry?.providers.filter(({ name }) => name === provider) ?? [])
  if (!mount || mount.url !== null || yaml.value([...path, 'url']) !== undefined) return
  report.add(
    yaml.offset(path),
    `this upstream has no url, and neither has ${provider}`,
    'Add url: https://… to either',
    'CONFIG_UPSTREAM',
  )
}

/** A plugin that could not be read may be the one: to miss its provider would only be the echo of that problem. */
function couldMount({ yaml }: Draft, provider: string, plugins: readonly Item[]): boolean {
  return plugins.some(
    ({ name, entry, path }) => !entry && (name === provider || yaml.value([...path, 'as']) === provider),
  )
}
