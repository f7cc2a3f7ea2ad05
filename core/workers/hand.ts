/** One worker, as its supervisor holds it. */
import cluster, { type Worker } from 'node:cluster'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MetricReading } from '../observe/metrics.ts'
import type { PageSign } from '../pages.ts'
import { Handover } from './handover.ts'
import { valueOf, workerVariable, type Answer, type Ask, type Asks, type Notice, type Start } from './link.ts'
import { wholeLines } from './lines.ts'

/** How a process has ended. */
export interface Gone {
  readonly code: number | null
  readonly signal: string | null
}

/** What a process has written before its end is read within this time after it, in ms. */
const lastWords = 1000

/** Workers run what this process runs, with the same words, and their standard output is ours to read. */
export function prepareToFork(): void {
  cluster.schedulingPolicy = cluster.SCHED_RR
  cluster.setupPrimary({ serialization: 'advanced', stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
}

export class Hand {
  readonly number: number
  /** `stopping`: it takes no more connections, whoever has told it to. */
  state: 'starting' | 'serving' | 'stopping' | 'gone' = 'starting'
  readonly since = Date.now()
  servingSince: number | null = null
  url = ''
  pages: readonly PageSign[] = []
  /** Where its pages are asked. */
  socket: string | null = null
  /** What it has said of its metrics last. */
  readings: readonly MetricReading[] = []
  /** Questions since it has said anything. */
  unanswered = 0
  /** What did not end well in it. */
  failed: readonly string[] = []
  /** Resolves when it is gone and its last words are read. Never rejects. */
  readonly gone: Promise<Gone>
  readonly #worker: Worker
  readonly #asked = new Map<number, (answer: Answer) => void>()
  #questions = 0
  /** Whether it listens to us, or will never do so. */
  readonly #here = Promise.withResolvers<void>()

  readonly #hasOthers: () => boolean

  /**
   * Starts the process. `take` is given the lines of its log, `cut` told that the last one was cut off; `hasOthers`: whether other workers
   * serve.
   */
  constructor(number: number, take: (lines: string) => void, cut: () => void, hasOthers: () => boolean) {
    this.number = number
    this.#hasOthers = hasOthers
    this.#worker = cluster.fork({ [workerVariable]: String(number) })
    const { process: child } = this.#worker
    // `gone` says it, and a message that could not be sent has a callback.
    for (const one of [child, this.#worker]) one.on('error', () => {})
    child.on('message', (message) => this.#hear(message as unknown as Answer | Notice)) // what `link` says
    if (child.stdout) wholeLines(child.stdout, take, cut)
    this.gone = this.#watch()
  }

  get pid(): number | undefined {
    return this.#worker.process.pid
  }

  get isServing(): boolean {
    return this.state === 'serving'
  }

  /** Rejects with what the worker throws, where it ends before it has answered, and after `within` ms. */
  async ask<A extends Ask>(ask: A, value: Asks[A][0], within: number): Promise<Asks[A][1]> {
    const id = ++this.#questions
    const answered = Promise.withResolvers<Answer>()
    const timer = setTimeout(
      () => answered.resolve({ id, error: `worker ${this.number} has not answered within ${within} ms` }),
      within,
    )
    this.#asked.set(id, answered.resolve)
    this.#send({ id, ask, value })
    try {
      // The answer to this question: both ends are of one type.
      return valueOf(await answered.promise) as Asks[A][1]
    } finally {
      clearTimeout(timer)
      this.#asked.delete(id)
    }
  }

  /** Resolves when it serves. */
  async start(start: Start, within: number): Promise<void> {
    this.socket = start.socket
    await Promise.race([this.#here.promise, sleep(within, null, { ref: false })])
    const { url, pages } = await this.ask('start', start, within)
    this.url = url
    this.pages = pages
    this.servingSince = Date.now()
    if (this.state === 'starting') this.state = 'serving'
  }

  /** It drains and ends. */
  stop(): void {
    if (this.state !== 'gone') this.state = 'stopping'
    this.#send({ stop: true })
  }

  kill(): void {
    this.#worker.process.kill('SIGKILL')
  }

  #send(message: object): void {
    const { process: child } = this.#worker
    if (!child.connected) return this.#forget()
    child.send(message, (error) => error && this.#forget())
  }

  #hear(message: Answer | Notice): void {
    this.unanswered = 0
    if (!('notice' in message)) this.#asked.get(message.id)?.(message)
    else if (message.notice === 'here') {
      this.#here.resolve()
      // It may not have heard it.
      if (this.state === 'stopping') this.stop()
    } else if (message.notice === 'stopping') this.state = 'stopping'
    else if (message.notice === 'stopped') {
      this.readings = message.readings
      this.failed = message.failed
    }
  }

  /** Nobody answers any more. */
  #forget(): void {
    this.#here.resolve()
    for (const [id, resolve] of this.#asked) resolve({ id, error: `worker ${this.number} has ended` })
  }

  async #watch(): Promise<Gone> {
    const { process: child } = this.#worker
    const handover = new Handover(child)
    const closed = new Promise((resolve) => child.once('close', resolve))
    const gone = await new Promise<Gone>((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }))
      // It could not be started at all.
      child.once('error', () => child.pid === undefined && resolve({ code: null, signal: null }))
    })
    this.state = 'gone'
    this.#forget()
    await Promise.race([closed, sleep(lastWords, null, { ref: false })])
    handover.end(this.#hasOthers())
    return gone
  }
}
