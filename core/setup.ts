/** Sets up the plugins of a configuration, in order, and takes them down again. */
import { openBacking, type Backing } from './backing.ts'
import { Ending, type Part } from './ending.ts'
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
  /** What the end waits for, by name. */
  readonly pending: readonly string[]
  /**
   * Ends what they have started, whoever of them: first what makes work, then the queues that hold it, then what they share, which
   * takes it; then what they all stand on. Resolves with the names of what did not end as it should.
   */
  end(): Promise<readonly string[]>
}

/** How long each may take to end, in ms. With those of `Backing` they are 15 s: what a stop may take beyond its drain. */
const within = { tasks: 1000, queues: 5000, shared: 4000 } as const

/** Throws ConfigError for the first plugin that cannot be set up, after those before it were taken down. */
export async function setUp(config: Config, house: House): Promise<SetUp> {
  const joined: Joined[] = []
  const pages = new Pages()
  const own: Own[] = []
  const backing = await openBacking(config, house)
  const ending = new Ending(house.log, house.hurry ?? null)
  const end = (how = ending) => {
    const parts = (what: string, endOf: (one: Own) => Promise<void>) =>
      own.map((one): Part => ({ name: `${one.name}: ${what}`, end: () => endOf(one) }))
    return how.run([
      { within: within.tasks, parts: parts('its tasks', (one) => one.endTasks()) },
      { within: within.queues, parts: parts('its queues', (one) => one.endQueues()) },
      { within: within.shared, parts: parts('what it shares', (one) => one.endShared()) },
      ...backing.groups(),
    ])
  }
  for (const entry of config.plugins) {
    const { context, ends } = contextOf(entry, config, house, { backing, pages })
    own.push(ends)
    try {
      const hooks = await entry.plugin.setup(context)
      refuseUnknownHooks(entry, hooks)
      joined.push({ name: entry.name, providers: entry.plugin.mount ? entry.providers : null, hooks })
    } catch (error) {
      // The next reload waits for this one.
      await end(new Ending(house.log))
      throw new ConfigError([problem(config, entry, error)])
    }
  }
  return {
    joined,
    backing,
    pages,
    end: () => end(),
    get pending() {
      const queues = own.map(({ name, jobs }) => ({ name: `${name}: its queues`, left: jobs.queued }))
      return ending.pending.map((name) => {
        const left = queues.find((queue) => queue.name === name)?.left ?? 0
        return left > 0 ? `${name} (${left} left)` : name
      })
    },
  }
}

/** What one plugin has to end. */
interface Own {
  readonly name: string
  readonly jobs: Jobs
  endTasks(): Promise<void>
  endQueues(): Promise<void>
  endShared(): Promise<void>
}

type Ground = Pick<SetUp, 'backing' | 'pages'>

function contextOf(entry: PluginEntry, config: Config, house: House, { backing, pages }: Ground) {
  const name = entry.providers[0]?.name ?? entry.name
  const log = house.log.child({ plugin: name })
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
  const ends: Own = {
    name,
    jobs,
    async endTasks() {
      controller.abort()
      await jobs.endTasks()
    },
    endQueues: () => jobs.endQueues(),
    async endShared() {
      // What was opened later may stand on what was opened before.
      for (const key of keys.toReversed()) await house.shared.release(key)
    },
  }
  return { context, ends }
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
