/** Is the cost of a request the same with ten of something and with ten thousand? */
import { openDatabase } from '../../../core/database/database.ts'
import { silentLog } from '../../../core/observe/log.ts'
import { migratedDatabase } from '../../postgres.ts'
import { posternOf, type Settings } from './postern-of.ts'
import { start, type Running } from './processes.ts'
import type { Sheet } from './sheet.ts'
import { stub } from './stub.ts'
import { awaitQuiet, median, turn, type Asked, type Effort } from './turn.ts'

/** How many there are. The first is what the others are compared with. */
const sizes = [10, 1000, 10_000] as const

/** What there are many of. */
interface Subject {
  readonly title: string
  /** gateway.yaml with so many of them; `keep` takes what has to be closed afterwards. */
  settings(size: number, url: string, keep: AsyncDisposableStack): Settings | Promise<Settings>
  /** What makes requests differ, and by how much. */
  asks?(size: number): Partial<Asked>
}

const upstream = (url: string, at = 0) => ({ name: `u${at}`, provider: 'openai', url, key: `sk-bench-${at}` })
const upstreams = (url: string, size: number) => Array.from({ length: size }, (_, at) => upstream(url, at))

const subjects: readonly Subject[] = [
  {
    title: 'upstreams, the provider alone',
    settings: (size, url) => ({ upstreams: upstreams(url, size), plugins: ['openai'] }),
  },
  {
    title: 'upstreams, with sticky-session, concurrency and failover',
    settings: (size, url) => ({
      upstreams: upstreams(url, size).map((one) => ({ ...one, slots: 100 })),
      plugins: ['openai', 'sticky-session', 'concurrency', 'failover'],
    }),
  },
  {
    title: 'keys in PostgreSQL, asked for in turns',
    settings: async (size, url, keep) => ({
      database: await databaseOf(size, keep),
      upstreams: [upstream(url)],
      plugins: ['api-key-auth', 'openai'],
    }),
    asks: (size) => ({ headers: ['authorization: Bearer bench-key-number-{n}'], variants: size }),
  },
  {
    title: 'rules of ip-rules, none of which matches',
    settings: (size, url) => ({
      upstreams: [upstream(url)],
      plugins: [{ 'ip-rules': { deny: Array.from({ length: size }, (_, at) => address(at)) } }, 'openai'],
    }),
  },
  {
    title: 'sticky sessions, in turns',
    settings: (_, url) => ({
      upstreams: upstreams(url, 3),
      plugins: ['openai', { 'sticky-session': { sources: ['header:x-session'] } }],
    }),
    asks: (size) => ({ headers: ['x-session: session-number-{n}'], variants: size }),
  },
]

/** Addresses and ranges in turns, none of them loopback. */
function address(at: number): string {
  const [high, low] = [at >> 8, at & 255]
  return at % 2 === 0 ? `11.${high}.${low}.7` : `12.${high}.${low}.0/24`
}

/** A database that has so many keys; where there is none to be had, that is an error with the cure. */
async function databaseOf(size: number, keep: AsyncDisposableStack): Promise<string> {
  const fresh = keep.use(await migratedDatabase())
  const db = openDatabase(fresh.url, silentLog)
  try {
    await db.query(`INSERT INTO users (id, email, balance) VALUES (1, 'bench@example.com', 1000000);
      INSERT INTO api_keys (id, user_id, key_hash)
        SELECT n + 1, 1, sha256(convert_to('bench-key-number-' || n, 'UTF8')) FROM generate_series(0, ${size - 1}) n`)
  } finally {
    await db.close()
  }
  return fresh.url
}

interface Place {
  readonly size: number
  readonly server: Running
  readonly cpu: number[]
  errors: number
}

/** Each alone, its sizes in turns. */
export async function flat(effort: Effort): Promise<Sheet> {
  await using front = await start(stub({ isStream: false, fails: false }), 1)
  const rows: (string | number)[][] = []
  const notes: string[] = []
  const others: number[] = []
  for (const subject of subjects) {
    try {
      rows.push([subject.title, ...(await compare(subject, `http://127.0.0.1:${front.port}`, effort, others))])
    } catch (error) {
      notes.push(`Left out: ${subject.title} (${error instanceof Error ? error.message : String(error)}).`)
    }
  }
  const [least, ...more] = sizes
  return {
    scenario: 'flat',
    title: `CPU per request with ${sizes.map((size) => size.toLocaleString('en')).join(', ')} of something`,
    columns: ['', `µs/request with ${least}`, ...more.map((size) => `× with ${size.toLocaleString('en')}`)],
    digits: [0, 0, 2, 2],
    rows,
    notes,
    otherLoad: median(others),
  }
}

async function compare(subject: Subject, url: string, effort: Effort, others: number[]): Promise<number[]> {
  await using keep = new AsyncDisposableStack()
  const places: Place[] = []
  for (const size of sizes) {
    const server = keep.use(await start(posternOf(await subject.settings(size, url, keep)), 0))
    places.push({ size, server, cpu: [], errors: 0 })
  }
  const asked = (size: number) => ({ connections: 32, body: 2048, ...subject.asks?.(size) })
  // What is known of each of them is known before it counts.
  for (const { size, server } of places)
    await turn(server, asked(size), { requests: Math.max(3000, 2 * (asked(size).variants ?? 1)) })
  for (let round = 1; round <= effort.rounds; round++) {
    others.push(await awaitQuiet(effort.anyway))
    for (const place of places) {
      const { cpu = 0, errors } = await turn(place.server, asked(place.size), { seconds: effort.seconds })
      place.cpu.push(cpu)
      place.errors += errors
    }
  }
  process.stderr.write(`flat: ${subject.title}\n`)
  const errors = places.reduce((sum, place) => sum + place.errors, 0)
  if (errors > 0) throw new Error(`${errors} errors: nothing was measured`)
  const [least, ...more] = places.map(({ cpu }) => cpu)
  // Round by round, so that what the machine did meanwhile is on both sides.
  return [median(least!), ...more.map((cpu) => median(cpu.map((one, at) => one / least![at]!)))]
}
