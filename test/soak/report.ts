/** What these programs say of themselves: lines while they run, tables at the end, and the exit code. */

/** One row of a table that is printed: cells by their headings. */
export type Row = Readonly<Record<string, string | number>>

const began = performance.now()

/** A line with the time since the start. */
export function say(line: string): void {
  process.stdout.write(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  ${line}\n`)
}

/** Prints rows under their headings. */
export function table(title: string, rows: readonly Row[]): void {
  process.stdout.write(`\n${title}\n`)
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const lines = [names, ...rows.map((row) => names.map((name) => String(row[name] ?? '')))]
  const widths = names.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)))
  for (const line of lines)
    process.stdout.write(
      `  ${line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join('  ')}\n`,
    )
}

/** Ends the program: 0 where nothing is wrong, else 1 and what it is. */
export function conclude(wrong: readonly string[]): void {
  process.stdout.write(wrong.length === 0 ? '\nno unexplained error\n' : `\n${wrong.length} unexplained:\n`)
  for (const one of wrong.slice(0, 30)) process.stdout.write(`  ${one}\n`)
  process.exitCode = wrong.length === 0 ? 0 : 1
}

export interface Point {
  readonly minute: number
  readonly value: number
}

/** By least squares, in units of the value per minute; 0 where there are fewer than two moments. */
export function slopeOf(points: readonly Point[]): number {
  const mean = (of: (point: Point) => number) => points.reduce((sum, point) => sum + of(point), 0) / points.length
  const [minute, value] = [mean((point) => point.minute), mean((point) => point.value)]
  const spread = points.reduce((sum, point) => sum + (point.minute - minute) ** 2, 0)
  if (spread === 0 || points.length === 0) return 0
  return points.reduce((sum, point) => sum + (point.minute - minute) * (point.value - value), 0) / spread
}

/** The value below which this share of the list is; 0 for an empty one. */
export function quantile(list: readonly number[], share: number): number {
  const sorted = list.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

export const mebibytes = (bytes: number): number => Math.round((bytes / 2 ** 20) * 10) / 10

/** How many there are of each. */
export function countsOf(words: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}
