/**
 * `npm run bench:workers`: requests per second and CPU per request with one process and with several workers, in turns in one run. The
 * load and the upstream have to run somewhere too: the machine's cores are theirs as well, and the ratio says what was left to gain.
 */
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { parseExposition } from '../../core/observe/metrics.fixture.ts'
import { GatewayProcess } from '../slow/gateway-process.fixture.ts'
import type { Load } from './load.ts'

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: String(Math.max(2, availableParallelism())) },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '3' },
    connections: { type: 'string', default: '32' },
    /** Bytes of a request. */
    body: { type: 'string', default: '262144' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write(
    'npm run bench:workers -- [--workers 2] [--rounds 5] [--seconds 3] [--connections 32] [--body 262144]\n',
  )
  process.exit(0)
}
const path = (file: string) => new URL(file, import.meta.url).pathname

const upstream = fork(path('upstream.ts'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
const [{ port }] = (await once(upstream, 'message')) as [{ port: number }] // its first word
const counts = [1, Number(values.workers)]
const gateways: GatewayProcess[] = []
for (const workers of counts) {
  gateways.push(
    await GatewayProcess.begin({
      workers,
      upstreams: [{ name: 'bench', provider: 'openai', url: `http://127.0.0.1:${port}`, key: 'sk-bench' }],
      plugins: ['anthropic', 'openai', 'gemini', { 'body-patch': { set: { user: 'bench' } } }],
    }),
  )
}
const rounds = gateways.map((): { perSecond: number; cpu: number; p99: number }[] => [])
for (const gateway of gateways) await measure(gateway)
for (let round = 1; round <= Number(values.rounds); round++) {
  for (const [at, gateway] of gateways.entries()) rounds[at]!.push(await measure(gateway))
  process.stderr.write(`round ${round} of ${values.rounds}\n`)
}
const rows = rounds.map((list, at) => ({
  workers: counts[at],
  'requests/s': Math.round(median(list.map(({ perSecond }) => perSecond))),
  'CPU µs/request, all processes of Postern': Math.round(median(list.map(({ cpu }) => cpu))),
  'p99 ms': Number(median(list.map(({ p99 }) => p99)).toFixed(1)),
}))
console.table(rows)
const ratioOf = (of: 'perSecond' | 'cpu') =>
  median(rounds[1]!.map((round, at) => round[of] / rounds[0]![at]![of])).toFixed(2)
process.stdout.write(
  `${counts[1]} workers / one process, median of ${values.rounds} paired rounds on ${availableParallelism()} cores, which load and upstream ` +
    `use too: ${ratioOf('perSecond')} times the requests per second, ${ratioOf('cpu')} times the CPU per request\n`,
)
for (const gateway of gateways) await gateway[Symbol.asyncDispose]()
upstream.disconnect()

async function measure(gateway: GatewayProcess) {
  const before = await cpuOf(gateway)
  const words = ['--port', new URL(gateway.url).port, '--seconds', values.seconds]
  const more = ['--connections', values.connections, '--body', values.body]
  const run = spawn(process.execPath, [path('load.ts'), ...words, ...more], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  run.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
  await once(run, 'close')
  const told = JSON.parse(text) as Load // what load.ts prints
  if (told.errors > 0) throw new Error(`${told.errors} errors: nothing was measured`)
  const cpu = (await cpuOf(gateway)) - before
  return { perSecond: told.requests / told.seconds, cpu: (cpu * 1e6) / told.requests, p99: told.p99 }
}

/** Of all its processes, in seconds. */
async function cpuOf({ adminUrl }: GatewayProcess): Promise<number> {
  const families = parseExposition(await (await fetch(`${adminUrl}/metrics`)).text())
  return (families.get('postern_cpu_seconds_total')?.samples ?? []).reduce((sum, { value }) => sum + value, 0)
}

function median(list: readonly number[]): number {
  return list.toSorted((one, other) => one - other)[Math.floor(list.length / 2)] ?? 0
}
