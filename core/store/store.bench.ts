/** What the store costs, in memory and on a Redis of this machine: one batched read against many, slots, and the weight of sessions. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Bench } from 'tinybench'
import { tell } from '../../test/bench.ts'
import { freshRedis } from '../../test/redis.ts'
import { silentLog } from '../observe/log.ts'
import { openMemoryStore } from './memory.ts'
import { openRedisStore } from './redis.ts'
import type { Store } from './store.ts'

const minute = 60_000
const write = (line: string) => void process.stdout.write(`${line}\n`)

/** As `bench` of test/bench.ts, for what answers later. */
async function compare(what: string, ways: Readonly<Record<string, () => Promise<unknown>>>): Promise<void> {
  const runs = new Bench({ time: 1000, warmupTime: 200 })
  for (const [name, way] of Object.entries(ways)) runs.add(name, async () => void (await way()))
  await runs.run()
  const medians = runs.tasks.map(({ name, result }) => {
    return [name, result?.state === 'completed' ? result.latency.p50 * 1000 : Number.NaN] as const
  })
  const [[, own] = ['', Number.NaN]] = medians
  write(`\n${what}`)
  for (const [name, µs] of medians) {
    write(`  ${name.padEnd(42)} ${µs.toFixed(1).padStart(9)} µs ${(µs / own).toFixed(2).padStart(8)} x`)
  }
}

async function loadOfUpstreams(name: string, store: Store): Promise<void> {
  const keys = Array.from({ length: 50 }, (_, at) => `slots:upstream:${at}`)
  for (const key of keys) for (let at = 0; at < 10; at++) await store.acquire(key, `holder-${at}`, 10, 10 * minute)
  await compare(`the load of 50 upstreams, ${name}`, {
    'one count of 50 keys': () => store.count(keys),
    '50 counts of one key, at the same time': () => Promise.all(keys.map((key) => store.count([key]))),
    async '50 counts of one key, one after another'() {
      for (const key of keys) await store.count([key])
    },
  })
}

async function slotsPerSecond(name: string, store: Store): Promise<void> {
  write(`\nacquire and release, ${name}`)
  for (const workers of [1, 32]) {
    const end = performance.now() + 2000
    let done = 0
    const work = async (_: unknown, worker: number) => {
      for (let at = 0; performance.now() < end; at++) {
        await store.acquire('slots:user', `${worker}-${at}`, 100, minute)
        await store.release('slots:user', `${worker}-${at}`)
        done++
      }
    }
    await Promise.all(Array.from({ length: workers }, work))
    write(
      `  ${`${workers} at the same time`.padEnd(42)} ${Math.round(done / 2)
        .toLocaleString('en')
        .padStart(9)} pairs/s`,
    )
  }
}

/** A store that is full forgets its oldest entry with each write. */
function evictions(): void {
  const entries = 1_000_000
  const writes = 50_000
  write(`\na write into a store of ${entries.toLocaleString('en')} entries that is full`)
  const store = openMemoryStore({ capacity: entries })
  const rival = new Map<string, string>()
  const told = (name: string, ms: number, ratio: number) =>
    write(`  ${name.padEnd(42)} ${((ms * 1000) / writes).toFixed(1).padStart(9)} µs ${ratio.toFixed(2).padStart(8)} x`)
  for (let at = 0; at < entries; at++) {
    void store.set({ key: `k${at}`, value: '', ttl: minute })
    rival.set(`k${at}`, '')
  }
  const own = performance.now()
  for (let at = 0; at < writes; at++) void store.set({ key: `new${at}`, value: '', ttl: minute })
  const between = performance.now()
  for (let at = 0; at < writes; at++) {
    rival.set(`new${at}`, '')
    const [oldest = ''] = rival.keys()
    rival.delete(oldest)
  }
  const end = performance.now()
  const ratio = (end - between) / (between - own)
  tell({ what: 'a write into a full store', way: 'the first key looked up', ratio, bound: { atLeast: 1.2 } })
  told('the store in memory', between - own, 1)
  told('a map whose first key is looked up each time', end - between, ratio)
  void store.close()
}

setFlagsFromString('--expose-gc')
// What the flag adds is a function of every new context.
const collectGarbage = runInNewContext('gc') as () => void

function heapOf(fill: () => void): number {
  collectGarbage()
  const before = process.memoryUsage().heapUsed
  fill()
  collectGarbage()
  return process.memoryUsage().heapUsed - before
}

function weightOfSessions(): void {
  const sessions = 1_000_000
  const keyOf = (at: number) => `sticky:{tenant-${at % 100}:openai:${at.toString(16).padStart(16, '0')}}:x`
  write(`\nthe weight of ${sessions.toLocaleString('en')} sticky sessions (keys of 40 to 41 characters)`)
  const store = openMemoryStore({ capacity: sessions })
  const bytes = heapOf(() => {
    for (let at = 0; at < sessions; at++) void store.set({ key: keyOf(at), value: `upstream-${at % 50}`, ttl: minute })
  })
  write(`  ${'the store in memory'.padEnd(42)} ${(bytes / sessions).toFixed(0).padStart(9)} bytes each`)
  void store.close()
  const naive = new Map<string, { value: string; timer: NodeJS.Timeout }>()
  const naiveBytes = heapOf(() => {
    for (let at = 0; at < sessions; at++) {
      const key = keyOf(at)
      const timer = setTimeout(() => naive.delete(key), minute)
      naive.set(key, { value: `upstream-${at % 50}`, timer: timer.unref() })
    }
  })
  const times = naiveBytes / bytes
  tell({ what: 'a sticky session, its bytes', way: 'a timer for each', ratio: times, bound: { atLeast: 1.3 } })
  const ratio = times.toFixed(2)
  write(`  ${'a map with a timer for each'.padEnd(42)} ${(naiveBytes / sessions).toFixed(0).padStart(9)} bytes each ${ratio.padStart(8)} x`) // prettier-ignore
  for (const { timer } of naive.values()) clearTimeout(timer)
}

const memory = openMemoryStore()
await loadOfUpstreams('in memory', memory)
await slotsPerSecond('in memory', memory)
await memory.close()
{
  await using redis = await freshRedis()
  const store = openRedisStore(redis.url, silentLog, { limit: 2000 })
  await loadOfUpstreams('in Redis', store)
  await slotsPerSecond('in Redis', store)
  await store.close()
}
evictions()
weightOfSessions()
