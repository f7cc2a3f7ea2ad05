/**
 * `npm run bench`: Postern against bare http-proxy-3 with a keep-alive agent, in turns on one machine in one run. What counts is
 * the ratio of CPU time per request, which noise on the machine disturbs least; times are printed beside it.
 */
import { fork, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '7' },
    requests: { type: 'string', default: '6000' },
    connections: { type: 'string', default: '32' },
    body: { type: 'string', default: '2048' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write('npm run bench -- [--rounds 7] [--requests 6000] [--connections 32] [--body BYTES]\n')
  process.exit(0)
}

interface Round {
  readonly cpu: number
  readonly wall: number
  readonly p50: number
  readonly p99: number
}

// The measured process has a core of its own where the system can give it one.
const pins = availableParallelism() > 1 && spawnSync('taskset', ['-V']).status === 0
const upstream = await start('upstream.ts', [], '1')
const origin = `http://127.0.0.1:${upstream.port}`
const rivals = {
  'http-proxy-3, keep-alive': await start('bare.ts', [origin], '0'),
  postern: await start('postern.ts', [origin], '0'),
}
const rounds: Record<string, Round[]> = {}

for (const [name, rival] of Object.entries(rivals)) {
  await measure(rival) // V8 needs a few thousand requests to be itself
  rounds[name] = []
}
for (let round = 1; round <= Number(values.rounds); round++) {
  for (const [name, rival] of Object.entries(rivals)) rounds[name]!.push(await measure(rival))
  process.stderr.write(`round ${round} of ${values.rounds}\n`)
}
report()
for (const { child } of [upstream, ...Object.values(rivals)]) child.disconnect()

function report(): void {
  const [bare, postern] = Object.values(rounds) as [Round[], Round[]] // two rivals
  const ratio = (of: keyof Round) => median(postern.map((round, at) => round[of] / bare[at]![of]))
  const rows = Object.entries(rounds).map(([name, list]) => ({
    gateway: name,
    'CPU µs/request': Math.round(median(list.map((round) => round.cpu))),
    'wall µs/request': Math.round(median(list.map((round) => round.wall))),
    'p50 ms': Number(median(list.map((round) => round.p50)).toFixed(2)),
    'p99 ms': Number(median(list.map((round) => round.p99)).toFixed(2)),
  }))
  console.table(rows)
  process.stdout.write(
    `postern / bare http-proxy-3, median of ${values.rounds} paired rounds of ${values.requests} requests (${values.body} B body, ` +
      `${values.connections} connections${pins ? ', pinned' : ''}): CPU ${ratio('cpu').toFixed(2)}, time ${ratio('wall').toFixed(2)}\n`,
  )
}

interface Started {
  readonly child: ChildProcess
  readonly port: number
}

async function start(file: string, words: string[], core: string): Promise<Started> {
  const path = new URL(file, import.meta.url).pathname
  const exec = pins ? { execPath: 'taskset', execArgv: ['-c', core, process.execPath] } : {}
  const child = fork(path, words, { ...exec, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`${file} ended (${code}) before it listened`)
  })
  const [told] = (await Promise.race([once(child, 'message'), died])) as [{ port: number }] // its first word, from measured.ts
  died.catch(() => {}) // from here on it ends when it is told to
  return { child, port: told.port }
}

async function measure({ child, port }: Started): Promise<Round> {
  const before = await cpuOf(child)
  const words = [
    '--port',
    String(port),
    '--requests',
    values.requests,
    '--connections',
    values.connections,
    '--body',
    values.body,
  ]
  const load = [process.execPath, new URL('load.ts', import.meta.url).pathname, ...words]
  const [command, ...rest] = pins ? ['taskset', '-c', '1', ...load] : load
  const run = spawn(command!, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  run.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  await once(run, 'close')
  const told = JSON.parse(text) as { requests: number; errors: number; seconds: number; p50: number; p99: number } // load.ts
  if (told.errors > 0 || told.requests < Number(values.requests))
    throw new Error(`${told.errors} errors: nothing was measured`)
  const cpu = (await cpuOf(child)) - before
  return { cpu: cpu / told.requests, wall: (told.seconds * 1e6) / told.requests, p50: told.p50, p99: told.p99 }
}

async function cpuOf(child: ChildProcess): Promise<number> {
  child.send('cpu')
  const [told] = (await once(child, 'message')) as [{ cpu: number }] // measured.ts
  return told.cpu
}

function median(list: number[]): number {
  const sorted = list.toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
