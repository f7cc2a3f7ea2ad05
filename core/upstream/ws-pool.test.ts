import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { opcodes } from '../../test/conformance/websocket-frames.ts'
import { type Peer, peerServer } from '../../test/conformance/websocket-peer.ts'
import { laneOf, testPool, until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'

describe('a connection', () => {
  test('that was returned serves the next acquisition of its lane', async () => {
    await using upstream = await wsUpstream({ headers: ['x-codex-turn-state: t1'] })
    await using rig = testPool()
    const lane = laneOf(upstream, { headers: { authorization: 'Bearer a' } })
    const first = await rig.pool.acquire(lane)
    assert.equal(first.isReused, false)
    assert.equal(first.headers['x-codex-turn-state'], 't1', 'what the 101 said is kept')
    first.return()
    const second = await rig.pool.acquire(lane)
    assert.equal(second.isReused, true)
    assert.equal(second.id, first.id)
    assert.equal(second.headers['x-codex-turn-state'], 't1')
    assert.equal(upstream.requests.length, 1)
    assert.equal(upstream.requests[0]!.headers.authorization, 'Bearer a')
    rig.clock.advance(90_000 - 1)
    assert.equal(second.age, 89_999)
    second.return()
    const { acquired, reused, created } = rig.pool.stats()
    assert.deepEqual({ acquired, reused, created }, { acquired: 2, reused: 1, created: 1 })
  })

  test('is held by one at a time', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const leases = await Promise.all([1, 2, 3].map(() => rig.pool.acquire(lane)))
    assert.equal(new Set(leases.map(({ id }) => id)).size, 3)
    assert.equal(rig.pool.stats().leased, 3)
    for (const lease of leases) lease.return()
  })

  test('cannot be used, nor given back again, by who has returned it', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const old = await rig.pool.acquire(lane)
    old.return()
    const held = await rig.pool.acquire(lane)
    old.return()
    old.markBroken()
    old.pin('s')
    assert.deepEqual([old.send('x', false), old.isOpen, held.isOpen], [false, false, true])
    assert.equal(rig.pool.stats().leased, 1)
    held.return()
    assert.equal(rig.pool.stats().pinned, 0)
  })

  test('that was marked broken, or left in mid-turn, is closed and never lent again', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const broken = await rig.pool.acquire(lane)
    const codes: [number, string][] = []
    upstream.sockets[0]!.on('close', (code, reason) => codes.push([code, reason.toString()]))
    broken.markBroken(1011, 'turn failed')
    {
      using left = await rig.pool.acquire(lane)
      assert.notEqual(left.id, broken.id)
    }
    await until(() => upstream.open === 0)
    assert.deepEqual(codes, [[1011, 'turn failed']])
    const { broken: count, idle, leased } = rig.pool.stats()
    assert.deepEqual({ count, idle, leased }, { count: 2, idle: 0, leased: 0 })
  })

  test('that the upstream closes while it is idle is gone at once', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const lease = await rig.pool.acquire(lane)
    lease.return()
    assert.equal(rig.pool.stats().idle, 1)
    upstream.sockets[0]!.close(1000)
    await until(() => rig.pool.stats().idle === 0)
    assert.equal(rig.pool.stats().lost, 1)
    const next = await rig.pool.acquire(lane)
    assert.notEqual(next.id, lease.id)
    next.return()
  })

  test('that the upstream has begun to close is not lent, though its socket still stands', async () => {
    const peers: Peer[] = []
    await using upstream = await peerServer((peer) => peers.push(peer))
    await using rig = testPool({ closeTimeout: 50 })
    const lane = laneOf(upstream, { limits: { max: 1 } })
    const lease = await rig.pool.acquire(lane)
    lease.return()
    peers[0]!.close(1001)
    // The answer to the close frame is here; this server never ends the connection.
    assert.equal((await peers[0]!.next())?.opcode, opcodes.close)
    const next = await rig.pool.acquire(lane)
    assert.notEqual(next.id, lease.id)
    next.markBroken()
    const { lost, created } = rig.pool.stats()
    assert.deepEqual({ lost, created }, { lost: 1, created: 2 })
  })

  test('on which a message comes while it is nobody’s is not lent again', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lease = await rig.pool.acquire(laneOf(upstream))
    lease.return()
    upstream.sockets[0]!.send('{"type":"error"}')
    await until(() => rig.pool.stats().idle === 0)
    assert.equal(rig.pool.stats().evicted, 1)
  })

  test('on which a message came that its holder never took is not lent again', async () => {
    const { promise: sent, resolve } = Promise.withResolvers<unknown>()
    await using upstream = await wsUpstream({ onSocket: (socket) => socket.send('hello', resolve) })
    await using rig = testPool()
    const lane = laneOf(upstream)
    const lease = await rig.pool.acquire(lane)
    await sent
    // What the system has taken over the loopback is read in the next turn of the loop.
    for (let turns = 0; turns < 3; turns++) await turn()
    lease.return()
    assert.equal(rig.pool.stats().idle, 0)
  })
})

describe('of several idle connections', () => {
  test('the one that has been idle longest is lent', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const [a, b, c] = await Promise.all([1, 2, 3].map(() => rig.pool.acquire(lane)))
    for (const lease of [b!, a!, c!]) lease.return()
    const order = []
    for (let at = 0; at < 3; at++) order.push(await rig.pool.acquire(lane))
    assert.deepEqual(
      order.map(({ id }) => id),
      [b!.id, a!.id, c!.id],
    )
    for (const lease of order) lease.return()
  })

  test('the preferred one is lent if it is free, another if not', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const [a, b] = await Promise.all([1, 2].map(() => rig.pool.acquire(lane)))
    a!.return()
    b!.return()
    const preferred = await rig.pool.acquire(lane, { prefer: b!.id })
    assert.equal(preferred.id, b!.id)
    const other = await rig.pool.acquire(lane, { prefer: b!.id })
    assert.equal(other.id, a!.id)
    const unknown = await rig.pool.acquire(lane, { prefer: 'o/999' })
    assert.equal(unknown.isReused, false)
    for (const lease of [preferred, other, unknown]) lease.return()
  })

  test('`force` waits for the preferred one, and is an error when there is none', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const [a, b] = await Promise.all([1, 2].map(() => rig.pool.acquire(lane)))
    b!.return()
    const waiting = rig.pool.acquire(lane, { prefer: a!.id, force: true })
    const lost = rig.pool.acquire(lane, { prefer: a!.id, force: true })
    assert.equal(rig.pool.stats().waiting, 2)
    a!.return()
    const again = await waiting
    assert.equal(again.id, a!.id)
    const rejected = assert.rejects(lost, { code: 'CONNECTION_UNAVAILABLE' })
    again.markBroken()
    await rejected
    await assert.rejects(rig.pool.acquire(lane, { prefer: a!.id, force: true }), { code: 'CONNECTION_UNAVAILABLE' })
    assert.equal(rig.pool.stats().unavailable, 2)
  })
})

describe('a lane', () => {
  const differences = {
    'another token': { credential: 'other' },
    'another header': { headers: { 'accept-language': 'de' } },
    'another upstream of the same address': { upstream: 'p' },
    'another subprotocol': { protocols: ['realtime'] },
  }
  for (const [what, options] of Object.entries(differences)) {
    test(`shares no connection with one of ${what}`, async () => {
      await using upstream = await wsUpstream()
      await using rig = testPool()
      const one = await rig.pool.acquire(laneOf(upstream))
      one.return()
      const other = await rig.pool.acquire(laneOf(upstream, options))
      assert.notEqual(other.id, one.id)
      assert.equal(upstream.requests.length, 2)
      other.return()
      // Not even by name.
      const forced = rig.pool.acquire(laneOf(upstream, options), { prefer: one.id, force: true })
      await assert.rejects(forced, { code: 'CONNECTION_UNAVAILABLE' })
    })
  }

  test('shares no connection with one of another address', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const one = await rig.pool.acquire(laneOf(upstream))
    one.return()
    const other = await rig.pool.acquire(laneOf({ url: new URL('?model=b', upstream.url) }))
    assert.equal(upstream.requests[1]!.url, '/v1/responses?model=b')
    other.return()
    assert.equal(rig.pool.stats().idle, 2)
  })

  test('is the same for headers in another order, and does not show the token', () => {
    const url = new URL('ws://o')
    const one = laneOf({ url }, { headers: { a: '1', b: '2' }, credential: 'sk-secret' })
    const other = laneOf({ url }, { headers: { b: '2', a: '1' }, credential: 'sk-secret' })
    assert.equal(one.key, other.key)
    assert.doesNotMatch(JSON.stringify({ ...one }), /sk-secret/)
  })

  test('whose token was replaced closes what it has, as soon as it is given back, and opens nothing', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const old = laneOf(upstream, { credential: 'old', limits: { max: 2 } })
    const other = laneOf(upstream, { credential: 'other' })
    const leases = await Promise.all([old, old, other].map((lane) => rig.pool.acquire(lane)))
    const waiting = assert.rejects(rig.pool.acquire(old), { code: 'LANE_RETIRED' })
    leases[2]!.return()
    rig.pool.retire((spec) => spec.key === old.key)
    await waiting
    assert.ok(leases[0]!.isOpen, 'a turn under way goes on')
    leases[0]!.return()
    leases[1]!.return()
    await until(() => upstream.open === 1)
    assert.equal(rig.pool.stats().idle, 1, 'the other lane keeps its own')
  })

  test('that nobody uses makes room for another where there are as many as may be', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool({ maxLanes: 2 })
    const a = await rig.pool.acquire(laneOf(upstream, { credential: 'a' }))
    const b = await rig.pool.acquire(laneOf(upstream, { credential: 'b' }))
    await assert.rejects(rig.pool.acquire(laneOf(upstream, { credential: 'c' })), { code: 'TOO_MANY_LANES' })
    b.return()
    const c = await rig.pool.acquire(laneOf(upstream, { credential: 'c' }))
    await until(() => upstream.open === 2)
    assert.equal(rig.pool.stats().lanes, 2)
    a.return()
    c.return()
  })
})
