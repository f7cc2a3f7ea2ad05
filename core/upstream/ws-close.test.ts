import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { laneOf, testPool, until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'
import { laneSpec } from './ws-lane-spec.ts'
import { WsPool } from './ws-pool.ts'

describe('closing the pool', () => {
  test('closes idle connections with 1001, refuses who waits and who comes, and is done once', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { max: 1 } })
    const other = laneOf(upstream, { credential: 'other' })
    const idle = await rig.pool.acquire(other)
    idle.return()
    const closed = new Promise((resolve) => upstream.sockets[0]!.once('close', resolve))
    const lease = await rig.pool.acquire(lane)
    const waiting = assert.rejects(rig.pool.acquire(lane), { code: 'POOL_CLOSED' })
    const forced = assert.rejects(rig.pool.acquire(lane, { prefer: lease.id, force: true }), { code: 'POOL_CLOSED' })
    const closing = rig.pool.close()
    assert.equal(rig.pool.close(), closing)
    await Promise.all([waiting, forced])
    await assert.rejects(rig.pool.acquire(lane), { code: 'POOL_CLOSED' })
    assert.equal(await closed, 1001)
    lease.return()
    await closing
    assert.equal(upstream.open, 0)
  })

  test('waits for what is lent until it is given back', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lease = await rig.pool.acquire(laneOf(upstream))
    let isClosed = false
    const closing = rig.pool.close(60_000).then(() => (isClosed = true))
    for (let turns = 0; turns < 20; turns++) await turn()
    assert.equal(isClosed, false)
    const messages: string[] = []
    lease.listen({ onMessage: (data) => void messages.push(data.toString()), onClose() {} })
    lease.send('the turn goes on', false)
    await until(() => messages.length === 1)
    lease.return()
    await closing
  })

  test('ends what is still lent when its time is over, and the holder is told', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lease = await rig.pool.acquire(laneOf(upstream))
    const codes: number[] = []
    lease.listen({ onMessage() {}, onClose: (code) => void codes.push(code) })
    const closing = rig.pool.close(3_000)
    rig.clock.advance(2_999)
    await turn()
    assert.ok(lease.isOpen)
    rig.clock.advance(1)
    await closing
    assert.deepEqual(codes, [1006])
    lease.return()
  })

  test('gives up handshakes and pings under way', async () => {
    const { promise: never, resolve } = Promise.withResolvers<undefined>()
    let asked = 0
    await using upstream = await wsUpstream({
      autoPong: false,
      onSocket: (socket) => void socket.on('ping', () => asked++),
      onUpgrade: ({ headers }) => (headers['x-slow'] ? never : undefined),
    })
    await using rig = testPool({ pingEvery: 30_000, checkAfter: 20_000 })
    const swept = await rig.pool.acquire(laneOf(upstream))
    const checked = await rig.pool.acquire(laneOf(upstream, { credential: 'checked' }))
    swept.return()
    checked.return()
    rig.clock.advance(30_000)
    await until(() => asked === 2)
    const slow = assert.rejects(rig.pool.acquire(laneOf(upstream, { headers: { 'x-slow': '1' } })), {
      code: 'POOL_CLOSED',
    })
    const checking = assert.rejects(rig.pool.acquire(laneOf(upstream, { credential: 'checked' })), {
      code: 'POOL_CLOSED',
    })
    await until(() => upstream.requests.length === 3)
    assert.equal(rig.pool.stats().pingTimeouts, 0)
    await rig.pool.close()
    await Promise.all([slow, checking])
    resolve(undefined)
  })

  test('is done at once where nothing was ever opened', async () => {
    await using rig = testPool()
    await rig.pool.close()
    assert.equal(rig.clock.pending, 0)
  })
})

describe('the end of the process', () => {
  test('is held up by no timer and no idle connection of a pool', async () => {
    await using upstream = await wsUpstream()
    const handles = () => process.getActiveResourcesInfo().filter((kind) => /Timeout|TCPSocketWrap/.test(kind)).length
    // The sockets of the test before close a moment after they were told to.
    await until(() => handles() === 0)
    const pool = new WsPool()
    const lane = laneSpec({ upstream: 'o', url: upstream.url, credential: 'a' })
    const seen: number[] = []
    for (let turns = 0; turns < 2; turns++) {
      const lease = await pool.acquire(lane)
      seen.push(handles())
      lease.return()
      seen.push(handles())
    }
    // The upstream's own end of the connection is in this process too.
    assert.deepEqual(seen, [2, 1, 2, 1])
    await pool.close()
  })

  test('finds nothing left of a pool that was closed under load', async () => {
    await using upstream = await wsUpstream()
    const before = process.getActiveResourcesInfo().length
    const pool = new WsPool()
    const lane = laneSpec({ upstream: 'o', url: upstream.url, credential: 'a', limits: { max: 8, queue: 100 } })
    let turns = 0
    const users = Array.from({ length: 40 }, async () => {
      for (;;) {
        const lease = await pool.acquire(lane)
        await new Promise<void>((resolve) => {
          lease.listen({ onMessage: () => resolve(), onClose: () => resolve() })
          lease.send('turn', false)
        })
        lease.return()
        turns++
      }
    })
    const ended = Promise.allSettled(users)
    await until(() => turns > 200)
    await pool.close()
    for (const outcome of await ended) {
      assert.equal(outcome.status === 'rejected' && outcome.reason.code, 'POOL_CLOSED')
    }
    const { idle, leased, dialing, waiting, created, closed, acquired, returned, broken } = pool.stats()
    assert.deepEqual([idle, leased, dialing, waiting, created - closed], [0, 0, 0, 0, 0])
    assert.equal(acquired, returned + broken)
    await until(() => upstream.open === 0)
    await until(() => process.getActiveResourcesInfo().length <= before)
  })
})
