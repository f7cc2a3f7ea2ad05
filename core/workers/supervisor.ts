/** The process above several workers: it has the file, the admin listener and the log; they have the clients. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAdmin } from '../admin.ts'
import { loadConfig, type Config, type FileHashes, type Loaded } from '../config/load.ts'
import { render, type Problem } from '../config/problems.ts'
import { admitted, problemsOf } from '../config/read.ts'
import { needsRestart } from '../config/restart.ts'
import { watchConfig, type Watch } from '../config/watch.ts'
import { workersOf } from '../config/workers.ts'
import { Ending, hardDeadline } from '../ending.ts'
import type { Listener } from '../listener.ts'
import type { Level, RootLog } from '../observe/log.ts'
import { direct } from '../observe/log-place.ts'
import { openMetrics, type MetricReading } from '../observe/metrics.ts'
import { processMetrics } from '../observe/metrics-process.ts'
import { reloadMetrics } from '../observe/state.ts'
import { workerMetrics } from '../observe/workers.ts'
import { Pages } from '../pages.ts'
import { pluginSource } from '../plugins.ts'
import type { RefusedVersion } from '../sidecar.ts'
import { version } from '../version.ts'
import { Crew } from './crew.ts'
import { deskOf } from './desk.ts'
import { prepareToFork } from './hand.ts'
import { passOn } from './pass.ts'
import { snapshotOf } from './snapshot.ts'

/** What a worker has beyond its own hard deadline, in ms, before it is killed. */
const grace = 2000

/** Starts the workers and listens. `first` is what was read of the file. Throws as `startSidecar` does. */
export async function supervise(first: Loaded, log: RootLog): Promise<Supervisor> {
  const supervisor = await Supervisor.open(first, log)
  try {
    await supervisor.begin(first.files)
  } catch (error) {
    await supervisor.stop()
    throw error
  }
  return supervisor
}

export class Supervisor {
  readonly crew: Crew
  readonly log: RootLog
  readonly startedAt = Date.now()
  /** Resolves with the reason where workers end again and again. */
  readonly gaveUp: Promise<string>
  config: Config
  builtAt = Date.now()
  stoppedAt: number | null = null
  lastProblem: RefusedVersion | null = null
  pages = new Pages()
  url = ''
  adminUrl: string | null = null
  readonly hardDeadline = hardDeadline + 2 * grace
  readonly #metrics = openMetrics()
  readonly #told = reloadMetrics(this.#metrics)
  readonly #process: { close(): void }
  #admin: Listener | null = null
  #watcher: Watch | null = null
  #reloading: Promise<unknown> = Promise.resolve()
  #stopped: Promise<readonly string[]> | null = null

  static async open(first: Loaded, log: RootLog): Promise<Supervisor> {
    const config = admitted(first, log, () => {})
    const { settings } = config
    log.setLevel(settings.log.level)
    if (settings.log.file !== undefined) direct(log, settings.log.file)
    prepareToFork()
    // Nobody but this user may enter: pages of plugins are asked there without a key.
    const folder = settings.admin ? mkdtempSync(join(tmpdir(), 'postern-')) : null
    process.on('exit', () => folder !== null && rmSync(folder, { recursive: true, force: true }))
    return new Supervisor(first, config, folder, log)
  }

  constructor(first: Loaded, config: Config, folder: string | null, log: RootLog) {
    this.config = config
    this.log = log
    this.#process = processMetrics(this.#metrics, { version: version() })
    const { serving, ends } = workerMetrics(this.#metrics)
    const given = Promise.withResolvers<string>()
    this.gaveUp = given.promise
    const workers = workersOf(config.settings)
    const silence = () => this.config.settings.limits.silence
    this.crew = new Crew(snapshotOf(first, config), { workers, log, folder, ends, silence, giveUp: given.resolve })
    this.#metrics.onRender(() => {
      serving.set(this.crew.serving.length)
      this.#told.isRefused.set(this.lastProblem ? 1 : 0)
    })
  }

  async begin(files: FileHashes): Promise<void> {
    this.url = await this.crew.open()
    this.#showPages()
    const { admin } = this.config.settings
    if (admin) {
      const { url, listener } = await openAdmin(deskOf(this, admin), admin)
      this.adminUrl = url
      this.#admin = listener
    }
    this.#watcher = await watchConfig(this.config.file, async () => void (await this.reload()))
    this.#watcher.follow(files)
  }

  /** What it counts itself. */
  readonly read = (): readonly MetricReading[] => this.#metrics.read()

  /** What its end waits for: what those wait for is theirs to tell. */
  get waits(): { readonly workers: readonly object[] } {
    return { workers: this.crew.hands.map(({ number, state }) => ({ worker: number, state })) }
  }

  /** Reads the file again and, if all is well with all workers, has them move to it. Returns the problems that kept them from it. */
  reload(): Promise<readonly Problem[]> {
    const reloading = this.#reloading.then(() => this.#reload())
    this.#reloading = reloading
    return reloading
  }

  /** Opens the file of the log anew: it was put aside. Throws where it cannot be opened; then the log goes on where it went. */
  reopenLog(): void {
    const { file } = this.config.settings.log
    if (file !== undefined) direct(this.log, file)
  }

  /** What is written from now on, by all; the next reload sets it to what gateway.yaml says. */
  async setLogLevel(level: Level): Promise<void> {
    this.log.setLevel(level)
    await this.crew.setLevel(level)
  }

  /** Has all workers drain and end. Safe to call again. Resolves with what did not end as it should. */
  stop(): Promise<readonly string[]> {
    return (this.#stopped ??= this.#stop())
  }

  async #reload(): Promise<readonly Problem[]> {
    const { log } = this
    const { file } = this.config
    try {
      if (this.stoppedAt !== null) return []
      const loaded = await loadConfig(file, { plugins: pluginSource })
      const config = admitted(loaded, log, (files) => this.#watcher?.follow(files))
      const { settings } = config
      const hasMoved = settings.log.file !== this.config.settings.log.file
      await this.crew.reload(snapshotOf(loaded, config), () => hasMoved && direct(log, settings.log.file))
      for (const note of needsRestart(this.config, config)) log.warn({}, note)
      log.setLevel(settings.log.level)
      this.config = config
      this.builtAt = Date.now()
      this.#showPages()
      if (settings.admin) this.#admin?.renew(settings.admin.tls)
      this.lastProblem = null
      this.#told.reloads.inc()
      log.info({ version: config.version }, 'the new configuration is running')
      return []
    } catch (error) {
      const problems = problemsOf(file, error)
      this.lastProblem = { at: Date.now(), problems }
      this.#told.refused.inc()
      log.error({ problems: problems.map(render) }, 'the new configuration was refused; the old one runs on')
      return problems
    }
  }

  /** All workers run the same version, and have the same pages. */
  #showPages(): void {
    const pages = new Pages()
    for (const sign of this.crew.serving[0]?.pages ?? []) {
      const { plugin, method, path, ...options } = sign
      pages.add(
        plugin,
        method,
        path,
        passOn(sign, () => this.crew.serving),
        options,
      )
    }
    this.pages = pages
  }

  async #stop(): Promise<readonly string[]> {
    const { log } = this
    this.stoppedAt = Date.now()
    const ending = new Ending(log)
    const { drain } = this.config.settings.limits
    const [failed, ...others] = await Promise.all([
      this.crew.stop(drain + hardDeadline + grace),
      ending.run([
        { within: 1000, parts: [{ name: 'the watch on gateway.yaml', end: () => this.#watcher?.close() }] },
        { within: 5000, parts: [{ name: 'a reload', end: async () => void (await this.#reloading) }] },
      ]),
    ])
    const parts = [{ name: 'the admin listener', end: () => this.#admin?.close() }]
    const all = [...failed, ...others.flat(), ...(await ending.run([{ within: 1000, parts }]))]
    this.#process.close()
    if (all.length > 0) log.error({ failed: all }, 'stopped, and not everything has ended as it should')
    else log.info({}, 'stopped')
    log.flush()
    return all
  }
}
