import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { laneOf, testPool, until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'

describe('where every connection is taken', () => {
  test('who comes waits in line, and is lent what is given back', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 2 } })
    const [a, b] = await Promise.all([1, 2].map(() => rig.pool.acquire(lane)))
    const order: string[] = []
    const waiting = ['first', 'second', 'third'].map(async (name) => {
      const lease = await rig.pool.acquire(lane)
      order.push(name)
      return lease
    })
    assert.equal(rig.pool.stats().waiting, 3)
    rig.clock.advance(250)
    a!.return()
    const first = await waiting[0]!
    assert.equal(first.id, a!.id)
    b!.return()
    first.return()
    const rest = await Promise.all(waiting.slice(1))
    assert.deepEqual(order, ['first', 'second', 'third'])
    const { waits, waitMs, created } = rig.pool.stats()
    assert.deepEqual({ waits, waitMs, created }, { waits: 3, waitMs: 750, created: 2 })
    for (const lease of rest) lease.return()
  })

  test('a connection that breaks makes room for a new one', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 1 } })
    const lease = await rig.pool.acquire(lane)
    const waiting = rig.pool.acquire(lane)
    upstream.sockets[0]!.terminate()
    const next = await waiting
    assert.equal(next.isReused, false)
    assert.equal(lease.isOpen, false)
    lease.return()
    next.return()
  })

  test('so many wait as may, and the next is told so at once', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 1, queue: 2 } })
    const lease = await rig.pool.acquire(lane)
    const waiting = [rig.pool.acquire(lane), rig.pool.acquire(lane)]
    await assert.rejects(rig.pool.acquire(lane), {
      code: 'QUEUE_FULL',
      message: '2 already wait for a connection to o',
    })
    // Those who want this very connection have a line of their own, as long.
    const forced = [1, 2].map(() => rig.pool.acquire(lane, { prefer: lease.id, force: true }))
    await assert.rejects(rig.pool.acquire(lane, { prefer: lease.id, force: true }), { code: 'QUEUE_FULL' })
    assert.equal(rig.pool.stats().queueFull, 2)
    lease.return()
    for (const promise of [...forced, ...waiting]) {
      const next = await promise
      next.return()
    }
  })

  test('those that a handshake under way will serve take no place in the line', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 3, queue: 0 } })
    const opening = [1, 2, 3].map(() => rig.pool.acquire(lane))
    assert.equal(rig.pool.stats().dialing, 3)
    await assert.rejects(rig.pool.acquire(lane), { code: 'QUEUE_FULL' })
    for (const promise of opening) (await promise).return()
  })

  test('a deadline ends the waiting, and what comes free afterwards is another’s', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool({ acquireTimeout: 1_000 })
    const lane = laneOf(upstream, { limits: { max: 1 } })
    const lease = await rig.pool.acquire(lane)
    const late = [rig.pool.acquire(lane), rig.pool.acquire(lane, { timeout: 500 })].map((promise) =>
      assert.rejects(promise, { code: 'ACQUIRE_TIMEOUT' }),
    )
    const patient = rig.pool.acquire(lane, { timeout: 5_000 })
    rig.clock.advance(999)
    assert.equal(rig.pool.stats().timeouts, 1)
    rig.clock.advance(1)
    await Promise.all(late)
    assert.equal(rig.pool.stats().timeouts, 2)
    assert.equal(rig.pool.stats().waiting, 1)
    lease.return()
    const next = await patient
    assert.equal(next.id, lease.id)
    next.return()
  })

  test('a signal ends the waiting with its own reason', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 1 } })
    const lease = await rig.pool.acquire(lane)
    const client = new AbortController()
    const { signal } = client
    const waiting = rig.pool.acquire(lane, { signal })
    const forced = rig.pool.acquire(lane, { signal, prefer: lease.id, force: true })
    const gone = new Error('the client left')
    const rejected = [waiting, forced].map((promise) => assert.rejects(promise, gone))
    client.abort(gone)
    await Promise.all(rejected)
    await assert.rejects(rig.pool.acquire(lane, { signal }), gone, 'one that has fired already')
    const { cancelled, waiting: left } = rig.pool.stats()
    assert.deepEqual({ cancelled, left }, { cancelled: 3, left: 0 })
    lease.return()
  })

  test('a signal that fires later does nothing', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const client = new AbortController()
    const lease = await rig.pool.acquire(laneOf(upstream), { signal: client.signal })
    client.abort()
    assert.ok(lease.isOpen)
    lease.return()
    assert.equal(rig.pool.stats().cancelled, 0)
  })
})

describe('a handshake under way', () => {
  test('serves another, or nobody, when who asked has left', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<undefined>()
    await using upstream = await wsUpstream({ onUpgrade: () => held })
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 1 } })
    const client = new AbortController()
    const left = assert.rejects(rig.pool.acquire(lane, { signal: client.signal }))
    const waiting = rig.pool.acquire(lane)
    client.abort()
    await left
    release(undefined)
    const lease = await waiting
    assert.equal(upstream.requests.length, 1)
    lease.return()
    assert.equal(rig.pool.stats().idle, 1)
  })

  test('is no reason to wait for it when another is given back first', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<undefined>()
    await using upstream = await wsUpstream({ onUpgrade: () => (upstream.requests.length > 1 ? held : undefined) })
    await using rig = testPool()
    const lane = laneOf(upstream)
    const first = await rig.pool.acquire(lane)
    const waiting = rig.pool.acquire(lane)
    await until(() => upstream.requests.length === 2)
    first.return()
    const second = await waiting
    assert.equal(second.id, first.id)
    release(undefined)
    await until(() => rig.pool.stats().idle === 1)
    second.return()
    assert.equal(rig.pool.stats().idle, 2)
  })

  test('that fails is an error for who asked, and the next in line gets a handshake of its own', async () => {
    await using upstream = await wsUpstream({
      onUpgrade: () => (upstream.requests.length === 1 ? 'HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n' : undefined),
    })
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 1 } })
    const refused = assert.rejects(rig.pool.acquire(lane), { code: 'UPGRADE_REFUSED', status: 503 })
    const waiting = rig.pool.acquire(lane)
    await refused
    const lease = await waiting
    assert.equal(lease.isReused, false)
    lease.return()
    assert.equal(rig.pool.stats().dialFailures, 1)
  })
})

describe('a connection that has been silent for long', () => {
  test('is asked before it is lent, and lent if it answers', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool({ pingEvery: 1e9, cleanEvery: 1e9 })
    const lane = laneOf(upstream)
    const lease = await rig.pool.acquire(lane)
    lease.return()
    rig.clock.advance(89_000)
    const soon = await rig.pool.acquire(lane)
    assert.equal(rig.pool.stats().pings, 0)
    soon.return()
    rig.clock.advance(90_000)
    const late = await rig.pool.acquire(lane)
    assert.equal(late.id, lease.id)
    assert.equal(rig.pool.stats().pings, 1)
    late.return()
  })

  test('and does not answer is replaced by a new one: one timeout, however many are dead', async () => {
    await using upstream = await wsUpstream({ autoPong: false })
    await using rig = testPool({ pingEvery: 1e9, cleanEvery: 1e9, pingTimeout: 2_000 })
    const lane = laneOf(upstream, { limits: { max: 3 } })
    const leases = await Promise.all([1, 2, 3].map(() => rig.pool.acquire(lane)))
    for (const lease of leases) lease.return()
    rig.clock.advance(90_000)
    const acquiring = rig.pool.acquire(lane)
    rig.clock.advance(2_000)
    const lease = await acquiring
    assert.equal(lease.isReused, false)
    const { pings, pingTimeouts, idle } = rig.pool.stats()
    assert.deepEqual({ pings, pingTimeouts, idle }, { pings: 1, pingTimeouts: 1, idle: 2 })
    lease.return()
  })

  test('and does not answer is an error for who wants that one and no other', async () => {
    await using upstream = await wsUpstream({ autoPong: false })
    await using rig = testPool({ pingEvery: 1e9, cleanEvery: 1e9, pingTimeout: 2_000 })
    const lane = laneOf(upstream)
    const { id } = await rig.pool.acquire(lane).then((lease) => (lease.return(), lease))
    rig.clock.advance(90_000)
    const forced = assert.rejects(rig.pool.acquire(lane, { prefer: id, force: true }), {
      code: 'CONNECTION_UNAVAILABLE',
    })
    rig.clock.advance(2_000)
    await forced
  })
})

describe('limits that a reload has changed', () => {
  test('hold for the lane as it is', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const first = await rig.pool.acquire(laneOf(upstream, { limits: { max: 1 } }))
    const second = await rig.pool.acquire(laneOf(upstream, { limits: { max: 2 } }))
    await assert.rejects(rig.pool.acquire(laneOf(upstream, { limits: { max: 2, queue: 0 } })), { code: 'QUEUE_FULL' })
    assert.equal(rig.pool.stats().lanes, 1)
    for (const lease of [first, second]) lease.return()
  })
})
