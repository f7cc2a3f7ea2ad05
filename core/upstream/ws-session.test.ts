import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { laneOf, testPool, until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'

describe('a pinned connection', () => {
  test('is lent to its session alone, again and again', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const session = { id: 's1' }
    const lease = await rig.pool.acquire(lane, { session })
    lease.pin('s1')
    lease.return()
    assert.deepEqual([rig.pool.stats().idle, rig.pool.stats().pinned], [0, 1])
    for (const other of [{}, { session: { id: 's2' } }, { prefer: lease.id }]) {
      const stranger = await rig.pool.acquire(lane, other)
      assert.notEqual(stranger.id, lease.id)
      stranger.return()
    }
    const forced = rig.pool.acquire(lane, { prefer: lease.id, force: true, session: { id: 's2' } })
    await assert.rejects(forced, { code: 'CONNECTION_UNAVAILABLE' })
    for (const force of [false, true]) {
      const again = await rig.pool.acquire(lane, { session, force })
      assert.equal(again.id, lease.id)
      again.return()
    }
    assert.equal(rig.pool.stats().pings, 0, 'what was used a moment ago is lent without a ping')
  })

  test('is closed when its session ends: at once, or when it is given back', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const [idle, leased] = await Promise.all([1, 2].map(() => rig.pool.acquire(lane)))
    idle!.pin('s1')
    leased!.pin('s2')
    idle!.return()
    rig.pool.endSession('s1')
    rig.pool.endSession('s2')
    rig.pool.endSession('never heard of')
    await until(() => upstream.open === 1)
    assert.ok(leased!.isOpen)
    leased!.return()
    await until(() => upstream.open === 0)
    assert.equal(rig.pool.stats().evicted, 2)
  })

  test('is not to be had by who waited for it before it was pinned', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const lease = await rig.pool.acquire(lane, { session: { id: 's1' } })
    const stranger = rig.pool.acquire(lane, { prefer: lease.id, force: true, session: { id: 's2' } })
    const own = rig.pool.acquire(lane, { prefer: lease.id, force: true, session: { id: 's1' } })
    const rejected = assert.rejects(stranger, { code: 'CONNECTION_UNAVAILABLE' })
    lease.pin('s1')
    await rejected
    lease.return()
    const again = await own
    assert.equal(again.id, lease.id)
    again.return()
  })

  test('goes to its session when that waits for any', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 1 } })
    const session = { id: 's1' }
    const lease = await rig.pool.acquire(lane, { session })
    const other = assert.rejects(rig.pool.acquire(lane), { code: 'POOL_CLOSED' })
    const second = rig.pool.acquire(lane, { session })
    lease.pin('s1')
    lease.return()
    const again = await second
    assert.equal(again.id, lease.id)
    again.return()
    assert.equal(rig.pool.stats().waiting, 1, 'and to nobody else')
    await rig.pool.close()
    await other
  })

  test('that was replaced is closed when it is given back, though its session waits for any', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 2 } })
    const session = { id: 's1' }
    const before = await rig.pool.acquire(lane, { session })
    before.pin('s1')
    const after = await rig.pool.acquire(lane, { session })
    after.pin('s1')
    const third = rig.pool.acquire(lane, { session })
    before.return()
    const fresh = await third
    assert.ok(![before.id, after.id].includes(fresh.id))
    after.return()
    const own = await rig.pool.acquire(lane, { session, force: true })
    assert.equal(own.id, after.id)
    for (const lease of [fresh, own]) lease.return()
  })

  test('takes the place of the one that the session had before', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const [before, after] = await Promise.all([1, 2].map(() => rig.pool.acquire(lane)))
    before!.pin('s1')
    before!.return()
    after!.pin('s1')
    await until(() => upstream.open === 1)
    after!.return()
    const again = await rig.pool.acquire(lane, { session: { id: 's1' }, force: true })
    assert.equal(again.id, after!.id)
    again.return()
  })

  test('of a session that has nothing is an error for who insists on it', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    await assert.rejects(rig.pool.acquire(lane, { session: { id: 's1' }, force: true }), {
      code: 'CONNECTION_UNAVAILABLE',
    })
    const lease = await rig.pool.acquire(lane, { session: { id: 's1' } })
    lease.pin('s1')
    lease.return()
    upstream.sockets[0]!.close()
    await until(() => rig.pool.stats().pinned === 0)
    await assert.rejects(rig.pool.acquire(lane, { session: { id: 's1' }, force: true }), {
      code: 'CONNECTION_UNAVAILABLE',
    })
  })

  test('of an old token is not lent under the new one', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const session = { id: 's1' }
    const old = await rig.pool.acquire(laneOf(upstream, { credential: 'old' }), { session })
    old.pin('s1')
    old.return()
    const fresh = laneOf(upstream, { credential: 'new', headers: { authorization: 'Bearer new' } })
    await assert.rejects(rig.pool.acquire(fresh, { session, force: true }), { code: 'CONNECTION_UNAVAILABLE' })
    const next = await rig.pool.acquire(fresh, { session })
    assert.notEqual(next.id, old.id)
    assert.equal(upstream.requests[1]!.headers.authorization, 'Bearer new')
    next.pin('s1')
    await until(() => upstream.open === 1)
    next.return()
  })
})

describe('headers of a session’s own', () => {
  const s1 = { id: 's1', headers: { session_id: 'abc', 'x-codex-turn-state': 't' } }

  test('go into a connection that is opened for the session and stays its own', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { headers: { authorization: 'Bearer a' } })
    const neutral = await rig.pool.acquire(lane)
    neutral.return()
    const own = await rig.pool.acquire(lane, { session: s1, prefer: neutral.id })
    assert.notEqual(own.id, neutral.id)
    const { headers } = upstream.requests[1]!
    assert.deepEqual([headers.authorization, headers['session_id']], ['Bearer a', 'abc'])
    own.return()
    const other = await rig.pool.acquire(lane, { session: { id: 's2', headers: { session_id: 'def' } } })
    assert.notEqual(other.id, own.id)
    assert.equal(upstream.requests[2]!.headers['session_id'], 'def')
    other.return()
    const again = await rig.pool.acquire(lane, { session: s1 })
    assert.equal(again.id, own.id)
    again.return()
    assert.equal(upstream.requests.length, 3)
  })

  test('take the place of the longest idle connection where there is no other', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 2 } })
    const [a, b] = await Promise.all([1, 2].map(() => rig.pool.acquire(lane)))
    b!.return()
    const own = await rig.pool.acquire(lane, { session: s1 })
    assert.notEqual(own.id, b!.id)
    assert.equal(rig.pool.stats().evicted, 1)
    // And wait for one to be given back where none is idle.
    const second = rig.pool.acquire(lane, { session: { id: 's2', headers: { session_id: 'def' } } })
    assert.equal(rig.pool.stats().waiting, 1)
    a!.return()
    const lease = await second
    assert.equal(lease.isReused, false)
    own.return()
    lease.return()
    await until(() => upstream.open === 2)
  })

  test('are nobody else’s after their session has left during the handshake', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<undefined>()
    await using upstream = await wsUpstream({ onUpgrade: () => held })
    await using rig = testPool()
    const lane = laneOf(upstream)
    const client = new AbortController()
    const left = assert.rejects(rig.pool.acquire(lane, { session: s1, signal: client.signal }))
    await until(() => upstream.requests.length === 1)
    client.abort()
    await left
    release(undefined)
    await until(() => rig.pool.stats().closed === 1)
    assert.deepEqual([rig.pool.stats().idle, rig.pool.stats().pinned], [0, 0])
  })
})
