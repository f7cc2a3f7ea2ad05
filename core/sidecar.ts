/** One running Postern: the listener, the admin listener, the watched file, and the gateways that come and go. */
import type { Server as HttpServer } from 'node:http'
import { openAdmin } from './admin.ts'
import { loadConfig, type Config, type PluginSource } from './config/load.ts'
import { ConfigError, render, type Problem } from './config/problems.ts'
import { watchConfig } from './config/watch.ts'
import { buildGateway, type Gateway, type House } from './gateway.ts'
import type { RootLog } from './observe/log.ts'
import { openMetrics } from './observe/metrics.ts'
import { processMetrics } from './observe/metrics-process.ts'
import { tellState } from './observe/state.ts'
import { Server } from './server.ts'
import { Shared } from './shared.ts'
import { version } from './version.ts'

export interface SidecarOptions {
  /** Path of gateway.yaml. */
  readonly file: string
  readonly plugins: PluginSource
  readonly log: RootLog
  readonly env?: Record<string, string | undefined>
  /** What is made of each configuration that was read, before it is built: other addresses, for a test of the file. */
  readonly adapt?: (config: Config) => Config
  /** Whether to reload when the file changes; true where absent. */
  readonly watch?: boolean
}

/** Why the latest version of the file is not the one that runs. */
export interface RefusedVersion {
  readonly at: number
  readonly problems: readonly Problem[]
}

/** Loads, builds and listens. Throws ConfigError with every problem of the file, or an Error that says what cannot be had. */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const metrics = openMetrics({ report: (fields, message) => options.log.warn(fields, message) })
  const house: House = { shared: new Shared(), log: options.log, metrics }
  const config = await read(options)
  options.log.setLevel(config.settings.log.level)
  const gateway = await buildGateway(config, house)
  const sidecar = new Sidecar(options, house, new Server(gateway))
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
  #admin: HttpServer | null = null
  #watcher: { close(): Promise<void> } | null = null
  #reloading: Promise<unknown> = Promise.resolve()
  #stopped: Promise<void> | null = null
  readonly #process: { close(): void }

  constructor(options: SidecarOptions, house: House, server: Server) {
    this.#options = options
    this.#house = house
    this.server = server
    this.#process = processMetrics(house.metrics, { version: version() })
    tellState(this, house.metrics)
  }

  async open(): Promise<void> {
    const { admin } = this.server.gateway.config.settings
    this.url = await this.server.listen()
    if (admin) {
      const { url, http } = await openAdmin(this, admin.listen)
      this.adminUrl = url
      this.#admin = http
    }
    if (this.#options.watch !== false) {
      this.#watcher = await watchConfig(this.#options.file, async () => void (await this.reload()))
    }
  }

  /** What outlives its gateways; empty once it has stopped. */
  get shared(): Shared {
    return this.#house.shared
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

  /** Drains, ends the gateways, closes everything. Safe to call again. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop())
  }

  async #reload(): Promise<readonly Problem[]> {
    const { log } = this.#house
    try {
      if (this.#stopped) return []
      const config = await read(this.#options)
      const next = await buildGateway(config, this.#house)
      for (const note of needsRestart(this.server.gateway.config, config)) log.warn({}, note)
      log.setLevel(config.settings.log.level)
      this.#retire(this.server.replace(next))
      this.lastProblem = null
      this.reloads++
      log.info({ version: config.version }, 'the new configuration is running')
      return []
    } catch (error) {
      const problems = error instanceof ConfigError ? error.problems : [unexpected(this.#options.file, error)]
      this.lastProblem = { at: Date.now(), problems }
      this.refusedReloads++
      log.error({ problems: problems.map(render) }, 'the new configuration was refused; the old one runs on')
      return problems
    }
  }

  #retire(gateway: Gateway): void {
    this.retiring.add(gateway)
    void gateway
      .retire()
      .catch((error: unknown) => this.#house.log.error({ err: error }, 'a gateway did not end cleanly'))
      .then(() => this.retiring.delete(gateway))
  }

  async #stop(): Promise<void> {
    const { log } = this.#house
    await this.#watcher?.close()
    await this.#reloading
    const { drain } = this.server.gateway.config.settings.limits
    await this.server.drain(drain, this.retiring)
    this.#retire(this.server.gateway)
    await Promise.all([...this.retiring].map((gateway) => gateway.retire()))
    await new Promise<void>((resolve) => {
      if (!this.#admin) return resolve()
      this.#admin.close(() => resolve())
      this.#admin.closeAllConnections()
    })
    this.#process.close()
    log.info({}, 'stopped')
    log.flush()
  }
}

async function read(options: SidecarOptions): Promise<Config> {
  const { config, problems } = await loadConfig(options.file, {
    plugins: options.plugins,
    env: options.env ?? process.env,
  })
  if (!config) throw new ConfigError(problems)
  for (const note of config.notes) options.log.info({}, note)
  return options.adapt?.(config) ?? config
}

/** A secret is spelt alike whatever it is: it has to be looked at itself. */
function keyOf(admin: Config['settings']['admin']): string | undefined {
  return admin ? admin.key?.reveal() : undefined
}

/** Keys that are read once, when the process starts. */
export function needsRestart(running: Config, next: Config): string[] {
  const was = running.settings
  const is = next.settings
  const changed: [string, boolean][] = [
    ['listen', was.listen !== is.listen],
    ['admin', JSON.stringify(was.admin) !== JSON.stringify(is.admin) || keyOf(was.admin) !== keyOf(is.admin)],
    ['limits.header', was.limits.header !== is.limits.header],
  ]
  return changed
    .filter(([, differs]) => differs)
    .map(([key]) => `${key} has changed: it takes effect at the next start`)
}

function unexpected(file: string, error: unknown): Problem {
  const message = error instanceof Error ? error.message : String(error)
  return { file, line: 1, column: 1, code: 'CONFIG_FILE', message, frame: '' }
}
