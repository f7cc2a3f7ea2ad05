import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { laneOf, testPool, until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'
import { laneDefaults } from './ws-lane-spec.ts'
import { wantedConnections } from './ws-warm.ts'

const limits = { max: 10, minIdle: 0, utilization: 0.7 }

describe('the connections a lane should have', () => {
  const rows: [demand: number, options: Partial<typeof limits>, wanted: number][] = [
    [0, {}, 0],
    [0, { minIdle: 4 }, 4],
    [1, {}, 1],
    [1, { minIdle: 4 }, 4],
    [2, {}, 3],
    [7, {}, 10],
    [8, {}, 10],
    [7, { max: 8 }, 8],
    [7, { utilization: 1 }, 7],
    [2, { max: 2, minIdle: 4 }, 2],
  ]
  for (const [demand, options, wanted] of rows) {
    test(`are ${wanted} for ${demand} users and ${JSON.stringify(options)}`, () => {
      assert.equal(wantedConnections(demand, { ...laneDefaults, ...limits, ...options }), wanted)
    })
  }
})

describe('connections opened in advance', () => {
  test('come one after the other, and serve who comes next', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<undefined>()
    await using upstream = await wsUpstream({ onUpgrade: () => (upstream.requests.length === 2 ? held : undefined) })
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { minIdle: 4 } })
    const lease = await rig.pool.acquire(lane)
    await until(() => upstream.requests.length === 2)
    for (let turns = 0; turns < 10; turns++) await turn()
    assert.equal(upstream.requests.length, 2, 'one handshake at a time')
    release(undefined)
    await until(() => rig.pool.stats().scaleUps === 1)
    rig.clock.advance(300)
    const next = await rig.pool.acquire(lane)
    assert.equal(next.isReused, true)
    for (const one of [lease, next]) one.return()
  })

  test('carry what is neutral and nothing of any session, and nothing of a token that was replaced', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const limits = { minIdle: 3 }
    const old = laneOf(upstream, { credential: 'old', headers: { authorization: 'Bearer old' }, limits })
    const session = { id: 's', headers: { session_id: 'abc' } }
    const own = await rig.pool.acquire(old, { session })
    await until(() => rig.pool.stats().scaleUps === 2)
    assert.deepEqual(
      upstream.requests.map(({ headers }) => [headers.authorization, headers['session_id']]),
      [
        ['Bearer old', 'abc'],
        ['Bearer old', undefined],
        ['Bearer old', undefined],
      ],
    )
    rig.pool.retire((spec) => spec.key === old.key)
    const fresh = laneOf(upstream, { credential: 'new', headers: { authorization: 'Bearer new' }, limits })
    own.return()
    const lease = await rig.pool.acquire(fresh)
    rig.clock.advance(1_000)
    await until(() => rig.pool.stats().scaleUps === 4)
    assert.deepEqual(
      upstream.requests.slice(3).map(({ headers }) => headers.authorization),
      ['Bearer new', 'Bearer new', 'Bearer new'],
    )
    lease.return()
    await until(() => upstream.open === 3)
  })

  test('are none beyond the bound of the lane, whoever has pinned the rest', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool({ pingEvery: 1e9, cleanEvery: 1e9 })
    const lane = laneOf(upstream, { limits: { max: 2, minIdle: 2 } })
    const one = await rig.pool.acquire(lane)
    await until(() => rig.pool.stats().scaleUps === 1)
    one.pin('s1')
    one.return()
    rig.clock.advance(300)
    const other = await rig.pool.acquire(lane)
    assert.deepEqual([rig.pool.stats().pinned, rig.pool.stats().leased, rig.pool.stats().dialing], [1, 1, 0])
    other.return()
  })

  test('begin at most every 300 ms', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream, { limits: { minIdle: 2 } })
    const lease = await rig.pool.acquire(lane)
    await until(() => rig.pool.stats().scaleUps === 1)
    // One of them breaks, and who comes at once finds the other.
    lease.markBroken()
    const next = await rig.pool.acquire(lane)
    assert.equal(rig.pool.stats().dialing, 0)
    rig.clock.advance(300)
    next.return()
    const last = await rig.pool.acquire(lane)
    assert.equal(rig.pool.stats().dialing, 1)
    last.return()
    await until(() => rig.pool.stats().dialing === 0)
  })

  test('are not tried for 30 s after two handshakes in vain', async () => {
    await using upstream = await wsUpstream({
      onUpgrade: () => (upstream.requests.length > 1 ? 'HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n' : undefined),
    })
    await using rig = testPool({ pingEvery: 1e9, cleanEvery: 1e9 })
    const lane = laneOf(upstream, { limits: { minIdle: 2 } })
    const knock = async (): Promise<number> => {
      const lease = await rig.pool.acquire(lane)
      await until(() => rig.pool.stats().dialing === 0)
      lease.return()
      rig.clock.advance(300)
      return rig.pool.stats().dialFailures
    }
    assert.deepEqual([await knock(), await knock(), await knock(), await knock()], [1, 2, 2, 2])
    rig.clock.advance(30_000)
    assert.equal(await knock(), 3)
  })

  test('are none where nobody has asked yet', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    laneOf(upstream, { limits: { minIdle: 4 } })
    rig.clock.advance(120_000)
    await turn()
    assert.equal(upstream.requests.length, 0)
  })
})
