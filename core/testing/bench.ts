/** Benchmarks that hold their rival: both run in turns in one process, and what is told is the ratio. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** What one way costs. */
export interface Measured {
  readonly name: string
  /** Of one call, in µs: the median of the rounds. */
  readonly microseconds: number
  /** Of one call, on the heap of JavaScript: the median of the rounds. */
  readonly bytes: number
  /** Of its time to that of the first way named. */
  readonly ratio: number
}

/** Rounds in which every way has its turn, so that what the machine does meanwhile meets all of them. */
const rounds = 15

/** How long a way runs in each round, in ms. */
const turn = 12

/**
 * Runs the ways against each other and prints them as multiples of the first one named: the thing itself first, then the naive way.
 * Timings are for reading: no test asserts them. What is asynchronous is waited for.
 */
export async function bench(
  what: string,
  ways: Readonly<Record<string, () => unknown>>,
  print: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<readonly Measured[]> {
  const gc = collector()
  const runners = []
  for (const [name, way] of Object.entries(ways)) {
    const isAsync = way() instanceof Promise
    const run = isAsync ? inTurn(way) : atOnce(way)
    let calls = 1
    // As many calls as fill a turn; this warms it up as well.
    while ((await timed(run, calls)) < turn && calls < 1e8) calls *= 2
    runners.push({ name, run, calls, times: [] as number[], sizes: await allocations(run, Math.min(calls, 2000), gc) })
  }
  for (let round = 0; round < rounds; round++) {
    for (const { run, calls, times } of runners) times.push(((await timed(run, calls)) * 1000) / calls)
  }
  const first = median(runners[0]?.times ?? [])
  const told = runners.map(({ name, times, sizes }) => {
    const microseconds = median(times)
    return { name, microseconds, bytes: Math.max(0, Math.round(median(sizes))), ratio: microseconds / first }
  })
  print(`\n${what}\n${told.map(line).join('')}`)
  return told
}

function line({ name, microseconds, bytes, ratio }: Measured): string {
  const columns = [`${microseconds.toFixed(3)} µs`, `${bytes} B`, `${ratio.toFixed(2)} x`]
  return `  ${name.padEnd(32)} ${columns.map((column) => column.padStart(14)).join('')}\n`
}

type Run = (calls: number) => void | Promise<void>

/** Seen by whoever calls a way: what nobody reads the compiler might leave out. */
let last: unknown

function atOnce(way: () => unknown): Run {
  return (calls) => {
    for (let at = 0; at < calls; at++) last = way()
  }
}

function inTurn(way: () => unknown): Run {
  return async (calls) => {
    for (let at = 0; at < calls; at++) last = await way()
  }
}

async function timed(run: Run, calls: number): Promise<number> {
  const start = performance.now()
  const pending = run(calls)
  if (pending) await pending
  return performance.now() - start
}

/** Bytes of one call, three times. Where the collector came in between, nothing was learned and fewer calls are tried. */
async function allocations(run: Run, calls: number, gc: () => void): Promise<number[]> {
  const sizes: number[] = []
  for (let tried = calls; tried >= 1 && sizes.length < 3;) {
    gc()
    const before = process.memoryUsage().heapUsed
    await timed(run, tried)
    const grown = process.memoryUsage().heapUsed - before
    if (grown >= 0) sizes.push(grown / tried)
    else tried = Math.floor(tried / 8)
  }
  return last === undefined && sizes.length === 0 ? [0] : sizes
}

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void // V8's own
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[sorted.length >> 1] ?? 0
}
