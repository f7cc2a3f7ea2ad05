import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { WebSocket } from 'ws'
import { laneOf, ManualClock, testPool, until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'
import { inParallel, Worker } from './ws-sweep.ts'

const pingsOnly = { cleanEvery: 1e9, checkAfter: 1e9 }
const cleanOnly = { pingEvery: 1e9, checkAfter: 1e9 }

describe('the ping sweep', () => {
  test('asks 25 dead idle connections ten at a time: three timeouts, and all are gone', async () => {
    let asked = 0
    const onSocket = (socket: WebSocket) => void socket.on('ping', () => asked++)
    await using upstream = await wsUpstream({ autoPong: false, onSocket })
    await using rig = testPool({ ...pingsOnly, pingEvery: 30_000, pingTimeout: 2_000 })
    const lane = laneOf(upstream, { limits: { maxIdle: 25 } })
    const leases = await Promise.all(Array.from({ length: 25 }, () => rig.pool.acquire(lane)))
    for (const lease of leases) lease.return()
    rig.clock.advance(30_000)
    for (const [inFlight, gone] of [
      [10, 0],
      [20, 10],
      [25, 20],
    ] as const) {
      await until(() => asked === inFlight)
      // No more than these come while none of them has ended.
      for (let turns = 0; turns < 20; turns++) await turn()
      assert.equal(asked, inFlight)
      rig.clock.advance(1_999)
      assert.equal(rig.pool.stats().idle, 25 - gone)
      rig.clock.advance(1)
    }
    await until(() => rig.pool.stats().idle === 0)
    const { pings, pingTimeouts, evicted } = rig.pool.stats()
    assert.deepEqual({ pings, pingTimeouts, evicted }, { pings: 25, pingTimeouts: 25, evicted: 25 })
  })

  test('keeps those that answer, and what has answered need not be asked again before it is lent', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool({ cleanEvery: 1e9, pingEvery: 30_000, checkAfter: 90_000 })
    const lane = laneOf(upstream)
    const leases = await Promise.all([1, 2].map(() => rig.pool.acquire(lane)))
    for (const lease of leases) lease.return()
    for (let sweep = 1; sweep <= 4; sweep++) {
      const timers = rig.clock.pending
      rig.clock.advance(30_000)
      await until(() => rig.pool.stats().pings === 2 * sweep)
      // The sweep has ended when the next one is on the clock and no ping is.
      await until(() => rig.clock.pending === timers)
    }
    const lease = await rig.pool.acquire(lane)
    assert.equal(rig.pool.stats().pings, 8, 'no ping before the lending')
    assert.equal(rig.pool.stats().idle, 1)
    lease.return()
  })

  test('leaves alone what was used a moment ago', async () => {
    await using upstream = await wsUpstream({ autoPong: false })
    await using rig = testPool({ ...pingsOnly, pingEvery: 30_000 })
    const lane = laneOf(upstream)
    const lease = await rig.pool.acquire(lane)
    rig.clock.advance(29_000)
    lease.return()
    rig.clock.advance(1_000)
    await turn()
    assert.equal(rig.pool.stats().pings, 0)
  })

  test('does not take away what was lent while its ping was under way', async () => {
    let asked = 0
    await using upstream = await wsUpstream({
      autoPong: false,
      onSocket: (socket) => void socket.on('ping', () => asked++),
    })
    await using rig = testPool({ ...pingsOnly, pingEvery: 30_000, pingTimeout: 2_000 })
    const lane = laneOf(upstream)
    const first = await rig.pool.acquire(lane)
    first.return()
    rig.clock.advance(30_000)
    await until(() => asked === 1)
    const lease = await rig.pool.acquire(lane)
    rig.clock.advance(2_000)
    for (let turns = 0; turns < 5; turns++) await turn()
    assert.ok(lease.isOpen)
    lease.return()
  })

  test('ends a lent connection on which not a byte comes for a whole interval, pings and all', async () => {
    await using dead = await wsUpstream({ autoPong: false, onSocket() {} })
    await using alive = await wsUpstream({ onSocket() {} })
    await using rig = testPool({ ...pingsOnly, pingEvery: 30_000 })
    const leases = await Promise.all([dead, alive, dead].map((upstream) => rig.pool.acquire(laneOf(upstream))))
    const codes: (number | null)[] = [null, null, null]
    for (const [at, lease] of leases.entries()) {
      lease.listen({ onMessage() {}, onClose: (code) => void (codes[at] = code) })
    }
    leases[2]!.pause() // its pong could not be read
    const pinged = new Promise((resolve) => alive.sockets[0]!.once('ping', resolve))
    rig.clock.advance(30_000)
    await pinged
    for (let turns = 0; turns < 20; turns++) await turn()
    rig.clock.advance(30_000)
    await until(() => codes[0] !== null)
    assert.deepEqual(codes, [1006, null, null])
    assert.deepEqual(
      leases.map(({ isOpen }) => isOpen),
      [false, true, true],
    )
    assert.equal(rig.pool.stats().pingTimeouts, 1)
    for (const lease of leases) lease.return()
  })
})

describe('the cleanup', () => {
  test('closes idle connections that are an hour old, and lent ones not before they are idle', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool({ ...cleanOnly, cleanEvery: 30_000, maxAge: 3_600_000 })
    const lane = laneOf(upstream)
    const [a, b] = await Promise.all([1, 2].map(() => rig.pool.acquire(lane)))
    a!.return()
    for (let at = 0; at < 121; at++) {
      rig.clock.advance(30_000)
      await turn()
    }
    assert.equal(rig.pool.stats().idle, 0)
    assert.ok(b!.isOpen)
    b!.return()
    assert.equal(rig.pool.stats().idle, 1)
    rig.clock.advance(30_000)
    await until(() => upstream.open === 0)
    assert.equal(rig.pool.stats().evicted, 2)
  })

  test('closes the longest idle beyond as many as may be idle', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool({ ...cleanOnly, cleanEvery: 30_000 })
    const lane = laneOf(upstream, { limits: { maxIdle: 2 } })
    const leases = await Promise.all(Array.from({ length: 5 }, () => rig.pool.acquire(lane)))
    const kept = leases.slice(3).map(({ id }) => id)
    for (const lease of leases) lease.return()
    rig.clock.advance(30_000)
    await until(() => upstream.open === 2)
    const left = await Promise.all([1, 2].map(() => rig.pool.acquire(lane)))
    assert.deepEqual(
      left.map(({ id }) => id),
      kept,
    )
    for (const lease of left) lease.return()
    assert.equal(rig.pool.stats().scaleDowns, 3)
  })

  test('spares what is pinned for its number and age, but not when its session is silent for as long', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool({ ...cleanOnly, cleanEvery: 30_000, maxAge: 60_000 })
    const lane = laneOf(upstream, { limits: { maxIdle: 0 } })
    const session = { id: 's' }
    const lease = await rig.pool.acquire(lane, { session })
    lease.pin('s')
    lease.return()
    for (let at = 0; at < 4; at++) {
      rig.clock.advance(30_000)
      await turn()
      const again = await rig.pool.acquire(lane, { session, force: true })
      again.return()
    }
    for (let at = 0; at < 3; at++) {
      rig.clock.advance(30_000)
      await turn()
    }
    assert.equal(rig.pool.stats().pinned, 0)
  })

  test('forgets a lane that has nothing left', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool({ ...cleanOnly, cleanEvery: 30_000 })
    const lease = await rig.pool.acquire(laneOf(upstream))
    lease.markBroken()
    assert.equal(rig.pool.stats().lanes, 1)
    rig.clock.advance(30_000)
    await turn()
    assert.equal(rig.pool.stats().lanes, 0)
  })
})

describe('a worker', () => {
  test('waits an interval after each run, and has ended when the run under way has', async () => {
    const clock = new ManualClock()
    let runs = 0
    let release = () => {}
    const worker = new Worker(clock, 100, async () => {
      runs++
      await new Promise<void>((resolve) => (release = resolve))
    })
    clock.advance(100)
    clock.advance(1_000)
    assert.equal(runs, 1, 'no second one beside the first')
    release()
    await until(() => clock.pending === 1)
    clock.advance(100)
    assert.equal(runs, 2)
    let isEnded = false
    const ended = worker.end().then(() => (isEnded = true))
    await turn()
    assert.equal(isEnded, false)
    release()
    await ended
    assert.equal(clock.pending, 0)
  })
})

describe('tasks in parallel', () => {
  for (const [count, width, most] of [
    [0, 10, 0],
    [3, 10, 3],
    [25, 10, 10],
  ] as const) {
    test(`${count} of them, ${width} at most, are ${most} at once`, async () => {
      let now = 0
      let peak = 0
      const done: number[] = []
      await inParallel([...Array(count).keys()], width, async (item) => {
        peak = Math.max(peak, ++now)
        await turn()
        now--
        done.push(item)
      })
      assert.equal(peak, most)
      assert.equal(new Set(done).size, count)
    })
  }
})
