/**
 * `npm run soak:slow-clients`: slowhttptest keeps a thousand connections busy with as little as it can (heads, bodies and reading that take
 * for ever, ranges beyond counting) while others ask as usual. They get their answers, and the connections are free again afterwards.
 * The same attack goes, in turns, to a Postern that lets an address have so many connections and no more, and to a bare node:http proxy:
 * what a slow client costs there it costs any server on this machine.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Agent, setGlobalDispatcher } from 'undici'
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
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '3' },
    clients: { type: 'string', default: '8' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write('npm run soak:slow-clients -- [--connections 1000] [--seconds 10] [--rounds 3] [--clients 8]\n')
  process.exit(0)
}

const [connections, seconds, rounds] = [Number(values.connections), Number(values.seconds), Number(values.rounds)]
const wrong: string[] = []
const random = randomFrom(1)

/** The connections of one address, where that is limited: for an app with some dozens, and not for an attacker. */
const mostOfAddress = 100

// Others come from another address than the attacker, as they would.
setGlobalDispatcher(new Agent({ localAddress: '127.0.0.2' }))

/** Who is attacked. */
interface Target {
  readonly name: string
  readonly url: string
  readonly pid: number
  readonly gateway: SoakedGateway | null
}

/** What others saw of a target: how long each answer took, in ms, and the share of a core that the target took. */
interface Seen {
  readonly times: readonly number[]
  readonly failed: number
  readonly cpu: number
}

/** A target in one round: nobody is slow, and then many are. */
interface Look {
  readonly quiet: Seen
  readonly during: Seen
  readonly attacker: number
  /** Of a gateway: how many files it had open, and how long they were open afterwards, in s. */
  readonly files: number
  readonly freed: number
}

// What this process starts stays on its core; what is measured is moved.
const isPinned = pin(process.pid, cores.measuring)
await using upstream = await startUpstream(['well'])
await using open = await started({})
await using limited = await started({ connections: mostOfAddress })
const bare = fork(fileURLToPath(new URL('bare-process.ts', import.meta.url)), [new URL(upstream.urls.well).port])
const [{ port }] = (await once(bare, 'message')) as [{ port: number }] // its first word
const targets: readonly Target[] = [
  { name: 'Postern', url: open.url, pid: open.pid, gateway: open },
  { name: `… limits.connections: ${mostOfAddress}`, url: limited.url, pid: limited.pid, gateway: limited },
  { name: 'node:http', url: `http://127.0.0.1:${port}`, pid: bare.pid!, gateway: null }, // it has spoken
]
for (const { pid } of targets) pin(pid, cores.measured)
say(
  isPinned
    ? `on core ${cores.measured} what is attacked, on ${cores.measuring} who measures, on ${cores.attacking} the attacker, at nice 19`
    : 'taskset is missing: everything shares every core',
)

let count = 0
for (const target of targets) await others(target, () => sleep(3000)) // V8 needs some requests to be itself
const rows: Row[] = []
for (const mode of Object.keys(attacksOn('', { connections, seconds }))) {
  const seen = targets.map((target) => ({ target, looks: [] as Look[] }))
  for (let round = 0; round < rounds; round++)
    for (const { target, looks } of seen) looks.push(await look(mode, target))
  for (const { target, looks } of seen) rows.push(row(mode, target, looks))
}
table(`others, while ${connections} connections are slow, ${rounds} rounds`, rows)
bare.disconnect()
for (const { name, gateway } of targets) {
  const code = gateway ? await gateway.end('SIGTERM') : 0
  if (code !== 0) wrong.push(`${name} ended with ${code}`)
}
conclude(wrong)

async function started(limits: object): Promise<SoakedGateway> {
  const gateway = await SoakedGateway.make()
  await gateway.write({
    // Shorter than by themselves, so that a run sees them.
    limits: { head_time: '5s', body_time: '5s', read_time: '5s', ...limits },
    plugins: ['openai', { 'body-patch': {} }, 'failover'],
    upstreams: [{ name: 'well', provider: 'openai', url: upstream.urls.well, key: 'upstream-key-of-well' }],
  })
  await gateway.start()
  return gateway
}

async function look(mode: string, target: Target): Promise<Look> {
  const { gateway } = target
  const before = (await gateway?.files()) ?? 0
  const quiet = await others(target, () => sleep(Math.min(seconds, 5) * 1000))
  let isOver = false
  const watching = gateway && mostFiles(gateway, () => isOver)
  let attacker = 0
  const during = await others(target, async () => {
    const { said, cpu } = await attack(attacksOn(target.url, { connections, seconds })[mode]!)
    attacker = cpu
    say(`${mode} at ${target.name}: ${said}`)
  })
  isOver = true
  const files = (await watching) ?? 0
  return { quiet, during, attacker, files, freed: gateway ? await freeAgain(mode, gateway, before) : 0 }
}

/** Medians of the rounds; a ratio is that of one round, so that what else the machine does meanwhile is in both of its numbers. */
function row(mode: string, { name, gateway }: Target, looks: readonly Look[]): Row {
  const median = (of: (look: Look) => number) => quantile(looks.map(of), 0.5)
  const ms = (of: (look: Look) => Seen, share: number) => median((look) => quantile(of(look).times, share)).toFixed(1)
  const ratio = ({ quiet, during }: Look) => quantile(during.times, 0.99) / quantile(quiet.times, 0.99)
  const quiet = (look: Look) => look.quiet
  const during = (look: Look) => look.during
  return {
    mode,
    who: name,
    answers: looks.reduce((sum, look) => sum + look.during.times.length, 0),
    failed: looks.reduce((sum, look) => sum + look.during.failed, 0),
    'p50 quiet': ms(quiet, 0.5),
    'p50 ms': ms(during, 0.5),
    'p99 quiet': ms(quiet, 0.99),
    'p99 ms': ms(during, 0.99),
    'p99 ratio': median(ratio).toFixed(2),
    'from to': `${Math.min(...looks.map(ratio)).toFixed(1)}–${Math.max(...looks.map(ratio)).toFixed(1)}`,
    'CPU quiet': median((look) => look.quiet.cpu).toFixed(2),
    CPU: median((look) => look.during.cpu).toFixed(2),
    'attacker CPU': median((look) => look.attacker).toFixed(2),
    ...(gateway && {
      'files, most': Math.max(...looks.map((look) => look.files)),
      'freed after s': Math.max(...looks.map((look) => look.freed)).toFixed(1),
    }),
  }
}

/** Clients as usual for as long as `act` takes. */
async function others({ url, pid, gateway }: Target, act: () => Promise<unknown>): Promise<Seen> {
  const times: number[] = []
  let failed = 0
  let isOver = false
  const client = async () => {
    while (!isOver) {
      const question = questionOf(`s${count++}`, random, { api: 'chat', pieces: 3, pause: 2 })
      const since = performance.now()
      const { end, status, code, text, wrong: why } = await ask(url, question, { key: 'nobody-looks-at-it' })
      times.push(performance.now() - since)
      if (end !== 'whole') failed++
      if (end !== 'whole' && gateway)
        wrong.push(`${question.id} ended ${end} ${status} ${code}: ${why ?? ''} ${text.slice(-200)}`)
      await sleep(10)
    }
  }
  const [since, before] = [performance.now(), (await cpuOf(pid)) ?? 0]
  const clients = Array.from({ length: Number(values.clients) }, client)
  await act()
  isOver = true
  await Promise.all(clients)
  return { times, failed, cpu: (((await cpuOf(pid)) ?? 0) - before) / (performance.now() - since) }
}

async function mostFiles(gateway: SoakedGateway, isOver: () => boolean): Promise<number> {
  let most = 0
  while (!isOver()) {
    most = Math.max(most, await gateway.files())
    await sleep(200)
  }
  return most
}

/** How many seconds it takes until no more files are open than before. */
async function freeAgain(mode: string, gateway: SoakedGateway, before: number): Promise<number> {
  const since = performance.now()
  const deadline = since + 60_000
  for (let files = await gateway.files(); files > before + 20; files = await gateway.files()) {
    if (performance.now() > deadline) {
      const { rss } = await gateway.weigh()
      wrong.push(`${mode}: ${files} files are open a minute after the end, ${before} before; ${mebibytes(rss)} MiB`)
      break
    }
    await sleep(100)
  }
  return (performance.now() - since) / 1000
}
