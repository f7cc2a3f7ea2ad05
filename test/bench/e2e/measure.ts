/** One scenario: everybody in turns, round after round. */
import { residentOf } from './machine.ts'
import { start, type Running } from './processes.ts'
import { rivals, type Upstreams } from './rivals.ts'
import type { Scenario } from './scenarios.ts'
import { stub } from './stub.ts'
import { awaitQuiet, median, turn, type Effort, type Round, type Until } from './turn.ts'

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

/** Nobody's way: the load asks the upstream itself. */
export const direct = 'direct'

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
  for (const contender of contenders) await round(contender, scenario, warmUp(scenario, effort))
  const others: number[] = []
  // A stream takes half a second: more of them in a turn.
  const seconds = effort.seconds * (isStream ? 2 : 1)
  for (let at = 1; at <= effort.rounds; at++) {
    others.push(await awaitQuiet(effort.anyway))
    for (const contender of contenders) contender.rounds.push(await round(contender, scenario, { seconds }))
    process.stderr.write(`${name}: round ${at} of ${effort.rounds}\n`)
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

/**
 * V8 needs some ten thousand requests to be itself, and the more the more there is to compile: after 2 000 the whole of Postern took 1.41
 * times what http-proxy-3 took, after 20 000 1.12 and 1.30. Streams are long.
 */
function warmUp({ isStream }: Scenario, { seconds }: Effort): Until {
  return isStream ? { requests: 256 } : { seconds: 4 * seconds }
}

function round(
  contender: Contender,
  { connections, body, failEvery, isStream }: Scenario,
  until: Until,
): Promise<Round> {
  const { server, isGateway, headers } = contender
  const asked = { connections, body, headers, failEvery: failEvery ?? 0, isStream: isStream ?? false }
  return turn(server, asked, until, isGateway)
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

function urlOf({ port }: Running): string {
  return `http://127.0.0.1:${port}`
}
