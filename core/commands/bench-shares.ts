/** What each plugin adds to a request: the same gateway with it and without it, in turns. */
import { BenchClient } from './bench-client.ts'
import type { BenchExchange } from './bench-exchanges.ts'
import { median } from './bench-hooks.ts'

/** A gateway, or nobody's way, by its address. */
export interface Way {
  readonly name: string
  readonly url: string
}

/** Of one plugin, at one exchange. */
export interface Share {
  readonly plugin: string
  /** CPU time that it adds to a request, in µs; null: less than the noise. */
  readonly microseconds: number | null
  /** Of what the whole gateway takes for a request, 0 to 1; null likewise. */
  readonly share: number | null
  /** What can be told apart here, in µs: below it nothing is told. */
  readonly noise: number
}

export interface Shares {
  /** CPU time that the whole gateway adds to the way without it, in µs per request. */
  readonly whole: number
  /** Within which half of the rounds lay, in µs. */
  readonly spread: readonly [number, number]
  readonly shares: readonly Share[]
}

/** In how many turns each way's requests are sent. */
const rounds = 20

/**
 * `direct` asks the upstream itself; `whole` and `again` are the same gateway twice: what seems to be between those two is noise. The
 * order of the turns moves on with each round, so that nobody is always behind the same one.
 */
export async function sharesOf(
  ways: { readonly direct: Way; readonly whole: Way; readonly again: Way; readonly without: readonly Way[] },
  { request }: BenchExchange,
  requests: number,
): Promise<Shares> {
  const { direct, whole, again, without } = ways
  const all = [direct, whole, again, ...without]
  using stack = new DisposableStack()
  const seats = all.map(({ name, url }) => ({ name, client: stack.use(new BenchClient(url)), times: [] as number[] }))
  const atOnce = Math.max(1, Math.round(requests / rounds))
  // V8 compiles what is asked often; a tenth of the requests, at the least a few hundred, are not counted.
  for (const { client } of seats) await client.ask(request, Math.max(200, Math.round(requests / 10)))
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < seats.length; at++) {
      const { client, times } = seats[(at + round) % seats.length]!
      const before = process.cpuUsage()
      await client.ask(request, atOnce)
      const { user, system } = process.cpuUsage(before)
      times.push((user + system) / atOnce)
    }
  }
  const [way = [], own = [], twin = [], ...others] = seats.map(({ times }) => times)
  const lacking = without.map(({ name }, at) => [name, others[at]!] as const)
  return judged({ way, own, twin, without: Object.fromEntries(lacking) })
}

/** CPU time per request in each round, of each way. */
export interface Rounds {
  readonly way: readonly number[]
  readonly own: readonly number[]
  /** The same gateway as `own`. */
  readonly twin: readonly number[]
  /** By the plugin that is not there. */
  readonly without: Readonly<Record<string, readonly number[]>>
}

/** Nothing is told of a plugin that adds less than what is between two gateways that are the same, or than its own rounds differ. */
export function judged({ way, own, twin, without }: Rounds): Shares {
  const cost = differences(own, way)
  const apart = noiseOf(differences(own, twin), 0)
  const base = median(cost)
  const shares = Object.entries(without).map(([plugin, other]) => {
    const added = differences(own, other)
    const told = median(added)
    const noise = Math.max(apart, noiseOf(added, told))
    const isTold = told > noise && base > 0
    return { plugin, microseconds: isTold ? told : null, share: isTold ? told / base : null, noise }
  })
  return { whole: base, spread: [quantile(cost, 0.25), quantile(cost, 0.75)], shares }
}

function differences(one: readonly number[], other: readonly number[]): number[] {
  return one.map((value, at) => value - other[at]!)
}

/**
 * Twice the standard error of the median: 1.253 of the mean's, whose deviation is taken from the median deviation (1.483 of it), which
 * a round that others have disturbed does not move. What lies off `expected` counts too.
 */
function noiseOf(list: readonly number[], expected: number): number {
  const middle = median(list)
  const deviation = median(list.map((value) => Math.abs(value - middle)))
  return Math.abs(middle - expected) + (2 * 1.253 * 1.483 * deviation) / Math.sqrt(list.length)
}

function quantile(list: readonly number[], share: number): number {
  return list.toSorted((one, other) => one - other)[Math.floor((list.length - 1) * share)] ?? 0
}
