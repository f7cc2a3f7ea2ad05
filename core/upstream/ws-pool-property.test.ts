import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { laneOf, testPool, until, wsUpstream, type WsUpstream } from '../../test/conformance/websocket-upstream.ts'
import type { Lease } from './ws-member.ts'
import type { Asked } from './ws-waiter.ts'

const max = 3
const queue = 2

/** One thing that happens to a pool; `of` picks which lease, lane or socket. */
interface Step {
  readonly act: 'acquire' | 'return' | 'break' | 'pin' | 'cut' | 'age' | 'endSession' | 'retire' | 'settle'
  readonly of: number
  readonly asked: 'any' | 'session' | 'own headers' | 'prefer' | 'force' | 'leaves'
}

const acts = ['acquire', 'acquire', 'acquire', 'return', 'return', 'break', 'pin', 'cut', 'age', 'endSession', 'retire']
const step: fc.Arbitrary<Step> = fc.record({
  act: fc.constantFrom(...([...acts, 'settle', 'settle'] as Step['act'][])), // the words above
  of: fc.nat(5),
  asked: fc.constantFrom('any', 'any', 'session', 'own headers', 'prefer', 'force', 'leaves'),
})

describe('whatever happens in whatever order', () => {
  test('no connection is held twice, no lane has too many, no session gets another’s, and the books add up', async () => {
    await using upstream = await wsUpstream()
    let steps = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (walk) => {
        steps += walk.length
        await play(upstream, walk)
      }),
      { numRuns: 200 },
    )
    assert.ok(steps > 300)
    await until(() => upstream.open === 0)
  })
})

async function play(upstream: WsUpstream, walk: readonly Step[]): Promise<void> {
  await using rig = testPool({ acquireTimeout: 50_000 })
  const lanes = ['a', 'b'].map((credential) =>
    laneOf(upstream, { credential, headers: { 'x-lane': credential }, limits: { max, queue, utilization: 0.7 } }),
  )
  const held: { lease: Lease; session: string | undefined; lane: number }[] = []
  const owners = new Map<string, string>()
  const laneOfId = new Map<string, number>()
  const pending = new Set<Promise<void>>()
  const ids: string[] = []
  const violations: unknown[] = []
  const hasRetired = walk.some(({ act, of }) => act === 'retire' && of === 5)
  let given = 0

  const acquire = ({ of, asked }: Step): void => {
    const lane = of % 2
    const id = `s${of % 3}`
    const client = new AbortController()
    const shapes: Record<Step['asked'], Asked> = {
      any: {},
      session: { session: { id } },
      'own headers': { session: { id, headers: { session_id: id } } },
      prefer: { prefer: ids[of] },
      force: { prefer: ids[of], force: true, session: { id } },
      leaves: { signal: client.signal },
    }
    const options = shapes[asked]
    const promise = rig.pool.acquire(lanes[lane]!, options).then(
      (lease) => {
        given++
        assert.ok(!held.some((other) => other.lease.id === lease.id), 'held twice')
        const session = options.session?.id
        const owner = owners.get(lease.id)
        assert.ok(owner === undefined || owner === session, `the connection of ${owner} went to ${session}`)
        assert.equal(laneOfId.get(lease.id) ?? lane, lane, 'a connection changed its lane')
        laneOfId.set(lease.id, lane)
        if (asked === 'force') assert.equal(lease.id, options.prefer ?? lease.id)
        if (asked === 'own headers') owners.set(lease.id, id)
        ids.push(lease.id)
        held.push({ lease, session, lane })
      },
      (error: { code?: string | number; name: string }) => assert.match(`${error.name} ${error.code}`, expectedError),
    )
    const tracked = promise
      .catch((violation: unknown) => void violations.push(violation))
      .finally(() => pending.delete(tracked))
    pending.add(tracked)
    if (asked === 'leaves' && of > 2) client.abort()
  }

  const take = (of: number) => held.splice(of % Math.max(1, held.length), 1)[0]
  for (const one of walk) {
    if (one.act === 'acquire') acquire(one)
    else if (one.act === 'return') take(one.of)?.lease.return()
    else if (one.act === 'break') take(one.of)?.lease.markBroken()
    else if (one.act === 'cut') [...upstream.server.clients][one.of]?.terminate()
    else if (one.act === 'age') rig.clock.advance(10_000 * 6 ** one.of)
    else if (one.act === 'endSession') rig.pool.endSession(`s${one.of % 3}`)
    else if (one.act === 'retire') rig.pool.retire((spec) => one.of === 5 && spec.key === lanes[0]!.key)
    else if (one.act === 'settle') for (let turns = 0; turns < 6; turns++) await turn()
    else {
      const holder = held[one.of]
      if (holder?.session !== undefined && holder.lease.isOpen) {
        holder.lease.pin(holder.session)
        owners.set(holder.lease.id, holder.session)
      }
    }
    const stats = rig.pool.stats()
    // What a retired lane still has lent, or is giving up, stands beside its successor's.
    if (!hasRetired) {
      assert.ok(stats.created - stats.closed + stats.dialing <= 2 * max, 'too many')
      for (const lane of [0, 1]) assert.ok(held.filter((one) => one.lane === lane && one.lease.isOpen).length <= max)
    }
    assert.ok(stats.idle + stats.pinned <= 2 * max)
    assert.ok(stats.waiting <= 2 * (max + queue + max * queue), 'too many wait')
    assert.equal(stats.acquired, stats.returned + stats.broken + stats.leased)
    assert.ok(stats.reused <= stats.acquired)
    assert.ok(stats.created - stats.closed >= stats.idle + stats.pinned + stats.leased)
  }

  // Everybody goes home: nobody may wait for ever.
  while (pending.size > 0 || held.length > 0) {
    for (const { lease } of held.splice(0)) lease.return()
    await turn()
    rig.clock.advance(1_000)
  }
  if (violations.length > 0) throw violations[0]
  const { acquired, leased, waiting } = rig.pool.stats()
  assert.deepEqual({ acquired, leased, waiting }, { acquired: given, leased: 0, waiting: 0 })
}

const expectedError =
  /^(AbortError 20|Error (QUEUE_FULL|CONNECTION_UNAVAILABLE|ACQUIRE_TIMEOUT|HANDSHAKE_TIMEOUT|LANE_RETIRED|ECONNRESET))$/
