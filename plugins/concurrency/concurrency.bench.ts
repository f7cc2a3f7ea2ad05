import { openMetrics } from '../../core/observe/metrics.ts'
import { Bench } from 'tinybench'
import { Jobs } from '../../core/jobs.ts'
import { silentLog } from '../../core/observe/log.ts'
import { openMemoryStore } from '../../core/store/memory.ts'
import { openStore } from '../../core/store/open.ts'
import type { PluginContext, Store, Upstream } from 'postern/plugin'
import { tell } from '../../test/bench.ts'
import { freshRedis } from '../../test/redis.ts'
import type { Limited } from './held.ts'
import { Load } from './load.ts'
import { Holder, Slots } from './slots.ts'
import { UpstreamSlots } from './upstream.ts'

/** As `bench` of test/bench.ts, for ways that wait. */
async function race(
  what: string,
  ways: Readonly<Record<string, () => Promise<unknown>>>,
  atLeast: Readonly<Record<string, number>> = {},
): Promise<void> {
  const runs = new Bench({ time: 500, warmupTime: 100 })
  for (const [name, way] of Object.entries(ways)) runs.add(name, async () => void (await way()))
  await runs.run()
  process.stdout.write(`\n${what}\n`)
  const nanoseconds = (task = runs.tasks[0]) =>
    task?.result?.state === 'completed' ? task.result.latency.p50 * 1e6 : Number.NaN
  for (const task of runs.tasks) {
    const times = nanoseconds(task) / nanoseconds()
    const least = atLeast[task.name]
    if (least !== undefined) tell({ what, way: task.name, ratio: times, bound: { atLeast: least } })
    const ratio = times.toFixed(2)
    process.stdout.write(
      `  ${task.name.padEnd(40)} ${nanoseconds(task).toFixed(0).padStart(9)} ns  ${ratio.padStart(8)} x\n`,
    )
  }
}

const upstreams = (count: number, slots: number | null): Upstream[] =>
  Array.from({ length: count }, (_, at) => ({
    name: `u${at}`,
    provider: 'openai',
    url: null,
    key: null,
    models: null,
    priority: 100,
    slots,
  }))

/** What an exchange costs in this plugin: its ranking, its slot, its end. */
function walk(store: Store, candidates: readonly Upstream[]) {
  const jobs = new Jobs(silentLog)
  const waits = { wait: { upstream: 1000, pinned: 1000 }, waiters: { upstream: 100, pinned: 3 } }
  // As much of a gateway as slots need.
  const context = {
    store,
    config: { ttl: 60_000 },
    signal: new AbortController().signal,
    every: () => {},
    metrics: openMetrics(),
    queue: jobs.queue.bind(jobs),
  } as unknown as PluginContext<{ ttl: number }>
  const slots = new Slots(context, new Holder(store, silentLog))
  const plugin = new UpstreamSlots(slots, new Load(slots), waits, true)
  const none: readonly never[] = []
  return async () => {
    const facts = { load: null, slots: null, pin: null }
    // As much of an exchange as slots need.
    const exchange = { facts, upstream: null, failures: none, passedOver: none, body: { kind: 'json' } }
    const limited = exchange as unknown as Limited & { upstream: Upstream | null }
    const ranked = plugin.rank(limited, candidates)
    Object.assign(exchange, { upstream: (ranked instanceof Promise ? await ranked : ranked)[0] })
    const taken = plugin.take(limited)
    if (taken) await taken
    if (limited.facts.slots) plugin.release(limited.facts.slots)
  }
}

const memory = openMemoryStore()
await using redis = await freshRedis()
const remote = await openStore(redis.url, silentLog)
const keys = upstreams(20, 8).map(({ name }) => `slots:upstream:${name}`)

await race(
  'the load of 20 upstreams, in Redis',
  {
    'one read for all': () => remote.count(keys),
    'a read for each, all at once': () => Promise.all(keys.map((key) => remote.count([key]))),
    'a read for each, one after the other': async () => {
      for (const key of keys) await remote.count([key])
    },
  },
  { 'a read for each, all at once': 2 },
)
await race('an exchange among 20 upstreams, in memory', {
  'without slots': walk(memory, upstreams(20, null)),
  'with slots': walk(memory, upstreams(20, 8)),
})
await race(
  'an exchange among 20 upstreams, slots in Redis',
  {
    'the load remembered for 20 ms': walk(remote, upstreams(20, 8)),
    'the load read for each exchange': async () => {
      await remote.count(keys)
      await remote.acquire('slots:upstream:naive', 'h', 8, 60_000)
      await remote.release('slots:upstream:naive', 'h')
    },
  },
  { 'the load read for each exchange': 1 },
)
await Promise.all([memory.close(), remote.close()])
