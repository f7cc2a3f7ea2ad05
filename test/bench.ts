/** The kit that plugin authors use is the one that these benchmarks use; what `npm run bench` tells at its end is declared here as well. */
import { appendFileSync } from 'node:fs'
import { bench as kit, type Measured } from '../core/testing/bench.ts'

/** What a ratio shall be. A miss is told, and nothing else: no timing is a test. */
export interface Bound {
  readonly atMost?: number
  readonly atLeast?: number
}

/** One ratio that has a bound. */
export interface Bounded {
  readonly what: string
  /** Whose cost is told, as a multiple of the first way's. */
  readonly way: string
  readonly ratio: number
  readonly bound: Bound
}

/** As the kit's, with bounds on the ratios of ways, by their names. */
export async function bench(
  what: string,
  ways: Readonly<Record<string, () => unknown>>,
  bounds: Readonly<Record<string, Bound>> = {},
): Promise<readonly Measured[]> {
  const strange = Object.keys(bounds).find((name) => !(name in ways))
  if (strange !== undefined) throw new Error(`${what} has no way "${strange}"`)
  const measured = await kit(what, ways)
  for (const { name, ratio } of measured) if (bounds[name]) tell({ what, way: name, ratio, bound: bounds[name] })
  return measured
}

/** Where the runner of all benchmarks reads what was told; absent: nobody does. */
export const toldFile = 'POSTERN_BENCH_TOLD'

/** A ratio that a benchmark has worked out itself. */
export function tell(bounded: Bounded): void {
  const file = process.env[toldFile]
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(bounded)}\n`)
}

export function isHeld({ ratio, bound: { atMost = Infinity, atLeast = 0 } }: Bounded): boolean {
  return ratio <= atMost && ratio >= atLeast
}
