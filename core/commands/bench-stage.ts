/** Gateways of the user's own file for `postern bench`, that reach nobody and are reached by nobody else. */
import { hash } from 'node:crypto'
import { loadConfig, type Config } from '../config/load.ts'
import { ConfigError } from '../config/problems.ts'
import type { Key } from '../access/key.ts'
import { silentLog } from '../observe/log.ts'
import type { Upstream } from '../plugin.ts'
import { pluginSource } from '../plugins.ts'
import type { Provider } from '../provider.ts'
import { Secret } from '../secret.ts'
import { startSidecar, type Sidecar } from '../sidecar.ts'
import type { HookMeter } from './bench-hooks.ts'

/** The key that clients of the bench bring, where plugins ask for one. */
export const benchKey = 'bench-key-of-nobody-else'

/** The file, as far as it can be measured. */
export interface Bench {
  readonly config: Config
  /** Plugins that are left out, each with the reason. */
  readonly leftOut: Readonly<Record<string, string>>
}

/** Reads the file and tries it. Throws ConfigError where it cannot be run for a reason that no plugin has. */
export async function readBench(file: string, upstream: URL, database: string | undefined): Promise<Bench> {
  const { config: read, problems } = await loadConfig(file, { plugins: pluginSource })
  if (!read) throw new ConfigError(problems)
  const leftOut: Record<string, string> = {}
  let config = adapted(read, upstream, database)
  for (const { name, plugin } of config.plugins) {
    if (database === undefined && plugin.needsDatabase) leftOut[name] = 'it needs a database: name one with --database'
  }
  config = without(config, ({ name }) => name in leftOut)
  for (;;) {
    try {
      await (await open(file, config)).stop()
      return { config, leftOut }
    } catch (error) {
      const [problem] = error instanceof ConfigError ? error.problems : []
      const entry = config.plugins.find(({ line, column }) => line === problem?.line && column === problem.column)
      if (!entry || !problem) throw error
      leftOut[entry.name] = problem.message
      config = without(config, (one) => one === entry)
    }
  }
}

export function open(file: string, config: Config): Promise<Sidecar> {
  return startSidecar({ file, plugins: pluginSource, log: silentLog, watch: false, adapt: () => config })
}

export function without(config: Config, isOut: (entry: Config['plugins'][number]) => boolean): Config {
  return { ...config, plugins: config.plugins.filter((entry) => !isOut(entry)) }
}

/** The same, each hook looked at. */
export function metered(config: Config, meter: HookMeter): Config {
  const plugins = config.plugins.map((entry) => {
    const name = entry.providers[0]?.name ?? entry.name
    return { ...entry, plugin: meter.around(entry.plugin, name) }
  })
  return { ...config, plugins }
}

/** A model that an upstream of the provider serves. */
export function modelOf({ upstreams }: Config, { name }: Provider): string {
  const own = upstreams.filter(({ provider }) => provider === name)
  if (own.some(({ models }) => models === null)) return 'bench'
  return own[0]?.models?.[0]?.replace('*', 'bench') ?? 'bench'
}

function adapted(config: Config, url: URL, database: string | undefined): Config {
  const { settings, plugins } = config
  const providers = plugins.flatMap((entry) => entry.providers)
  const named = config.upstreams.map((upstream) => ({ ...upstream, url }))
  const lonely = [...new Set(providers.map(({ name }) => name))].filter((name) =>
    named.every(({ provider }) => provider !== name),
  )
  return {
    ...config,
    settings: {
      ...settings,
      listen: '127.0.0.1:0',
      tls: undefined,
      admin: settings.admin && { ...settings.admin, listen: '127.0.0.1:0' },
      store: new Secret('memory'),
      database: new Secret(database ?? 'none'),
      log: { ...settings.log, file: undefined },
    },
    upstreams: [...named, ...lonely.map((provider) => standIn(provider, url))],
    keys: new Map([...config.keys, [hash('sha256', benchKey), keyOf(config)]]),
  }
}

function standIn(provider: string, url: URL): Upstream {
  const name = `bench-${provider}`
  return { name, provider, url, key: new Secret('bench'), models: null, priority: 1, slots: null }
}

/** As the first key of the file is, but for addresses and ends. */
function keyOf({ keys }: Config): Key {
  const [first] = keys.values()
  const principal = first?.principal ?? {
    id: 'bench',
    name: 'bench',
    keyId: null,
    userId: null,
    groupId: null,
    group: null,
    concurrency: null,
    billing: 'none' as const,
    rateMultiplier: '1',
  }
  return { principal, status: 'active', expiresAt: null, isSpent: false, addresses: null, user: 'none' }
}
