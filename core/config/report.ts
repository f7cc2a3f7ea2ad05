/** Collects what is wrong with one file: offsets in, lines and columns out, and no secret comes through. */
import { drawFrame, type Problem, type ProblemCode } from './problems.ts'

interface Found {
  readonly offset: number
  readonly message: string
  readonly cure: string | undefined
  readonly code: ProblemCode
}

/** User and password in a URL, which has no place for them: whoever wrote them there meant them for the server only. */
const userInfo = /(?<=:\/\/)[^\s/"'@]+(?=@)/g

export class Report {
  readonly #file: string
  readonly #text: string
  readonly #starts: readonly number[]
  readonly #found: Found[] = []
  readonly #hidden: (readonly [start: number, end: number])[] = []
  readonly #values = new Set<string>()

  constructor(file: string, text: string) {
    this.#file = file
    this.#text = text
    const starts = [0]
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
    this.#starts = starts
  }

  /** Whether nothing is wrong so far. */
  get clean(): boolean {
    return this.#found.length === 0
  }

  /** Notes a problem at an offset of the text. */
  add(offset: number, message: string, cure?: string, code: ProblemCode = 'CONFIG_VALUE'): void {
    this.#found.push({ offset: Math.max(0, Math.min(offset, this.#text.length)), message, cure, code })
  }

  /** Stars out a part of the text wherever a frame shows it. */
  hide(start: number, end: number): void {
    this.#hidden.push([start, end])
  }

  /**
   * Stars out a value wherever a message repeats it. Our own messages never do; this is the net below messages of
   * others, such as what a plugin throws. Short values would tear holes into ordinary words and are no secrets.
   */
  conceal(value: string): void {
    if (value.length >= 6) this.#values.add(value)
  }

  /** Where an offset of the text is, counted from 1. */
  position(offset: number): { readonly line: number; readonly column: number } {
    let low = 0
    let high = this.#starts.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((this.#starts[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: offset - (this.#starts[low] ?? 0) + 1 }
  }

  /** Everything that is wrong, from the first line to the last, each thing once. */
  problems(): readonly Problem[] {
    if (this.clean) return []
    const lines = this.#veiled().split('\n')
    const seen = new Set<string>()
    const problems: Problem[] = []
    for (const { offset, message, cure, code } of this.#found.toSorted((one, other) => one.offset - other.offset)) {
      if (seen.has(`${offset} ${message}`)) continue
      seen.add(`${offset} ${message}`)
      const { line, column } = this.position(offset)
      problems.push({
        file: this.#file,
        line,
        column,
        code,
        message: this.#withoutValues(message),
        ...(cure === undefined ? {} : { cure: this.#withoutValues(cure) }),
        frame: drawFrame(lines, line, column),
      })
    }
    return problems
  }

  /** As long as the text itself, so that columns stay true. */
  #veiled(): string {
    const chars = this.#text.replaceAll(userInfo, (match) => '*'.repeat(match.length)).split('')
    for (const [start, end] of this.#hidden) {
      for (let at = start; at < end; at++) if (chars[at] !== '\n' && chars[at] !== '\r') chars[at] = '*'
    }
    return chars.join('')
  }

  #withoutValues(message: string): string {
    let clean = message.replaceAll(userInfo, '***')
    for (const value of this.#values) clean = clean.replaceAll(value, '***')
    return clean
  }
}
