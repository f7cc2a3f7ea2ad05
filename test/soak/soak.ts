/**
 * `npm run soak`: hours of everything at once. A gateway with all plugins that ship, on a real Redis and a real PostgreSQL that go away and
 * come back, answers clients of every kind; each answer is compared with what the upstream says it sent, each row of usage with its ledger.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { randomFrom } from '../slow/moody.fixture.ts'
import { compareBooks, emptyJournal } from './books.ts'
import type { Outcome } from './client.ts'
import { disturb, startServers } from './disturbances.ts'
import { SoakedGateway } from './gateway.ts'
import { mixLoad, unexpected } from './mix.ts'
import { conclude, countsOf, mebibytes, say, slopeOf, table } from './report.ts'
import { everything, prepare, upstreamNames } from './settings.ts'
import { startUpstream } from './upstream-process.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    clients: { type: 'string', default: '24' },
    seed: { type: 'string', default: '1' },
    'outage-every': { type: 'string', default: '20' },
    'reload-every': { type: 'string', default: '10' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
if (values.help) {
  process.stdout.write(
    'npm run soak -- [--minutes 30] [--clients 24] [--seed 1] [--outage-every 20] [--reload-every 10]\n',
  )
  process.exit(0)
}

/** Between two looks at the gateway's memory and files, in ms. */
const sampleEvery = 5000
/** This share of the time is for V8 and the pools to become what they will be. */
const warmUp = 0.25
/** From so many minutes on a slope says something: a heap or a table of files that grows faster than this per minute is a leak. */
const telling = 10
const mostGrowth = { heap: 0.5, files: 2 }

interface Sample {
  readonly minute: number
  readonly rss: number
  readonly heap: number
  readonly external: number
  readonly handles: number
  readonly files: number
}

const minutes = Number(values.minutes)
const wrong: string[] = []
const outcomes = new Map<string, Map<string, number>>()
const seen = new Set<string>()
let isOver = false

await using servers = await startServers()
await using upstream = await startUpstream(upstreamNames)
await using gateway = await SoakedGateway.make()
const places = {
  folder: gateway.folder,
  redis: servers.redis.url,
  database: servers.postgres.url,
  upstreams: upstream.urls,
}
await prepare(places.database, places.folder)
await gateway.write(everything(places))
await gateway.start()
const filesBefore = await gateway.files()
say(`the gateway listens at ${gateway.url}; ${values.clients} clients for ${minutes} minutes`)

const began = performance.now()
const load = mixLoad(
  {
    url: gateway.url,
    port: gateway.port,
    random: randomFrom(Number(values.seed)),
    onOutcome,
    onHostile: (problem) => note('hostile', problem === null ? 'refused' : 'wrong', problem),
  },
  Number(values.clients),
  () => isOver,
)
const outageEvery = Number(values['outage-every']) * 1000
const reloadEvery = Number(values['reload-every']) * 1000
const reload = (round: number) => gateway.write(everything(places, round))
const disturbing = disturb({ servers, reload, reloadEvery, outageEvery }, () => isOver)
const samples = await watch()
isOver = true
await load
const disturbed = await disturbing
await settle()

/** Looks at the gateway until the time is over. */
async function watch(): Promise<Sample[]> {
  const samples: Sample[] = []
  for (let at = 1; performance.now() - began < minutes * 60_000; at++) {
    await sleep(Math.max(0, began + at * sampleEvery - performance.now()))
    const { rss, heapUsed, external, handles } = await gateway.weigh()
    const sample = { minute: (performance.now() - began) / 60_000, handles, files: await gateway.files() }
    samples.push({ ...sample, rss: mebibytes(rss), heap: mebibytes(heapUsed), external: mebibytes(external) })
    if (at % 2 === 0) progress(samples.at(-1)!)
  }
  return samples
}

function progress({ rss, heap, external, files }: Sample): void {
  const total = [...outcomes.values()].flatMap((counts) => [...counts.values()]).reduce((sum, one) => sum + one, 0)
  const memory = `RSS ${rss}, heap ${heap}, external ${external} MiB, ${files} files`
  say(`${total} exchanges, ${wrong.length} unexplained; ${memory}`)
}

function onOutcome(kind: string, outcome: Outcome): void {
  const { end, origin } = outcome
  if (end === 'whole' && origin) seen.add(origin.name)
  note(kind, end, unexpected(kind, outcome))
}

function note(kind: string, end: string, problem: string | null): void {
  const counts = outcomes.get(kind) ?? new Map<string, number>()
  outcomes.set(kind, counts.set(end, (counts.get(end) ?? 0) + 1))
  if (problem === null) return
  wrong.push(`${new Date().toISOString()} ${problem}`)
  if (wrong.length <= 10) say(problem)
}

/** Everybody has gone: what is left, do the books agree, and what does the process say at its end? */
async function settle(): Promise<void> {
  const left = await emptyJournal(`${gateway.folder}/usage`, 60_000)
  if (left > 0) wrong.push(`${left} bytes of usage are not in the database a minute after the end`)
  const books = await compareBooks(places.database, await upstream.ledger(), seen)
  wrong.push(...books.wrong)
  if (books.captured === 0) wrong.push('ops-capture has written no error into the database')
  const unbilled = books.unbilled.filter(({ name }) => seen.has(name)).length
  const filesAfter = await filesLeft()
  const { retiring, last_problem: problem, exchanges } = await gateway.health()
  if (problem !== null) wrong.push(`gateway.yaml was refused: ${JSON.stringify(problem)}`)
  if (retiring.length > 0 || exchanges > 0)
    wrong.push(`${retiring.length} gateways and ${exchanges} exchanges are left`)
  const code = await gateway.end('SIGTERM')
  if (code !== 0) wrong.push(`the gateway ended with ${code}`)

  table('exchanges, by what clients did and how it ended', endings())
  table(
    'disturbances',
    [...disturbed].map(([what, times]) => ({ what, times })),
  )
  table('usage', [
    {
      served: books.served.size,
      'seen whole': seen.size,
      rows: books.billed.size,
      'seen and not billed': unbilled,
      'captured errors': books.captured,
    },
  ])
  const loud = (await gateway.log()).filter(({ level }) => level === 'error' || level === 50)
  table(
    'errors in the log',
    [...countsOf(loud.map(({ msg }) => String(msg)))].map(([message, times]) => ({ message, times })),
  )
  table(`memory after a collection and open files, from minute ${(minutes * warmUp).toFixed(1)} on`, slopes())
  say(`open files: ${filesBefore} before the first client, ${filesAfter} after the last`)
  conclude(wrong)
}

/** Upstreams' connections are kept a while: waits for them, at most half a minute, or a sixth of what the run has taken. */
async function filesLeft(): Promise<number> {
  const deadline = performance.now() + Math.min(30_000, minutes * 10_000)
  let files = await gateway.files()
  for (; files > filesBefore + 10 && performance.now() < deadline; files = await gateway.files()) await sleep(500)
  return files
}

function endings(): Record<string, string | number>[] {
  const ends = ['whole', 'left', 'refused', 'broken off', 'cut', 'unreachable', 'wrong']
  return [...outcomes].map(([kind, counts]) => ({
    kind,
    ...Object.fromEntries(ends.map((end) => [end, counts.get(end) ?? 0])),
  }))
}

function slopes(): Record<string, string | number>[] {
  const steady = samples.filter(({ minute }) => minute >= minutes * warmUp)
  const rows = (['rss', 'heap', 'external', 'handles', 'files'] as const).map((name) => {
    const points = steady.map((sample) => ({ minute: sample.minute, value: sample[name] }))
    const sorted = points.map(({ value }) => value).toSorted((one, other) => one - other)
    return { name, slope: slopeOf(points), first: points[0]?.value ?? 0, sorted }
  })
  for (const { name, slope } of rows) {
    const most = name === 'heap' || name === 'files' ? mostGrowth[name] : Infinity
    if (minutes >= telling && slope > most) wrong.push(`${name} grows by ${slope.toFixed(2)} a minute`)
  }
  return rows.map(({ name, slope, first, sorted }) => ({
    what: name === 'handles' || name === 'files' ? name : `${name} MiB`,
    first: first,
    least: sorted[0] ?? 0,
    median: sorted[Math.floor(sorted.length / 2)] ?? 0,
    most: sorted.at(-1) ?? 0,
    'slope per minute': slope.toFixed(3),
  }))
}
