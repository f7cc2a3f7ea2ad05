/** Sets up the plugins of a configuration, in order, and takes them down again. */
import { openBacking, type Backing } from './backing.ts'
import { closest, ConfigError, type Problem } from './config/problems.ts'
import type { Config, PluginEntry } from './config/load.ts'
import type { House } from './gateway.ts'
import { Jobs } from './jobs.ts'
import { Pages } from './pages.ts'
import { phases, type Hooks, type PluginContext } from './plugin.ts'
import type { Joined } from './route.ts'

/** The plugins of one gateway, ready to be asked. */
export interface SetUp {
  readonly joined: Joined[]
  readonly backing: Backing
  /** What they show on the admin listener. */
  readonly pages: Pages
  /** Ends what they have started: tasks, queues, then what they share. */
  end(): Promise<void>
}

/** Throws ConfigError for the first plugin that cannot be set up, after those before it were taken down. */
export async function setUp(config: Config, house: House): Promise<SetUp> {
  const joined: Joined[] = []
  const pages = new Pages()
  const endings: (() => Promise<void>)[] = []
  const backing = await openBacking(config, house)
  endings.push(() => backing.end())
  const end = async () => {
    const failures: unknown[] = []
    for (const ending of endings.reverse()) await ending().catch((error: unknown) => failures.push(error))
    for (const error of failures) house.log.error({ err: error }, 'a plugin did not end cleanly')
  }
  for (const entry of config.plugins) {
    const { context, ending } = contextOf(entry, config, house, { backing, pages })
    endings.push(ending)
    try {
      const hooks = await entry.plugin.setup(context)
      refuseUnknownHooks(entry, hooks)
      joined.push({ name: entry.name, providers: entry.plugin.mount ? entry.providers : null, hooks })
    } catch (error) {
      await end()
      throw new ConfigError([problem(config, entry, error)])
    }
  }
  return { joined, backing, pages, end }
}

type Ground = Pick<SetUp, 'backing' | 'pages'>

function contextOf(entry: PluginEntry, config: Config, house: House, { backing, pages }: Ground) {
  const log = house.log.child({ plugin: entry.providers[0]?.name ?? entry.name })
  const controller = new AbortController()
  const jobs = new Jobs(log)
  const keys: string[] = []
  const context: PluginContext<unknown> = {
    config: entry.config,
    log,
    metrics: house.metrics,
    store: backing.store,
    database: backing.database,
    access: () => backing.access(),
    upstreams: config.upstreams,
    offer: (list) => backing.upstreams.offer(entry.name, list),
    page: (method, path, handle, options) => pages.add(entry.name, method, path, handle, options),
    signal: controller.signal,
    wants: (fact) => config.plugins.some(({ plugin }) => plugin.reads.includes(fact) || plugin.mayRead.includes(fact)),
    every: (ms, task) => jobs.every(ms, task),
    queue: (options, worker) => jobs.queue(options, worker),
    async shared(key, open, close) {
      const own = `${entry.name}:${key}`
      keys.push(own)
      return house.shared.take(own, open, close)
    },
  }
  const ending = async () => {
    controller.abort()
    await jobs.end()
    for (const key of keys) await house.shared.release(key)
  }
  return { context, ending }
}

function refuseUnknownHooks(entry: PluginEntry, hooks: Hooks): void {
  for (const name of Object.keys(hooks)) {
    if (phases.some((phase) => phase === name)) continue
    const meant = closest(name, phases)
    throw new Error(`"${name}" is no hook.${meant ? ` Did you mean "${meant}"?` : ''}`)
  }
}

function problem(config: Config, entry: PluginEntry, error: unknown): Problem {
  const reason = error instanceof Error ? error.message : String(error)
  return {
    file: config.file,
    line: entry.line,
    column: entry.column,
    code: 'CONFIG_PLUGIN',
    message: `${entry.name} cannot be set up: ${reason}`,
    frame: '',
  }
}
