/** What the fuzzer needs to know of something that reads bytes of others. */
import type { Random } from './random.ts'

export interface FuzzTarget {
  readonly name: string
  /** What is held against what, in a sentence. */
  readonly about: string
  /** Whose code it is that new ground is looked for in: beginnings of paths from the root of the repository. */
  readonly covers: readonly string[]
  /** Inputs to begin with. */
  readonly starts: readonly Buffer[]
  /** Pieces that mean something to whatever reads the input. */
  readonly words: readonly Buffer[]
  /** Bytes that an input has at the most. */
  readonly longest: number
  /** An input of the right shape from scratch, where changes alone rarely make one. A quarter are such, a quarter are changed from such. */
  readonly make?: (random: Random) => Buffer
  /** How many are tried between two looks at the coverage, which cost some ms each. */
  readonly batch: number
  open(): Promise<Opened>
}

/** A target that is ready. Its end fails where something was left open. */
export interface Opened extends AsyncDisposable {
  /**
   * Tries one input. Throws where it shows a fault; resolves with a word for what became of it. A word that was never heard is a
   * reason to keep the input, as is new ground in the code: WebAssembly and other processes have no coverage.
   */
  run(input: Buffer): string | Promise<string>
}

/** Something is not as it was promised. `rule` is the promise, the same for every input that breaks it. */
export class Fault extends Error {
  readonly rule: string
  constructor(rule: string, detail = '') {
    super(detail === '' ? rule : `${rule}: ${detail}`)
    this.name = 'Fault'
    this.rule = rule
  }
}

/** Texts as bytes, a character for each. */
export function latin(...texts: readonly string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text, 'latin1'))
}

/** Texts as UTF-8. */
export function utf8(...texts: readonly string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text))
}

/** Takes choices from the front of an input, so that changes of the bytes are changes of the choices; zeros where it has ended. */
export class Choices {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isOver(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** From 0 to below `limit`, at most 256. */
  below(limit: number): number {
    return (this.#bytes[this.#at++] ?? 0) % limit
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]! // it is within
  }

  take(length: number): Buffer {
    const taken = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return taken
  }

  rest(): Buffer {
    return this.take(this.#bytes.length)
  }
}
