/** Work in the background of the pool: a task that repeats until it is ended, and many small tasks a few at a time. */
import type { Cancel, Clock } from './ws-clock.ts'

/** Runs a task `interval` ms from now, and again `interval` ms after each run has ended. The task must not fail. */
export class Worker {
  readonly #clock: Clock
  readonly #interval: number
  readonly #task: () => void | Promise<void>
  #cancel: Cancel = () => {}
  #running: Promise<void> | null = null
  #isEnded = false

  constructor(clock: Clock, interval: number, task: () => void | Promise<void>) {
    this.#clock = clock
    this.#interval = interval
    this.#task = task
    this.#next()
  }

  /** Resolves when a run under way has ended; none starts any more. */
  async end(): Promise<void> {
    this.#isEnded = true
    this.#cancel()
    await this.#running
  }

  #next(): void {
    this.#cancel = this.#clock.after(this.#interval, () => {
      this.#running = this.#run()
    })
  }

  async #run(): Promise<void> {
    await this.#task()
    this.#running = null
    if (!this.#isEnded) this.#next()
  }
}

/** Resolves when the task has been done for every item, at most `width` of them at a time. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  let at = 0
  const runner = async (): Promise<void> => {
    while (at < items.length) await task(items[at++]!)
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, runner))
}
