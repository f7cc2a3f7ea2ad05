/**
 * `npm run soak:slow-clients`: slowhttptest keeps a thousand connections busy with as little as it can (heads, bodies and reading that take
 * for ever, ranges beyond counting) while others ask as usual. They get their answers, and the connections are free again afterwards.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { randomFrom } from '../slow/moody.fixture.ts'
import { ask } from './client.ts'
import { SoakedGateway } from './gateway.ts'
import { questionOf } from './mix.ts'
import { conclude, mebibytes, quantile, say, table, type Row } from './report.ts'
import { startUpstream } from './upstream-process.ts'

const { values } = parseArgs({
  options: {
    connections: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '30' },
    clients: { type: 'string', default: '8' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write('npm run soak:slow-clients -- [--connections 1000] [--seconds 30] [--clients 8]\n')
  process.exit(0)
}

const connections = Number(values.connections)
const seconds = Number(values.seconds)
const wrong: string[] = []
const random = randomFrom(1)

await using upstream = await startUpstream(['well'])
await using gateway = await SoakedGateway.make()
await gateway.write({
  // Shorter than by themselves, so that a run sees them.
  limits: { head_time: '5s', body_time: '5s', read_time: '5s' },
  plugins: ['openai', { 'body-patch': {} }, 'failover'],
  upstreams: [{ name: 'well', provider: 'openai', url: upstream.urls.well, key: 'upstream-key-of-well' }],
})
await gateway.start()

const target = `${gateway.url}/v1/files`
const pace = [
  '-c',
  String(connections),
  '-r',
  String(Math.ceil(connections / 2)),
  '-i',
  '2',
  '-l',
  String(seconds),
  '-p',
  '5',
]
const modes: Readonly<Record<string, readonly string[]>> = {
  'slow heads': ['-H', ...pace, '-x', '24', '-u', target],
  'slow bodies': [
    '-B',
    ...pace,
    '-s',
    '8192',
    '-t',
    'POST',
    '-x',
    '10',
    '-f',
    'application/json',
    '-u',
    `${gateway.url}/v1/chat/completions`,
  ],
  'slow reading': ['-X', ...pace, '-w', '256', '-y', '512', '-n', '2', '-z', '16', '-k', '1', '-u', target],
  ranges: ['-R', ...pace, '-a', '5', '-b', '1000', '-t', 'GET', '-u', target],
}

let count = 0
await others(async () => sleep(2000)) // V8 needs some requests to be itself
const quiet = await others(() => sleep(Math.min(seconds, 10) * 1000))
const filesBefore = await gateway.files()
const rows: Row[] = [row('nobody is slow', quiet)]
for (const [mode, words] of Object.entries(modes)) {
  let isOver = false
  const watching = mostFiles(() => isOver)
  const seen = await others(() => slowly(mode, words))
  isOver = true
  const files = await watching
  rows.push({ ...row(mode, seen), 'files, most': files, 'freed after s': (await freed(mode)).toFixed(1) })
  say(`${mode}: ${seen.times.length} answers to others, ${wrong.length} unexplained`)
}
table(`others, while ${connections} connections are slow`, rows)
const code = await gateway.end('SIGTERM')
if (code !== 0) wrong.push(`the gateway ended with ${code}`)
conclude(wrong)

function row(mode: string, { times, cpu }: Seen): Row {
  const ms = (share: number) => quantile(times, share).toFixed(1)
  const ratio = (quantile(times, 0.99) / quantile(quiet.times, 0.99)).toFixed(2)
  return {
    mode,
    answers: times.length,
    'p50 ms': ms(0.5),
    'p99 ms': ms(0.99),
    'p99 / quiet': ratio,
    CPU: cpu.toFixed(2),
  }
}

interface Seen {
  /** How long each answer took, in ms. */
  readonly times: readonly number[]
  /** The share of a core that the gateway took. */
  readonly cpu: number
}

/** Clients as usual for as long as `act` takes. */
async function others(act: () => Promise<void>): Promise<Seen> {
  const times: number[] = []
  let isOver = false
  const client = async () => {
    while (!isOver) {
      const question = questionOf(`s${count++}`, random, { api: 'chat', pieces: 3, pause: 2 })
      const since = performance.now()
      const { end, status, code, text, wrong: why } = await ask(gateway.url, question, { key: 'nobody-looks-at-it' })
      times.push(performance.now() - since)
      if (end !== 'whole') wrong.push(`${question.id} ended ${end} ${status} ${code}: ${why ?? ''} ${text.slice(-200)}`)
      await sleep(10)
    }
  }
  const since = performance.now()
  const { cpu } = await gateway.weigh()
  const clients = Array.from({ length: Number(values.clients) }, client)
  await act()
  isOver = true
  await Promise.all(clients)
  return { times, cpu: ((await gateway.weigh()).cpu - cpu) / (performance.now() - since) }
}

/** One run of slowhttptest. */
async function slowly(mode: string, words: readonly string[]): Promise<void> {
  const child = spawn('slowhttptest', words, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (text) => (said += String(text)))
  child.stderr.on('data', (text) => (said += String(text)))
  const missing = once(child, 'error').then(() =>
    Promise.reject(new Error('slowhttptest is missing: apt-get install slowhttptest')),
  )
  await Promise.race([once(child, 'close'), missing])
  // eslint-disable-next-line no-control-regex -- it colours what it says
  const plain = said.replace(/\x1b\[[\d;]*[A-Za-z]/g, '')
  say(
    `${mode}: ${/service available:\s+\w+/.exec(plain.slice(plain.lastIndexOf('slow HTTP test status')))?.[0] ?? 'no status'}; ${/Exit status:.*/.exec(plain)?.[0] ?? 'no end'}`,
  )
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
async function freed(mode: string): Promise<number> {
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
