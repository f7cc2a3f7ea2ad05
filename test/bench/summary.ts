/** What all benchmarks came to, in one table. */
import { isHeld, type Bound, type Bounded } from '../bench.ts'

/** One file of benchmarks. */
export interface Ran {
  readonly file: string
  /** The exit code, or the signal that ended it. */
  readonly ended: number | string
  readonly told: readonly Bounded[]
}

export function summary(ran: readonly Ran[]): string {
  const rows = ran.flatMap(({ file, told }) =>
    told.map((one) => [
      isHeld(one) ? 'pass' : 'MISS',
      `${one.ratio.toFixed(2)} x`,
      wordsOf(one.bound),
      `${one.way}: ${one.what}`,
      file,
    ]),
  )
  const lines = [['', 'ratio', 'bound', 'of', 'in'], ...rows]
  const widths = lines[0]!.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)))
  const all = ran.flatMap(({ told }) => told)
  const unbounded = ran.filter(({ told, ended }) => told.length === 0 && ended === 0).map(({ file }) => file)
  return [
    ...(rows.length > 0
      ? lines.map((line) =>
          line
            .map((cell, at) => cell.padEnd(widths[at]!))
            .join('  ')
            .trimEnd(),
        )
      : []),
    `${all.filter(isHeld).length} of ${all.length} bounds are held`,
    ...(unbounded.length > 0 ? [`Without a bound: ${unbounded.join(', ')}`] : []),
    ...ran.filter(({ ended }) => ended !== 0).map(({ file, ended }) => `${file} did not come to its end (${ended})`),
  ].join('\n')
}

function wordsOf({ atMost, atLeast }: Bound): string {
  return [atLeast === undefined ? '' : `>= ${atLeast}`, atMost === undefined ? '' : `<= ${atMost}`]
    .filter(Boolean)
    .join(', ')
}
