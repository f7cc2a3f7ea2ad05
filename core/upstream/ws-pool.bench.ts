/** A turn over a pooled connection against a connection per turn, and the sweep over idle connections against the naive one. */
import { Bench } from 'tinybench'
import { WebSocket } from 'ws'
import { bench } from '../../test/bench.ts'
import { wsUpstream } from '../../test/conformance/websocket-upstream.ts'
import { evictIdle, IdleList, type IdleNode } from './ws-idle.ts'
import { laneSpec } from './ws-lane-spec.ts'
import { WsPool } from './ws-pool.ts'

await turns()
await events()
await sweeps()

/** One message up, its echo down, on the loopback without TLS: over a network a new connection costs two round trips more. */
async function turns(): Promise<void> {
  await using upstream = await wsUpstream()
  const pool = new WsPool()
  const lane = laneSpec({ upstream: 'o', url: upstream.url, credential: 'token' })
  const message = Buffer.from(JSON.stringify({ type: 'response.create', model: 'm', input: 'x'.repeat(1000) }))
  const runs = new Bench({ time: 1000, warmupTime: 200 })
  runs.add('acquire, a turn, return', async () => {
    const lease = await pool.acquire(lane)
    await new Promise<void>((resolve) => {
      lease.listen({ onMessage: () => resolve(), onClose: () => resolve() })
      lease.send(message, false)
    })
    lease.return()
  })
  runs.add('a new connection per turn', async () => {
    const ws = new WebSocket(upstream.url, { perMessageDeflate: false })
    await new Promise((resolve) => {
      ws.on('open', () => ws.send(message, { binary: false }))
      ws.on('message', () => ws.close(1000))
      ws.on('close', resolve)
    })
  })
  runs.add('the pool alone: acquire, return', async () => {
    const lease = await pool.acquire(lane)
    lease.return()
  })
  await print('one turn of 1 KB', runs)
  const { reused, acquired } = pool.stats()
  process.stdout.write(`  reused ${((100 * reused) / acquired).toFixed(2)} %\n`)
  await pool.close()
}

/** A long answer: what the pool's connection adds to the messages of a bare one. */
async function events(): Promise<void> {
  const count = 1000
  const event = Buffer.from(JSON.stringify({ type: 'response.output_text.delta', delta: 'x'.repeat(150) }))
  await using upstream = await wsUpstream({
    onSocket: (socket) =>
      void socket.on('message', () => {
        for (let at = 0; at < count; at++) socket.send(event, { binary: false })
      }),
  })
  const pool = new WsPool()
  const lease = await pool.acquire(laneSpec({ upstream: 'o', url: upstream.url, credential: 'token' }))
  const ws = new WebSocket(upstream.url, { perMessageDeflate: false })
  await new Promise((resolve) => ws.once('open', resolve))
  const leased = (): Promise<void> =>
    new Promise((resolve) => {
      let left = count
      lease.listen({ onMessage: () => --left === 0 && resolve(), onClose: () => resolve() })
      lease.send('go', false)
    })
  const bare = (): Promise<void> =>
    new Promise((resolve) => {
      let left = count
      ws.removeAllListeners('message')
      ws.on('message', () => --left === 0 && resolve())
      ws.send('go')
    })
  const ratio = await pairedCpu(leased, bare)
  process.stdout.write(`\n${count} events of 200 bytes, both ends in this process\n`)
  process.stdout.write(`  CPU of a lease / of a bare connection of ws: ${ratio.toFixed(3)}\n`)
  lease.return()
  ws.terminate()
  await pool.close()
}

/** The median of the ratios of CPU, measured in turns: on a busy machine the clock on the wall says nothing. */
async function pairedCpu(one: () => Promise<void>, other: () => Promise<void>): Promise<number> {
  const cost = async (way: () => Promise<void>): Promise<number> => {
    const before = process.cpuUsage()
    for (let at = 0; at < 5; at++) await way()
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  await cost(one)
  await cost(other)
  const ratios: number[] = []
  for (let round = 0; round < 61; round++) {
    if (round % 2 === 0) ratios.push((await cost(one)) / (await cost(other)))
    else {
      const rival = await cost(other)
      ratios.push((await cost(one)) / rival)
    }
  }
  return ratios.toSorted((a, b) => a - b)[30]!
}

async function print(what: string, runs: Bench): Promise<void> {
  await runs.run()
  const micros = runs.tasks.map(({ result }) => (result.state === 'completed' ? result.latency.p50 * 1000 : Number.NaN))
  process.stdout.write(`\n${what}\n`)
  for (const [at, { name }] of runs.tasks.entries()) {
    const ratio = micros[at]! / micros[0]!
    process.stdout.write(
      `  ${name.padEnd(32)} ${micros[at]!.toFixed(1).padStart(9)} \u00b5s  ${ratio.toFixed(2).padStart(8)} x\n`,
    )
  }
}

interface Entry extends IdleNode<Entry> {
  readonly openedAt: number
  readonly lastUsed: number
}

async function sweeps(): Promise<void> {
  const now = 10_000_000
  const maxAge = 3_600_000
  const list = new IdleList<Entry>()
  const all: Entry[] = []
  for (let at = 0; at < 10_000; at++) {
    const entry = { openedAt: now - (at % 1000), lastUsed: now - (at % 777), next: null, previous: null }
    list.push(entry)
    all.push(entry)
  }
  const openedAt = (entry: Entry): number => entry.openedAt
  const evict = (entry: Entry): void => list.remove(entry)
  const walk = (): void => evictIdle(list, openedAt, now - maxAge, 10_000, evict)
  /** As it is commonly written: keep the young ones, sort them by their last use, cut off the rest. */
  const naive = (): Entry[] =>
    all
      .filter((entry) => entry.openedAt >= now - maxAge)
      .toSorted((one, other) => other.lastUsed - one.lastUsed)
      .slice(0, 10_000)
  await bench(
    'a sweep over 10 000 idle connections, none to evict',
    {
      'the list is walked': walk,
      'filter, sort': naive,
    },
    { 'filter, sort': { atLeast: 10 } },
  )
  for (const [name, way] of Object.entries({ 'the list is walked': walk, 'filter, sort': naive })) {
    process.stdout.write(`  ${name.padEnd(32)} ${bytesPerRun(way).toFixed(0).padStart(9)} bytes allocated\n`)
  }
}

/** The least of several batches: a batch in which the collector ran, or another timer, tells nothing. */
function bytesPerRun(way: () => unknown): number {
  const runs = 20
  let least = Number.POSITIVE_INFINITY
  for (let batch = 0; batch < 20; batch++) {
    const before = process.memoryUsage().heapUsed
    for (let at = 0; at < runs; at++) way()
    const grown = process.memoryUsage().heapUsed - before
    if (grown >= 0) least = Math.min(least, grown / runs)
  }
  return least
}
