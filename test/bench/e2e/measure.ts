/** One scenario: everybody in turns, round after round. */
import { fileURLToPath } from 'node:url'
import type { Load } from '../load.ts'
import { cpuOf, otherLoad, residentOf } from './machine.ts'
import { output, start, type Running } from './processes.ts'
import { rivals, type Upstreams } from './rivals.ts'
import type { Scenario } from './scenarios.ts'
import { stub } from './stub.ts'

/** What one rival came to: medians of the rounds; times in ms, memory in MiB. */
export interface Figures {
  readonly rival: string
  /** CPU time of the server's process per request, in µs; absent for the way without a gateway. */
  readonly cpu?: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly firstP50: number
  readonly resident?: number
  readonly errors: number
}

export interface Told {
  readonly scenario: string
  readonly title: string
  readonly figures: readonly Figures[]
  /** Who was left out, and why. */
  readonly absent: Readonly<Record<string, string>>
  /** Cores that others used, looked at before each round: the median. */
  readonly otherLoad: number
}

export interface Effort {
  readonly rounds: number
  /** Of one turn. */
  readonly seconds: number
  /** Judges even where others work. */
  readonly anyway: boolean
}

/** Nobody's way: the load asks the upstream itself. */
export const direct = 'direct'

/** Cores that others may use while it judges. */
const quiet = 0.15

interface Round extends Load {
  readonly cpu?: number
}

interface Contender {
  readonly name: string
  readonly server: Running
  readonly isGateway: boolean
  readonly headers: readonly string[]
  readonly rounds: Round[]
}

/** Throws where the machine is not quiet and it shall not judge anyway. */
export async function measure(
  name: string,
  scenario: Scenario,
  names: readonly string[],
  effort: Effort,
): Promise<Told> {
  await using stack = new AsyncDisposableStack()
  const isStream = scenario.isStream ?? false
  const fails = scenario.failEvery !== undefined
  const first = stack.use(await start(stub({ isStream, fails }), 1))
  const spare = fails ? stack.use(await start(stub({ isStream, fails: false }), 1)) : null
  const upstreams = { url: urlOf(first), ...(spare ? { spare: urlOf(spare) } : {}) }
  const { contenders, absent } = await gather(names, upstreams, fails, stack)
  if (!fails) contenders.unshift({ name: direct, server: first, isGateway: false, headers: [], rounds: [] })
  for (const contender of contenders) await turn(contender, scenario, warmUp(scenario))
  const others: number[] = []
  for (let round = 1; round <= effort.rounds; round++) {
    others.push(await awaitQuiet(effort.anyway))
    for (const contender of contenders) {
      contender.rounds.push(await turn(contender, scenario, { seconds: effort.seconds }))
    }
    process.stderr.write(`${name}: round ${round} of ${effort.rounds}\n`)
  }
  const figures = contenders.map(summed)
  return { scenario: name, title: scenario.title, figures, absent, otherLoad: median(others) }
}

async function gather(names: readonly string[], upstreams: Upstreams, fails: boolean, stack: AsyncDisposableStack) {
  const contenders: Contender[] = []
  const absent: Record<string, string> = {}
  for (const name of names) {
    const rival = rivals[name]!
    const missing = fails && !rival.failsOver ? 'it asks nobody else, or not in a way that compares' : rival.missing()
    if (missing !== null) {
      absent[name] = missing
      continue
    }
    try {
      const server = stack.use(await start(rival.program(upstreams), 0))
      contenders.push({ name, server, isGateway: true, headers: rival.headers?.(upstreams) ?? [], rounds: [] })
    } catch (error) {
      absent[name] = error instanceof Error ? error.message : String(error)
    }
  }
  return { contenders, absent }
}

/** When a turn ends. */
type Until = { readonly seconds: number } | { readonly requests: number }

/** V8 needs some thousand requests to be itself; streams are long. */
function warmUp({ isStream }: Scenario): Until {
  return { requests: isStream ? 128 : 2000 }
}

async function turn({ server, isGateway, headers }: Contender, scenario: Scenario, until: Until): Promise<Round> {
  const words = {
    port: server.port,
    ...until,
    connections: scenario.connections,
    body: scenario.body,
    'fail-every': scenario.failEvery ?? 0,
  }
  const command = [
    process.execPath,
    fileURLToPath(new URL('../load.ts', import.meta.url)),
    ...Object.entries(words).flatMap(([word, value]) => [`--${word}`, String(value)]),
    ...headers.flatMap((header) => ['--header', header]),
    ...(scenario.isStream ? ['--stream'] : []),
  ]
  const before = isGateway ? cpuOf(server.pid) : 0
  const load = JSON.parse(await output(command)) as Load // load.ts prints one
  return isGateway ? { ...load, cpu: (cpuOf(server.pid) - before) / Math.max(1, load.requests) } : load
}

/** Waits up to a minute for others to end what they do; how many cores they use. */
async function awaitQuiet(anyway: boolean): Promise<number> {
  let used = await otherLoad()
  for (let waited = 0; used > quiet && !anyway && waited < 60; waited++) used = await otherLoad(1000)
  if (used <= quiet || anyway) return used
  throw new Error(
    `others use ${used.toFixed(2)} cores of this machine: what would be measured is them. End them, or say --anyway.`,
  )
}

function summed({ name, server, isGateway, rounds }: Contender): Figures {
  const of = (figure: keyof Round) => median(rounds.map((round) => round[figure] ?? 0))
  return {
    rival: name,
    ...(isGateway ? { cpu: of('cpu'), resident: residentOf(server.pid) } : {}),
    perSecond: median(rounds.map(({ requests, seconds }) => requests / seconds)),
    p50: of('p50'),
    p99: of('p99'),
    firstP50: of('firstP50'),
    errors: rounds.reduce((sum, { errors }) => sum + errors, 0),
  }
}

export function median(list: readonly number[]): number {
  const sorted = list.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

function urlOf({ port }: Running): string {
  return `http://127.0.0.1:${port}`
}
