/** One running Postern: the listener, the admin listener, the watched file, and the gateways that come and go. */
import { loadConfig, type Config, type FileHashes, type Loaded, type PluginSource } from './config/load.ts'
import { render, type Problem } from './config/problems.ts'
import { admitted, problemsOf } from './config/read.ts'
import { needsRestart } from './config/restart.ts'
import { watchConfig, type Watch } from './config/watch.ts'
import { buildGateway, type Gateway, type House } from './gateway.ts'
import type { Listener } from './listener.ts'
import { Overload } from './overload.ts'
import type { Level, RootLog } from './observe/log.ts'
import { direct } from './observe/log-place.ts'
import { openMetrics, type MetricReading } from './observe/metrics.ts'
import { processMetrics } from './observe/metrics-process.ts'
import { tellState } from './observe/state.ts'
import { Ending, Hurry } from './ending.ts'
import { tellSockets } from './observe/websockets.ts'
import { Server } from './server.ts'
import { Shared } from './shared.ts'
import { tellEvery, tellWaits } from './telling.ts'
import type { Resolve } from './upstream/lookup.ts'
import { version } from './version.ts'
import { sentenceOf, type Waits } from './waits.ts'

export interface SidecarOptions {
  /** Path of gateway.yaml. */
  readonly file: string
  readonly plugins: PluginSource
  readonly log: RootLog
  readonly env?: Record<string, string | undefined>
  /** What was read of the file already: the first version is not read again. */
  readonly first?: Loaded
  /** How the file is read; from its place where absent. */
  readonly load?: () => Promise<Loaded>
  /** What is made of each configuration that was read, before it is built: other addresses, for a test of the file. */
  readonly adapt?: (config: Config) => Config
  /** Whether to reload when the file changes; true where absent. */
  readonly watch?: boolean
  /** How often it is said what a gateway that shall end waits for, in ms. Absent: every 10 s of a shutdown, else every minute. */
  readonly tellEvery?: number
  /** How names of upstreams become addresses; by the system where absent. */
  readonly resolve?: Resolve | undefined
}

/** Why the latest version of the file is not the one that runs. */
export interface RefusedVersion {
  readonly at: number
  readonly problems: readonly Problem[]
}

/** Loads, builds and listens. Throws ConfigError with every problem of the file, or an Error that says what cannot be had. */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const metrics = openMetrics({ report: (fields, message) => options.log.warn(fields, message) })
  const overload = new Overload({ log: options.log, metrics })
  const hurry = new Hurry()
  const { log, resolve } = options
  const house: House = { shared: new Shared(), log, metrics, overload, hurry, resolve }
  let files: FileHashes = new Map()
  const config = await read(options, (found) => (files = found), options.first)
  const { level, file } = config.settings.log
  log.setLevel(level)
  if (file !== undefined) direct(log, file)
  const gateway = await buildGateway(config, house)
  const sidecar = new Sidecar(options, house, new Server(gateway), hurry)
  sidecar.follow(files)
  try {
    await sidecar.open()
  } catch (error) {
    await sidecar.stop()
    throw error
  }
  return sidecar
}

export class Sidecar {
  readonly server: Server
  readonly startedAt = Date.now()
  /** Gateways that were replaced and still have exchanges. */
  readonly retiring = new Set<Gateway>()
  lastProblem: RefusedVersion | null = null
  reloads = 0
  refusedReloads = 0
  url = ''
  adminUrl: string | null = null
  readonly #options: SidecarOptions
  readonly #house: House
  #admin: Listener | null = null
  #watcher: Watch | null = null
  #reloading: Promise<unknown> = Promise.resolve()
  #stopped: Promise<readonly string[]> | null = null
  #stoppedAt: number | null = null
  readonly #hurry: Hurry
  #endTelling: (() => void) | null = null
  readonly #process: { close(): void }
  /** What gateway.yaml refers to, as it was read last. */
  #files: FileHashes = new Map()

  constructor(options: SidecarOptions, house: House, server: Server, hurry: Hurry) {
    this.#hurry = hurry
    this.#options = options
    this.#house = house
    this.server = server
    house.overload.use(server.gateway.config.settings.limits)
    this.#process = processMetrics(house.metrics, { version: version() })
    tellState(this, house.metrics)
    tellSockets(server.websockets, house.metrics)
  }

  async open(): Promise<void> {
    const { admin } = this.server.gateway.config.settings
    this.url = await this.server.listen()
    if (admin) {
      const [{ openAdmin }, { deskOf }] = await Promise.all([import('./admin.ts'), import('./admin-desk.ts')])
      const { url, listener } = await openAdmin(deskOf(this, admin), admin)
      this.adminUrl = url
      this.#admin = listener
    }
    if (this.#options.watch !== false) {
      this.#watcher = await watchConfig(this.#options.file, async () => void (await this.reload()))
      this.#watcher.follow(this.#files)
    }
  }

  /** Reloads when one of these changes too: a certificate, or a key, may be renewed in its place. */
  follow(files: FileHashes): void {
    this.#files = files
    this.#watcher?.follow(files)
  }

  /** What outlives its gateways; empty once it has stopped. */
  get shared(): Shared {
    return this.#house.shared
  }

  get config(): Config {
    return this.server.gateway.config
  }

  /** What its end waits for. */
  get waits(): Waits {
    return this.server.gateway.waits
  }

  /** Every metric as it is now. */
  read(): readonly MetricReading[] {
    return this.#house.metrics.read()
  }

  /** In the text format of Prometheus. */
  metrics(): string {
    return this.#house.metrics.render()
  }

  /** Reads the file again and, if all is well, moves to it. Returns the problems that kept it from doing so. */
  reload(): Promise<readonly Problem[]> {
    const reloading = this.#reloading.then(() => this.#reload())
    this.#reloading = reloading
    return reloading
  }

  /** When it was told to stop, in ms since 1970; null while it runs. */
  get stoppedAt(): number | null {
    return this.#stoppedAt
  }

  /**
   * Drains, ends the gateways, closes everything. Safe to call again. Resolves with the names of what did not end as it should: each
   * is in the log, and kept nothing else from its end.
   */
  stop(): Promise<readonly string[]> {
    return (this.#stopped ??= this.#stop())
  }

  async #reload(): Promise<readonly Problem[]> {
    const { log } = this.#house
    try {
      if (this.#stopped) return []
      const next = await this.prepare()
      await this.#moveLog(next)
      for (const note of needsRestart(this.config, next.config)) log.warn({}, note)
      this.move(next)
      log.info({ version: next.config.version }, 'the new configuration is running')
      return []
    } catch (error) {
      const problems = problemsOf(this.#options.file, error)
      this.lastProblem = { at: Date.now(), problems }
      this.refusedReloads++
      log.error({ problems: problems.map(render) }, 'the new configuration was refused; the old one runs on')
      return problems
    }
  }

  /** Reads the file and brings it to life beside the gateway that runs. Throws ConfigError, or what else keeps it from that. */
  async prepare(): Promise<Gateway> {
    return buildGateway(await read(this.#options, (files) => this.follow(files)), this.#house)
  }

  /** From now on exchanges enter this gateway. */
  move(next: Gateway): void {
    const { settings } = next.config
    this.#house.log.setLevel(settings.log.level)
    this.#house.overload.use(settings.limits)
    this.#retire(this.server.replace(next))
    if (settings.admin) this.#admin?.renew(settings.admin.tls)
    this.lastProblem = null
    this.reloads++
  }

  /** Opens the file of the log anew: it was put aside. Throws where it cannot be opened; then the log goes on where it went. */
  reopenLog(): void {
    const { file } = this.server.gateway.config.settings.log
    if (file !== undefined) direct(this.#house.log, file)
  }

  /** What is written from now on; the next reload sets it to what gateway.yaml says. */
  setLogLevel(level: Level): void {
    this.#house.log.setLevel(level)
  }

  /** The next gateway may want its lines elsewhere; where that cannot be, it is taken down again. */
  async #moveLog(next: Gateway): Promise<void> {
    const { file } = next.config.settings.log
    if (file === this.server.gateway.config.settings.log.file) return
    try {
      direct(this.#house.log, file)
    } catch (error) {
      await next.retire()
      throw error
    }
  }

  #retire(gateway: Gateway): void {
    this.retiring.add(gateway)
    const every = this.#options.tellEvery ?? tellEvery.retired
    this.#endTelling ??= tellWaits(() => this.retiring, every, this.#house.log)
    void gateway.retire().then(() => {
      this.retiring.delete(gateway)
      if (this.retiring.size === 0 && this.#stoppedAt === null) this.#silence()
    })
  }

  #silence(): void {
    this.#endTelling?.()
    this.#endTelling = null
  }

  async #stop(): Promise<readonly string[]> {
    const { log } = this.#house
    this.#stoppedAt = Date.now()
    this.#silence()
    const all = () => [...new Set([this.server.gateway, ...this.retiring])]
    this.#endTelling = tellWaits(all, this.#options.tellEvery ?? tellEvery.draining, log)
    const ending = new Ending(log)
    // Nobody waits for these: connections are refused from now on, whatever else has to be finished.
    const watching = ending.run([
      { within: 1000, parts: [{ name: 'the watch on gateway.yaml', end: () => this.#watcher?.close() }] },
      { within: 5000, parts: [{ name: 'a reload', end: async () => void (await this.#reloading) }] },
    ])
    const { drain } = this.server.gateway.config.settings.limits
    await this.server.drain(drain, this.retiring)
    this.#hurry.begin()
    const failed = [...(await watching)]
    for (const gateway of all()) {
      this.#retire(gateway)
      const { exchanges, oldest } = gateway.waits
      if (exchanges === 0) continue
      failed.push(...oldest.map(sentenceOf))
      log.error({ exchanges, waits: oldest }, `exchanges are left behind: ${oldest.map(sentenceOf).join('; ')}`)
      gateway.giveUp()
    }
    for (const names of await Promise.all(all().map((gateway) => gateway.retire()))) failed.push(...names)
    failed.push(
      ...(await ending.run([
        { within: 1000, parts: [{ name: 'the admin listener', end: () => this.#admin?.close() }] },
      ])),
    )
    this.#silence()
    this.#process.close()
    this.#house.overload.close()
    if (failed.length > 0) log.error({ failed }, 'stopped, and not everything has ended as it should')
    else log.info({}, 'stopped')
    log.flush()
    return failed
  }
}

async function read(options: SidecarOptions, tell: (files: FileHashes) => void, first?: Loaded): Promise<Config> {
  const { file, plugins, env = process.env, log } = options
  const loaded = first ?? (await (options.load?.() ?? loadConfig(file, { plugins, env })))
  const config = admitted(loaded, log, tell)
  return options.adapt?.(config) ?? config
}
