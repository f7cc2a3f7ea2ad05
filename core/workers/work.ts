/** A worker: a sidecar whose listener is shared, which does what its supervisor says. */
import { answer, type Desk } from '../admin.ts'
import { sidecarPages } from '../admin-desk.ts'
import { dieLoudly } from '../defects.ts'
import { hardDeadline } from '../ending.ts'
import type { Gateway } from '../gateway.ts'
import { http } from '../http.ts'
import { openLog, type RootLog } from '../observe/log.ts'
import { pluginSource } from '../plugins.ts'
import { startSidecar, type Sidecar } from '../sidecar.ts'
import {
  answerTo,
  workerVariable,
  type Answers,
  type Notice,
  type Question,
  type Start,
  type StopOrder,
} from './link.ts'
import { loadSnapshot, shareOf, type Snapshot } from './snapshot.ts'

/** Serves until it is told to stop, and ends the process. Its supervisor's end is its own: `node:cluster` sees to that. */
export function work(): void {
  const log = openLog({ level: 'info', worker: Number(process.env[workerVariable]) })
  // What it starts is no worker.
  delete process.env[workerVariable]
  dieLoudly(log)
  const worker = new Served(log)
  process.on('message', (message) => worker.hear(message as Question | StopOrder)) // what `link` says
  // A terminal, or a system that stops a service, tells every process; the supervisor tells us again, which makes no difference.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => worker.stop())
  // These are the supervisor's, whoever sends them.
  for (const signal of ['SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {})
  say({ notice: 'here' })
}

class Served {
  readonly #log: RootLog
  #sidecar: Sidecar | null = null
  #snapshot: Snapshot | null = null
  #next: Gateway | null = null
  /** Versions that were prepared or dropped. */
  #round = 0
  #isStopping = false
  readonly #answers: Answers = {
    start: (start) => this.#start(start),
    prepare: async (snapshot) => {
      this.#snapshot = snapshot
      const round = ++this.#round
      const next = await this.#running.prepare()
      if (round === this.#round) this.#next = next
      // Nobody waits for it any more.
      else await next.retire()
      return null
    },
    move: () => {
      if (this.#next) this.#running.move(this.#next)
      this.#next = null
      return this.#running.server.gateway.pages.signs
    },
    drop: async () => {
      this.#round++
      const next = this.#next
      this.#next = null
      await next?.retire()
      return null
    },
    read: () => this.#running.read(),
    pulse: () => null,
    page: ({ path, query }) => sidecarPages[path].tell(this.#running, new URLSearchParams(query), true),
  }

  constructor(log: RootLog) {
    this.#log = log
  }

  hear(message: Question | StopOrder): void {
    if ('stop' in message) this.stop()
    else void answerTo(message, this.#answers).then((told) => process.connected && process.send?.(told))
  }

  /** Drains and ends. Once is enough. */
  stop(): void {
    if (this.#isStopping) return
    this.#isStopping = true
    say({ notice: 'stopping' })
    const sidecar = this.#sidecar
    if (!sidecar) process.exit(0)
    setTimeout(() => {
      this.#log.error({ waits: sidecar.waits }, 'the stop took too long: exiting')
      process.exit(1)
    }, sidecar.config.settings.limits.drain + hardDeadline).unref()
    void this.#end(sidecar)
  }

  async #start({
    snapshot,
    workers,
    socket,
    level,
  }: Start): Promise<{ url: string; pages: Gateway['pages']['signs'] }> {
    this.#snapshot = snapshot
    const sidecar = await startSidecar({
      file: snapshot.file,
      plugins: pluginSource,
      log: this.#log,
      watch: false,
      load: () => loadSnapshot(this.#snapshot ?? snapshot),
      adapt: (config) => shareOf(config, workers),
    })
    this.#sidecar = sidecar
    if (level !== null) sidecar.setLogLevel(level)
    if (socket !== null) await openPages(sidecar, socket)
    return { url: sidecar.url, pages: sidecar.server.gateway.pages.signs }
  }

  get #running(): Sidecar {
    if (!this.#sidecar) throw new Error('it has not been started')
    return this.#sidecar
  }

  async #end(sidecar: Sidecar): Promise<void> {
    await this.#next?.retire()
    const failed = await sidecar.stop()
    const code = failed.length > 0 ? 1 : 0
    if (!process.connected) process.exit(code)
    process.send?.({ notice: 'stopped', readings: sidecar.read(), failed } satisfies Notice, () => process.exit(code))
  }
}

/** Pages of plugins, for the supervisor: whoever may enter the folder of the socket is it. */
async function openPages({ server }: Sidecar, path: string): Promise<void> {
  const desk: Desk = {
    log: server.gateway.log,
    find: (method, page) => server.gateway.pages.find(method, page),
    get names() {
      return server.gateway.pages.names
    },
  }
  const listener = http.createServer((request, response) => answer(desk, () => null, request, response))
  const listening = Promise.withResolvers<void>()
  listener.on('error', listening.reject)
  // `exclusive`: this one is not shared.
  listener.listen({ path, exclusive: true }, listening.resolve)
  await listening.promise
}

function say(notice: Notice): void {
  if (process.connected) process.send?.(notice)
}
