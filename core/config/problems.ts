/** What is wrong with a configuration, in words: the place, the thing, the cure. */

/**
 * What kind of thing is wrong, for tools: the file cannot be read, is no YAML; a key or value is not as its schema says, is unknown,
 * is missing; a reference leads nowhere; a plugin cannot be used; a fact is read before it is written; something must fit something
 * else of the file and does not; a name is there twice; an expectation of gateway.test.yaml was not met.
 */
export type ProblemCode =
  | 'CONFIG_FILE'
  | 'CONFIG_SYNTAX'
  | 'CONFIG_VALUE'
  | 'CONFIG_UNKNOWN'
  | 'CONFIG_MISSING'
  | 'CONFIG_REFERENCE'
  | 'CONFIG_PLUGIN'
  | 'CONFIG_FACT'
  | 'CONFIG_UPSTREAM'
  | 'CONFIG_TWICE'
  | 'TEST_FAILED'

/** One thing that is wrong. Line and column count from 1. */
export interface Problem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly code: ProblemCode
  readonly message: string
  /** What to do about it. */
  readonly cure?: string
  /** The line, its neighbours and a caret; secrets are starred out. Empty where there is no text to show. */
  readonly frame: string
}

/** A configuration that cannot be used, with everything that is wrong with it. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[]
  constructor(problems: readonly Problem[]) {
    super(problems.map((problem) => render(problem)).join('\n\n'))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** A problem for a terminal or a log: place and message, the lines of the file, the cure. */
export function render({ file, line, column, message, cure, frame }: Problem): string {
  const parts = [`${file}:${line}:${column} ${message}`]
  if (frame !== '') parts.push(frame)
  if (cure !== undefined) parts.push(`  ${cure}.`)
  return parts.join('\n')
}

/** A problem for a tool: where, which, what, and what to do. */
export function forTools({ cure, ...problem }: Problem): object {
  return { ...problem, remedy: cure ?? null }
}

/** Wider lines are cut, so that a minified file does not fill the screen. */
const frameWidth = 100

/** Draws the line with its neighbours and a caret below the column; empty where there is no text. */
export function drawFrame(lines: readonly string[], line: number, column: number): string {
  if (lines.every((text) => text.trim() === '')) return ''
  const last = Math.min(line + 1, lines.length)
  const margin = String(last).length
  const from = column > frameWidth - 20 ? column - frameWidth / 2 : 0
  const rows: string[] = []
  for (let number = Math.max(1, line - 1); number <= last; number++) {
    const text = printable((lines[number - 1] ?? '').slice(from, from + frameWidth))
    rows.push(`${number === line ? '>' : ' '} ${String(number).padStart(margin)} | ${text}`.trimEnd())
    if (number === line) rows.push(`  ${' '.repeat(margin)} | ${' '.repeat(column - 1 - from)}^`)
  }
  return rows.join('\n')
}

/** One column for each character: a tab would move the caret, an escape sequence would talk to the terminal. */
function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (char) => (char === '\t' ? ' ' : char === '\r' ? '' : '·'))
}

/** The candidate that was probably meant, if any is close enough; case, `-` and `_` do not count. */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  const wanted = plain(word)
  if (wanted === '' || wanted.length > 64) return undefined
  let best: string | undefined
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = distanceOf(wanted, plain(candidate))
    if (distance >= least) continue
    best = candidate
    least = distance
  }
  return best
}

/** The end of a sentence about `word`: `. Did you mean "allow"?`, or nothing where no candidate is close. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const guess = closest(word, candidates)
  return guess === undefined ? '' : `. Did you mean ${JSON.stringify(guess)}?`
}

function plain(word: string): string {
  return word.toLowerCase().replaceAll(/[-_]/g, '')
}

function distanceOf(word: string, candidate: string): number {
  if (word === candidate) return 0
  const [short, long] = word.length < candidate.length ? [word, candidate] : [candidate, word]
  // `warning` for `warn`, `conc` for `concurrency`.
  if (short.length >= 4 && long.startsWith(short)) return 1
  // A single letter is one edit away from every other: no reason to believe that it was meant.
  return word.length === 1 ? Infinity : edits(word, candidate)
}

/** Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, changes, swapped neighbours. */
function edits(a: string, b: string): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(at(above, column) + 1, at(current, column - 1) + 1, at(above, column - 1) + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) cost = Math.min(cost, at(before, column - 2) + 1)
      current.push(cost)
    }
    before = above
    above = current
  }
  return at(above, b.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? 0
}
