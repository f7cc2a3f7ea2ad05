/** Work beside the exchanges: repeated tasks and bounded queues. Everything here can be ended, and ends. */
import type { Log, Queue, QueueOptions } from './plugin.ts'

/** The jobs of one plugin of one gateway. */
export class Jobs {
  readonly #log: Log
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #running = new Set<Promise<void>>()
  readonly #queues: WorkQueue<unknown>[] = []
  #ended = false

  constructor(log: Log) {
    this.#log = log
  }

  /** Runs the task `ms` from now and again `ms` after each run has ended. A run that fails is logged; the next one comes. */
  every(ms: number, task: () => void | Promise<void>): void {
    if (this.#ended) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      const run = Promise.resolve()
        .then(task)
        .catch((error: unknown) => this.#log.error({ err: error }, 'a repeated task failed'))
        .then(() => {
          this.#running.delete(run)
          this.every(ms, task)
        })
      this.#running.add(run)
    }, ms)
    timer.unref()
    this.#timers.add(timer)
  }

  queue<T>(options: QueueOptions, worker: (item: T) => void | Promise<void>): Queue<T> {
    const queue = new WorkQueue<T>(options, worker, this.#log)
    this.#queues.push(queue as WorkQueue<unknown>) // only closed from here
    return queue
  }

  /** Items of its queues that wait or are being worked at. */
  get queued(): number {
    return this.#queues.reduce((sum, queue) => sum + queue.left, 0)
  }

  /** No task starts any more; resolves when those that run have ended. */
  async endTasks(): Promise<void> {
    this.#ended = true
    for (const timer of this.#timers) clearTimeout(timer)
    await Promise.all(this.#running)
  }

  /** Queues take nothing more; resolves when they are empty. */
  async endQueues(): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.close()))
  }

  /** Both. */
  async end(): Promise<void> {
    await this.endTasks()
    await this.endQueues()
  }
}

/** A queue with a bound and a number of workers. */
class WorkQueue<T> implements Queue<T> {
  readonly #capacity: number
  readonly #workers: number
  readonly #work: (item: T) => void | Promise<void>
  readonly #log: Log
  readonly #waiting: T[] = []
  #busy = 0
  #closed: (() => void) | null = null
  #isClosed = false

  constructor(options: QueueOptions, work: (item: T) => void | Promise<void>, log: Log) {
    this.#capacity = options.capacity
    this.#workers = options.workers ?? 1
    this.#work = work
    this.#log = log
  }

  get length(): number {
    return this.#waiting.length
  }

  get left(): number {
    return this.#waiting.length + this.#busy
  }

  push(item: T): boolean {
    if (this.#isClosed || this.#waiting.length >= this.#capacity) return false
    this.#waiting.push(item)
    if (this.#busy < this.#workers) void this.#run()
    return true
  }

  /** Takes nothing more; resolves when the last item is done. */
  close(): Promise<void> {
    this.#isClosed = true
    if (this.#busy === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#closed = resolve
    })
  }

  async #run(): Promise<void> {
    this.#busy++
    while (this.#waiting.length > 0) {
      try {
        await this.#work(this.#waiting.shift()!)
      } catch (error) {
        this.#log.error({ err: error }, 'an item of a queue failed')
      }
    }
    if (--this.#busy === 0) this.#closed?.()
  }
}
