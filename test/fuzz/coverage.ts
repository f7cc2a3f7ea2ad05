/**
 * Which characters of our sources have run: V8's precise block coverage, taken in the process through node:inspector. It is the
 * feedback of the fuzzer: an input that makes a character run for the first time is kept and changed further.
 */
import { readFileSync } from 'node:fs'
import { Session, type Profiler } from 'node:inspector'
import { fileURLToPath } from 'node:url'

const root = new URL('../../', import.meta.url).href

/** Places of sources, by path from the root of the repository; `true` at each offset that is meant. */
export type Places = ReadonlyMap<string, readonly number[]>

export class Coverage implements Disposable {
  readonly #session = new Session()
  #covers: readonly string[] = []
  /** One byte for each character of a file: 0 never run, 1 run. */
  readonly #run = new Map<string, Uint8Array>()

  /** Blocks are told of functions that are called for the first time from now on; of others only whether they were called. */
  constructor() {
    this.#session.connect()
    this.#post('Profiler.enable')
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Forgets what has run. `covers`: the beginnings of the paths that count from now on, from the root of the repository. */
  begin(covers: readonly string[]): void {
    this.#covers = covers
    this.#run.clear()
    this.#post('Profiler.takePreciseCoverage')
  }

  /** The characters that have run since the last call and never before. */
  take(): Places {
    const fresh = new Map<string, number[]>()
    this.#each((path, run, known) => {
      let places: number[] | undefined
      for (let at = 0; at < run.length; at++) {
        if (run[at] === 0 || known[at] === 1) continue
        known[at] = 1
        if (!places) fresh.set(path, (places = []))
        places.push(at)
      }
    })
    return fresh
  }

  /** Which of these characters have run since the last call, whether they had run before or not. */
  among(places: Places): Places {
    const found = new Map<string, readonly number[]>()
    this.#each((path, run) => {
      const here = (places.get(path) ?? []).filter((at) => run[at] === 1)
      if (here.length > 0) found.set(path, here)
    })
    return found
  }

  /** Characters that have run, of all in functions of the files that count and were loaded. */
  get share(): { readonly run: number; readonly all: number } {
    let [run, all] = [0, 0]
    for (const known of this.#run.values()) {
      all += known.length
      for (const one of known) run += one
    }
    return { run, all }
  }

  [Symbol.dispose](): void {
    this.#session.disconnect()
  }

  #each(visit: (path: string, run: Uint8Array, known: Uint8Array) => void): void {
    for (const { url, functions } of this.#post('Profiler.takePreciseCoverage').result) {
      const path = url.startsWith(root) ? url.slice(root.length).replace(/\?.*$/, '') : ''
      if (path === '' || !this.#covers.some((start) => path.startsWith(start))) continue
      let known = this.#run.get(path)
      if (!known)
        this.#run.set(path, (known = new Uint8Array(readFileSync(fileURLToPath(new URL(path, root)), 'utf8').length)))
      visit(path, painted(functions, known.length), known)
    }
  }

  /** In the same thread the answer is there before `post` returns. */
  #post(method: 'Profiler.enable'): object
  #post(method: 'Profiler.startPreciseCoverage', params: Profiler.StartPreciseCoverageParameterType): object
  #post(method: 'Profiler.takePreciseCoverage'): Profiler.TakePreciseCoverageReturnType
  #post(method: string, params: object = {}): object {
    let answer: object | undefined
    this.#session.post(method, params, (error, result) => {
      if (error) throw error
      answer = result ?? {}
    })
    if (!answer) throw new Error(`the inspector did not answer ${method}`)
    return answer
  }
}

/** Ranges stand from the outside in, so that the last word on a character is that of the innermost block around it. */
function painted(functions: readonly Profiler.FunctionCoverage[], length: number): Uint8Array {
  const run = new Uint8Array(length)
  for (const { functionName, ranges } of functions) {
    // The module itself ran once, before anybody looked.
    const isModule = functionName === '' && ranges[0]?.startOffset === 0
    for (const { startOffset, endOffset, count } of isModule ? [] : ranges)
      run.fill(count > 0 ? 1 : 0, startOffset, endOffset)
  }
  return run
}
