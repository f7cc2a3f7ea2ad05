/**
 * `npm run soak:slow-clients`: slowhttptest keeps a thousand connections busy with as little as it can (heads, bodies and reading that take
 * for ever, ranges beyond counting) while others ask as usual. They get their answers, and the connections are free again afterwards.
 * The same attack goes to a bare node:http proxy, in turns: what a slow client costs there it costs any server on this machine.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { randomFrom } from '../slow/moody.fixture.ts'
import { ask } from './client.ts'
import { cores, cpuOf, pin } from './cores.ts'
import { SoakedGateway } from './gateway.ts'
import { questionOf } from './mix.ts'
import { conclude, mebibytes, quantile, say, table, type Row } from './report.ts'
import { attack, attacksOn } from './slow-attack.ts'
import { startUpstream } from './upstream-process.ts'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '15' },
    rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '8' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write('npm run soak:slow-clients -- [--connections 1000] [--seconds 15] [--rounds 3] [--clients 8]\n')
  process.exit(0)
}

const [connections, seconds, rounds] = [Number(values.connections), Number(values.seconds), Number(values.rounds)]
const wrong: string[] = []
const random = randomFrom(1)

/** Who is attacked. */
interface Target {
  readonly name: 'Postern' | 'node:http'
  readonly url: string
  readonly pid: number
}

/** What others saw of a target: their answers' times in ms, and the share of a core that the target took. */
interface Seen {
  readonly times: number[]
  failed: number
  cpu: number[]
}

// What this process starts stays on its core; what is measured is moved.
const isPinned = pin(process.pid, cores.measuring)
await using upstream = await startUpstream(['well'])
await using gateway = await SoakedGateway.make()
await gateway.write({
  // Shorter than by themselves, so that a run sees them.
  limits: { head_time: '5s', body_time: '5s', read_time: '5s' },
  plugins: ['openai', { 'body-patch': {} }, 'failover'],
  upstreams: [{ name: 'well', provider: 'openai', url: upstream.urls.well, key: 'upstream-key-of-well' }],
})
await gateway.start()
const bare = fork(fileURLToPath(new URL('bare-process.ts', import.meta.url)), [new URL(upstream.urls.well).port])
const [{ port }] = (await once(bare, 'message')) as [{ port: number }] // its first word
const targets: readonly Target[] = [
  { name: 'Postern', url: gateway.url, pid: gateway.pid },
  { name: 'node:http', url: `http://127.0.0.1:${port}`, pid: bare.pid! }, // it has spoken
]
for (const { pid } of targets) pin(pid, cores.measured)
say(
  isPinned
    ? `on core ${cores.measured} what is attacked, on ${cores.measuring} who measures, on ${cores.attacking} the attacker, at nice 19`
    : 'taskset is missing: everything shares every core',
)

let count = 0
for (const target of targets) await others(target, nothing(), () => sleep(3000)) // V8 needs some requests to be itself
const filesBefore = await gateway.files()
const rows: Row[] = []
for (const mode of Object.keys(attacksOn('', { connections, seconds }))) {
  const seen = targets.map((target) => ({ target, quiet: nothing(), during: nothing(), attacker: [] as number[] }))
  let [files, freed] = [0, 0]
  for (let round = 0; round < rounds; round++) {
    for (const { target, quiet, during, attacker } of seen) {
      await others(target, quiet, () => sleep(Math.min(seconds, 5) * 1000))
      let isOver = false
      const watching = mostFiles(() => isOver)
      await others(target, during, async () => {
        const { said, cpu } = await attack(attacksOn(target.url, { connections, seconds })[mode]!)
        attacker.push(cpu)
        say(`${mode} at ${target.name}: ${said}`)
      })
      isOver = true
      const most = await watching
      if (target.name !== 'Postern') continue
      files = Math.max(files, most)
      freed = Math.max(freed, await freeAgain(mode))
    }
  }
  for (const { target, quiet, during, attacker } of seen) {
    const own: Row = target.name === 'Postern' ? { 'files, most': files, 'freed after s': freed.toFixed(1) } : {}
    rows.push({ ...row(mode, target, quiet, during), 'attacker CPU': mean(attacker), ...own })
    if (target.name === 'Postern' && during.failed > 0) wrong.push(`${mode}: ${during.failed} of others failed`)
  }
}
table(`others, while ${connections} connections are slow, ${rounds} rounds`, rows)
bare.disconnect()
const code = await gateway.end('SIGTERM')
if (code !== 0) wrong.push(`the gateway ended with ${code}`)
conclude(wrong)

function row(mode: string, { name }: Target, quiet: Seen, during: Seen): Row {
  const ms = ({ times }: Seen, share: number) => quantile(times, share).toFixed(1)
  return {
    mode,
    who: name,
    answers: during.times.length,
    failed: during.failed,
    'p50 quiet': ms(quiet, 0.5),
    'p50 ms': ms(during, 0.5),
    'p99 quiet': ms(quiet, 0.99),
    'p99 ms': ms(during, 0.99),
    'p99 ratio': (quantile(during.times, 0.99) / quantile(quiet.times, 0.99)).toFixed(2),
    'CPU quiet': mean(quiet.cpu),
    CPU: mean(during.cpu),
  }
}

function nothing(): Seen {
  return { times: [], failed: 0, cpu: [] }
}

function mean(list: readonly number[]): string {
  return (list.reduce((sum, one) => sum + one, 0) / list.length).toFixed(2)
}

/** Clients as usual for as long as `act` takes. */
async function others({ name, url, pid }: Target, seen: Seen, act: () => Promise<unknown>): Promise<void> {
  let isOver = false
  const client = async () => {
    while (!isOver) {
      const question = questionOf(`s${count++}`, random, { api: 'chat', pieces: 3, pause: 2 })
      const since = performance.now()
      const { end, status, code, text, wrong: why } = await ask(url, question, { key: 'nobody-looks-at-it' })
      seen.times.push(performance.now() - since)
      if (end !== 'whole') seen.failed++
      if (end !== 'whole' && name === 'Postern')
        wrong.push(`${question.id} ended ${end} ${status} ${code}: ${why ?? ''} ${text.slice(-200)}`)
      await sleep(10)
    }
  }
  const [since, before] = [performance.now(), (await cpuOf(pid)) ?? 0]
  const clients = Array.from({ length: Number(values.clients) }, client)
  await act()
  isOver = true
  await Promise.all(clients)
  seen.cpu.push((((await cpuOf(pid)) ?? 0) - before) / (performance.now() - since))
}

async function mostFiles(isOver: () => boolean): Promise<number> {
  let most = 0
  while (!isOver()) {
    most = Math.max(most, await gateway.files())
    await sleep(200)
  }
  return most
}

/** How many seconds it takes until no more files are open than before. */
async function freeAgain(mode: string): Promise<number> {
  const since = performance.now()
  const deadline = since + 60_000
  for (let files = await gateway.files(); files > filesBefore + 20; files = await gateway.files()) {
    if (performance.now() > deadline) {
      const { rss } = await gateway.weigh()
      wrong.push(
        `${mode}: ${files} files are open a minute after the end, ${filesBefore} before; ${mebibytes(rss)} MiB`,
      )
      break
    }
    await sleep(100)
  }
  return (performance.now() - since) / 1000
}
