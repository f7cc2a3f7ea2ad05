/** The loop: take an input that was worth keeping, change it, try it, keep it if it went where none had been. */
import type { Coverage, Places } from './coverage.ts'
import { minimised } from './minimise.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import { Fault, type FuzzTarget, type Opened } from './target.ts'

export interface FuzzOptions {
  readonly seconds: number
  readonly seed: number
  /** Made before anything of the target was called. */
  readonly coverage: Coverage
  /** Inputs of earlier runs. */
  readonly corpus: readonly Buffer[]
  /** Told before each input: what never ends is known by it. */
  readonly onInput?: (input: Buffer) => void
  /** How many different faults end the run. */
  readonly mostFaults?: number
}

export interface FoundFault {
  readonly fault: Fault
  readonly input: Buffer
  readonly execution: number
}

export interface FuzzReport {
  readonly executions: number
  readonly seconds: number
  /** What was kept, the best first. */
  readonly corpus: readonly Buffer[]
  /** Characters of source that have run, of all. */
  readonly share: { readonly run: number; readonly all: number }
  /** The words for what became of inputs, and how often each was heard. */
  readonly words: ReadonlyMap<string, number>
  readonly faults: readonly FoundFault[]
}

/** Inputs are kept for words that were never heard only so often: a word may quote its input. */
const mostWords = 300

/** Runs a target until the time is over. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzReport> {
  await using opened = await target.open()
  options.coverage.begin(target.covers)
  const run = new Run(target, opened, options)
  const started = performance.now()
  const starts = [...target.starts, ...options.corpus]
  for (const input of starts) await run.tryAll([input])
  if (run.corpus.length === 0) run.corpus.push(Buffer.alloc(0))
  const end = started + options.seconds * 1000
  while (performance.now() < end && run.faults.length < (options.mostFaults ?? 5))
    await run.tryAll(run.batch(Math.min(end, performance.now() + 500)))
  const seconds = (performance.now() - started) / 1000
  letStraysGo()
  const { executions, corpus, words, faults } = run
  return { executions, seconds, corpus, share: run.coverage.share, words, faults }
}

/** Tries one input; what it throws is a fault, whatever it is, and so is what anybody throws meanwhile. */
export async function attempt(opened: Opened, input: Buffer): Promise<{ word: string } | { fault: Fault }> {
  watchStrays()
  try {
    const outcome = opened.run(input)
    const word = typeof outcome === 'string' ? outcome : await outcome
    if (strays.length === 0) return { word }
    return { fault: faultOf(strays.pop()) }
  } catch (error) {
    return { fault: faultOf(error) }
  } finally {
    strays.length = 0
  }
}

/** What was thrown where nobody could catch it. */
const strays: unknown[] = []

function watchStrays(): void {
  if (process.listeners('uncaughtException').includes(stray)) return
  process.on('uncaughtException', stray)
  process.on('unhandledRejection', stray)
}

function stray(error: unknown): void {
  strays.push(error)
}

/** Lets go of the process: what is thrown from now on ends it again. */
export function letStraysGo(): void {
  process.off('uncaughtException', stray)
  process.off('unhandledRejection', stray)
}

class Run {
  readonly corpus: Buffer[] = []
  readonly words = new Map<string, number>()
  readonly faults: FoundFault[] = []
  readonly coverage: Coverage
  executions = 0
  readonly #target: FuzzTarget
  readonly #opened: Opened
  readonly #random: Random
  readonly #onInput: (input: Buffer) => void

  constructor(target: FuzzTarget, opened: Opened, { seed, onInput, coverage }: FuzzOptions) {
    this.#target = target
    this.#opened = opened
    this.#random = new Random(seed)
    this.#onInput = onInput ?? (() => {})
    this.coverage = coverage
  }

  /** An input made of one that was kept; of those kept last more often. */
  next(): Buffer {
    const { corpus } = this
    const some = () => corpus[corpus.length - 1 - this.#random.length(corpus.length - 1)]!
    const { make } = this.#target
    const kind = make ? this.#random.below(4) : 0
    if (kind === 3) return make!(this.#random)
    return mutate(this.#random, kind === 2 ? make!(this.#random) : some(), this.#random.pick(corpus), this.#target)
  }

  /** So many inputs as the target says, fewer where the time is over before. */
  *batch(until: number): Generator<Buffer> {
    for (let count = 0; count < this.#target.batch && performance.now() < until; count++) yield this.next()
  }

  async tryAll(given: Iterable<Buffer>): Promise<void> {
    const inputs: Buffer[] = []
    const kept = new Set<Buffer>()
    for (const input of given) {
      inputs.push(input)
      const word = await this.#try(input)
      if (word === null) continue
      const times = this.words.get(word) ?? 0
      this.words.set(word, times + 1)
      if (times === 0 && this.words.size <= mostWords) kept.add(input)
    }
    let fresh = this.coverage.take()
    // Which of them it was: each is tried once more. One whose way depends on what was before may not be found.
    if (fresh.size > 0 && inputs.length === 1) kept.add(inputs[0]!)
    else
      for (const input of fresh.size > 0 ? inputs : []) {
        await this.#try(input)
        const found = this.coverage.among(fresh)
        if (found.size === 0) continue
        kept.add(input)
        fresh = without(fresh, found)
        if (fresh.size === 0) break
      }
    this.corpus.push(...kept)
  }

  async #try(input: Buffer): Promise<string | null> {
    this.#onInput(input)
    this.executions++
    const outcome = await attempt(this.#opened, input)
    if ('word' in outcome) return outcome.word
    const { fault } = outcome
    if (this.faults.some((known) => known.fault.rule === fault.rule)) return null
    const execution = this.executions
    const small = await minimised(input, async (smaller) => {
      this.#onInput(smaller)
      const again = await attempt(this.#opened, smaller)
      return 'fault' in again && again.fault.rule === fault.rule
    })
    const last = await attempt(this.#opened, small)
    this.faults.push({ fault: 'fault' in last ? last.fault : fault, input: small, execution })
    return null
  }
}

function faultOf(error: unknown): Fault {
  if (error instanceof Fault) return error
  const { name, message, stack = '' } = error instanceof Error ? error : new Error(String(error))
  // Numbers and texts in a message are the input's.
  const rule = `${name} ${message.split('\n', 1)[0]!.replaceAll(/\d+|"[^"]*"|'[^']*'/g, '…')}`
  return new Fault(rule.slice(0, 200), stack.split('\n').slice(0, 8).join('\n'))
}

function without(places: Places, found: Places): Places {
  const left = new Map<string, readonly number[]>()
  for (const [path, all] of places) {
    const gone = new Set(found.get(path))
    const rest = all.filter((at) => !gone.has(at))
    if (rest.length > 0) left.set(path, rest)
  }
  return left
}
