/** Steady load on gateways, and how much longer each exchange took than its upstream did. */
import { fakeUpstream, type FakeUpstream } from '../fake-upstream.ts'

/** One exchange as its client saw it. */
export interface Timed {
  readonly phase: string
  /** In ms, beyond what the upstream took of it. */
  readonly over: number
  /** What went wrong; null: nothing. */
  readonly problem: string | null
}

export interface TimedUpstream extends FakeUpstream {
  readonly name: string
  /** By the id of a request: how long this upstream was at it, in ms. */
  readonly took: Map<string, number>
}

/**
 * Answers as a stream of three events in about 30 ms, or in three seconds where the id says that it is a long one, or as a document in
 * 20 ms; each says who answers and what was asked.
 */
export async function timedUpstream(name: string): Promise<TimedUpstream> {
  const took = new Map<string, number>()
  const upstream = await fakeUpstream(async (asked, response) => {
    const began = performance.now()
    const { id, stream } = JSON.parse(asked.body.toString()) as { id: string; stream: boolean } // what the load sends
    const piece = (at: number) => JSON.stringify({ from: name, id, at, choices: [{ delta: { content: 'x' } }] })
    response.on('finish', () => took.set(id, performance.now() - began))
    await new Promise((resolve) => setTimeout(resolve, 20))
    if (!stream) return void response.writeHead(200, { 'content-type': 'application/json' }).end(piece(0))
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let at = 0; at < 3; at++) {
      response.write(`data: ${piece(at)}\n\n`)
      await new Promise((resolve) => setTimeout(resolve, id.startsWith('long') ? 1000 : 5))
    }
    response.end('data: [DONE]\n\n')
  })
  return Object.assign(upstream, { name, took })
}

const workers = 12
/** Those of them that only send long ones: some are always under way, whatever happens meanwhile. */
const longWorkers = 4
const sessions = 40

/** Asks until it is told to stop. */
export function load(gateways: readonly string[], upstreams: readonly TimedUpstream[]) {
  const exchanges: (Omit<Timed, 'over'> & { readonly ms: number; readonly id: string })[] = []
  let isOver = false
  let count = 0
  const under = { phase: 'first contact', stop }
  const work = async (worker: number) => {
    while (!isOver) {
      const isLong = worker < longWorkers
      const id = `${isLong ? 'long' : 'n'}${count++}`
      const { phase } = under
      const began = performance.now()
      const stream = isLong || count % 2 === 0
      const problem = await ask(gateways[worker % gateways.length] ?? '', id, stream).catch(String)
      exchanges.push({ phase, problem, id, ms: performance.now() - began })
    }
  }
  const working = Promise.all(Array.from({ length: workers }, (_, worker) => work(worker)))

  async function stop(): Promise<Timed[]> {
    isOver = true
    await working
    return exchanges.map(({ phase, problem, id, ms }) => {
      const took = upstreams.map((upstream) => upstream.took.get(id)).find((one) => one !== undefined) ?? 0
      return { phase, problem, over: ms - took }
    })
  }
  return under
}

/** Null, or what was wrong with the answer. */
async function ask(url: string, id: string, stream: boolean): Promise<string | null> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', session_id: `s${Number(id.replace(/\D+/, '')) % sessions}` },
    body: JSON.stringify({ id, stream, model: 'm', messages: [] }),
    signal: AbortSignal.timeout(20_000),
  })
  const text = await answer.text()
  if (answer.status !== 200) return `${answer.status} ${text}`
  const from = /"from":"(\w)"/.exec(text)?.[1]
  const piece = (at: number) => JSON.stringify({ from, id, at, choices: [{ delta: { content: 'x' } }] })
  const whole = stream ? `${[0, 1, 2].map((at) => `data: ${piece(at)}\n\n`).join('')}data: [DONE]\n\n` : piece(0)
  return text === whole ? null : `not what was sent: ${text}`
}

/** A line for each phase. */
export function summary(exchanges: readonly Timed[]): string {
  const phases = Map.groupBy(exchanges, ({ phase }) => phase)
  const lines = [...phases].map(([phase, of]) => {
    const over = of.map((one) => one.over).toSorted((one, other) => one - other)
    const at = (share: number) => (over[Math.min(over.length - 1, Math.floor(share * over.length))] ?? 0).toFixed(1)
    const failed = of.filter(({ problem }) => problem !== null).length
    const late = over.filter((ms) => ms > 250).length
    return [phase.padEnd(22), of.length, failed, at(0.5), at(0.99), at(1), late]
      .map((cell) => String(cell).padStart(10))
      .join('')
  })
  const head = ['exchanges', 'failed', 'p50 ms', 'p99 ms', 'most ms', '> 250 ms']
    .map((cell) => cell.padStart(10))
    .join('')
  return ['longer than the upstream, by phase', `${''.padEnd(22)}${head}`, ...lines].join('\n')
}
