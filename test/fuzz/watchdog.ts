/** Notices an input that never ends, from a thread of its own: whoever loops cannot look at a clock. */
import { Worker } from 'node:worker_threads'

/** An input may take this long, in ms. */
const patience = 30_000

const watching = `
  const { workerData } = require('node:worker_threads')
  const { writeFileSync, writeSync } = require('node:fs')
  const { state, input, patience, file } = workerData
  let [count, since] = [-1, Date.now()]
  setInterval(() => {
    if (state[0] !== count) [count, since] = [state[0], Date.now()]
    else if (count >= 0 && state[1] >= 0 && Date.now() - since > patience) {
      writeFileSync(file, input.subarray(0, state[1]))
      writeSync(2, 'an input takes longer than ' + patience + ' ms; its bytes are in ' + file + '\\n')
      process.kill(process.pid, 'SIGKILL')
    }
  }, 500)
`

export class Watchdog implements AsyncDisposable {
  /** How many inputs have begun, and the length of the present one; -1 while there is none. */
  readonly #state = new Int32Array(new SharedArrayBuffer(8))
  readonly #input: Uint8Array
  readonly #worker: Worker

  /** The bytes of the input that never ended are written to `file`. */
  constructor(longest: number, file: string) {
    this.#state[1] = -1
    this.#input = new Uint8Array(new SharedArrayBuffer(longest))
    this.#worker = new Worker(watching, {
      eval: true,
      workerData: { state: this.#state, input: this.#input, patience, file },
    })
    this.#worker.unref()
  }

  begins(input: Buffer): void {
    this.#input.set(input.subarray(0, this.#input.length))
    this.#state[1] = Math.min(input.length, this.#input.length)
    this.#state[0]!++
  }

  rests(): void {
    this.#state[1] = -1
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate()
  }
}
