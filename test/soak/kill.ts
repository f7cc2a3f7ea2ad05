/**
 * `npm run soak:kill`: kill -9 of a gateway under load, again and again, at moments drawn at random. Its clients ask again as SDKs do. A new
 * process has to answer at once, nothing is billed twice, and what is lost is what was running: the README of the plugin usage says so.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { randomFrom } from '../slow/moody.fixture.ts'
import { compareBooks, emptyJournal } from './books.ts'
import { ask, type Outcome } from './client.ts'
import { startServers } from './disturbances.ts'
import { SoakedGateway } from './gateway.ts'
import { questionOf } from './mix.ts'
import type { Question } from './question.ts'
import { conclude, countsOf, quantile, say, table } from './report.ts'
import { everything, keys, prepare, upstreamNames } from './settings.ts'
import { converse } from './turns.ts'
import { startUpstream } from './upstream-process.ts'

const { values } = parseArgs({
  options: {
    times: { type: 'string', default: '100' },
    clients: { type: 'string', default: '16' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write('npm run soak:kill -- [--times 100] [--clients 16] [--seed 1]\n')
  process.exit(0)
}

const times = Number(values.times)
const random = randomFrom(Number(values.seed))
/** Between the first answer of one process and its kill, in ms, at most. */
const longestLife = 2000
/** How long the slots of a killed process are lost, in ms. */
const lease = 3000
/** SDKs ask twice again, after half a second and a second; here also as long as nobody listens at all. */
const retries = 2
const firstPause = 500

const wrong: string[] = []
const seen = new Set<string>()
/** Questions whose exchange a kill has ended, or may have. */
const interrupted = new Set<string>()
const ends: string[] = []
let isOver = false
let kills = 0
let isDying = false
let count = 0

await using servers = await startServers()
await using upstream = await startUpstream(upstreamNames)
await using gateway = await SoakedGateway.make()
const { folder, url } = gateway
const places = { folder, redis: servers.redis.url, database: servers.postgres.url, upstreams: upstream.urls }
await prepare(places.database, folder)
await gateway.write(everything({ ...places, lease: `${lease}ms` }))
await gateway.start()
say(`the gateway listens at ${url}; ${values.clients} clients, ${times} kills`)

const clients = Promise.all(Array.from({ length: Number(values.clients) }, client))
const untilAnswer: number[] = []
const leases: number[] = []
while (kills < times) {
  await sleep(random() * longestLife)
  kills++
  isDying = true
  await gateway.end('SIGKILL')
  isDying = false
  leases.push(await longestLease())
  const since = performance.now()
  gateway.spawn()
  await firstAnswer()
  untilAnswer.push(performance.now() - since)
  if (kills % 5 === 0)
    say(`${kills} kills, ${count} questions, ${wrong.length} unexplained; ${Math.round(untilAnswer.at(-1)!)} ms`)
}
isOver = true
await clients
const freed = await slotsFreed()
await settle()

async function client(): Promise<void> {
  while (!isOver) {
    const key = keys[Math.floor(random() * keys.length)]!
    const pieces = 1 + Math.floor(random() * 20)
    const isTurn = random() < 0.2
    const more: Partial<Question> = isTurn ? { api: 'turn', stream: true, pieces } : { pieces }
    await insist(
      (id) => questionOf(id, random, more),
      (question) => (isTurn ? converse(url, key, [question]) : ask(url, question, { key })),
    )
    await sleep(random() * 20)
  }
}

/** Asks again as SDKs do: where nothing was answered yet, and where the gateway says that it has to be. Each time is a question of its own. */
async function insist(
  make: (id: string) => Question,
  asking: (question: Question) => Promise<Outcome | Outcome[]>,
): Promise<void> {
  for (let retry = 0; ;) {
    const question = make(`k${count++}`)
    const before = isDying ? kills - 1 : kills
    const outcome = [await asking(question)].flat()[0]!
    const wasKilled = kills !== before
    if (wasKilled) interrupted.add(question.id)
    const { end, origin, code } = outcome
    if (end === 'whole') {
      seen.add(origin!.name)
      ends.push(retry === 0 ? 'whole' : 'whole, asked again')
      return
    }
    const isNobody = end === 'unreachable' && /ECONNREFUSED/.test(code)
    if (isNobody) {
      await sleep(100)
      continue
    }
    if (!wasKilled) {
      wrong.push(
        `${question.id} (${question.api}) ended ${end} ${outcome.status} ${code}: ${outcome.wrong ?? ''} ${outcome.text.slice(-200)}`,
      )
      return
    }
    if (end === 'wrong') wrong.push(`${question.id}: ${outcome.wrong}: ${outcome.text.slice(-200)}`)
    // A stream that has begun is nothing that an SDK asks for again.
    if (end !== 'unreachable' || retry === retries) return void ends.push(`${end} by a kill`)
    await sleep(firstPause * 2 ** retry++)
  }
}

/** Asks until somebody answers. */
async function firstAnswer(): Promise<void> {
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(10)) {
    const question = questionOf(`k${count++}`, () => 0, { stream: false, pause: 0 })
    const { end, origin, code, text } = await ask(url, question, { key: keys[0]! })
    if (end === 'whole') return void seen.add(origin!.name)
    if (end !== 'unreachable') wrong.push(`the first answer of a new process: ${end} ${code} ${text}`)
  }
  throw new Error(`no answer a minute after a kill: ${JSON.stringify((await gateway.log()).slice(-3))}`)
}

/** How long the slots of the process that was killed are lost from now on, in ms; 0: it had none. */
async function longestLease(): Promise<number> {
  const [seconds, micros] = (await servers.redis.ask('TIME')) as [string, string] // as Redis tells it
  const now = Number(seconds) * 1000 + Number(micros) / 1000
  const ends = (await slots()).map((end) => end - now)
  const longest = Math.max(0, ...ends)
  if (longest > lease) wrong.push(`a slot of a killed process is lost for ${Math.round(longest)} ms`)
  return longest
}

/** The ends of all slots, in ms since 1970. */
async function slots(): Promise<number[]> {
  const names = (await servers.redis.ask('KEYS', 'slots:*')) as string[] // a list of names
  const answers = await servers.redis.askMany(names.map((name) => ['ZRANGE', name, 0, -1, 'WITHSCORES'] as const))
  return answers.flatMap((told) =>
    (told as (string | [string, string])[])
      .flat()
      .filter((_, at) => at % 2 === 1)
      .map(Number),
  ) // pairs
}

/** Nobody asks any more: how long until no slot is taken, in ms. */
async function slotsFreed(): Promise<number> {
  const since = performance.now()
  for (;;) {
    const [seconds] = (await servers.redis.ask('TIME')) as [string] // as Redis tells it
    const taken = (await slots()).filter((end) => end > Number(seconds) * 1000)
    const ms = performance.now() - since
    if (taken.length === 0) return ms
    if (ms > 2 * lease) {
      wrong.push(`${taken.length} slots are taken, and nobody asks`)
      return ms
    }
    await sleep(100)
  }
}

async function settle(): Promise<void> {
  const left = await emptyJournal(`${folder}/usage`, 60_000)
  if (left > 0) wrong.push(`${left} bytes of usage are not in the database a minute after the end`)
  const {
    served,
    billed,
    unbilled,
    wrong: disagreements,
  } = await compareBooks(places.database, await upstream.ledger(), seen)
  wrong.push(...disagreements)
  const lost = unbilled.filter(({ ask, name }) => !interrupted.has(ask) && !seen.has(name))
  for (const { name, ask } of lost) wrong.push(`${name} is not billed, and ${ask} was not running at a kill`)
  const code = await gateway.end('SIGTERM')
  if (code !== 0) wrong.push(`the gateway ended with ${code}`)
  const ms = (list: readonly number[]) => ({
    median: Math.round(quantile(list, 0.5)),
    p99: Math.round(quantile(list, 0.99)),
    most: Math.round(quantile(list, 1)),
  })
  table(
    'questions, by how they ended',
    [...countsOf(ends)].map(([end, times]) => ({ end, times })),
  )
  table('ms', [
    { what: 'from the start of a process to its first answer', ...ms(untilAnswer) },
    { what: `a killed process's slots are lost for (lease ${lease})`, ...ms(leases) },
    { what: 'after the last exchange until no slot is taken', ...ms([freed]) },
  ])
  table('usage', [
    {
      kills: kills,
      served: served.size,
      'seen whole': seen.size,
      rows: billed.size,
      'running at a kill, not billed': unbilled.length,
    },
  ])
  conclude(wrong)
}
