import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { WebSocket } from 'ws'
import { laneOf, recorder, testPool, until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'

describe('the end of a connection', () => {
  const ends: [string, (socket: WebSocket) => void, { code: number; reason: string }][] = [
    ['with a code and a reason', (socket) => socket.close(1013, 'try later'), { code: 1013, reason: 'try later' }],
    ['with a code of the application', (socket) => socket.close(4001), { code: 4001, reason: '' }],
    ['without a code', (socket) => socket.close(), { code: 1005, reason: '' }],
    ['without a close frame', (socket) => socket.terminate(), { code: 1006, reason: '' }],
  ]
  for (const [how, act, expected] of ends) {
    test(`${how} is told once to who holds it`, async () => {
      await using upstream = await wsUpstream()
      await using rig = testPool()
      const lease = await rig.pool.acquire(laneOf(upstream))
      const { ends, listener } = recorder()
      lease.listen(listener)
      act(upstream.sockets[0]!)
      await until(() => ends.length === 1)
      assert.deepEqual(ends, [{ ...expected, fault: null }])
      assert.deepEqual([lease.isOpen, lease.send('x', false)], [false, false])
      lease.return()
      assert.equal(ends.length, 1)
    })
  }

  for (const [code, seen] of [
    [1000, 1000],
    [4999, 4999],
    [1005, 1005],
    [1006, 1006],
    [1015, 1006],
    [1004, 1005],
    [999, 1005],
    [2000, 1005],
    [5000, 1005],
  ] as const) {
    test(`with ${code} is ${seen} for the upstream`, async () => {
      await using upstream = await wsUpstream()
      await using rig = testPool()
      const lease = await rig.pool.acquire(laneOf(upstream))
      const closed = new Promise((resolve) => upstream.sockets[0]!.once('close', resolve))
      lease.markBroken(code)
      assert.equal(await closed, seen)
    })
  }

  for (const [what, reason, length] of [
    ['fits', 'r'.repeat(123), 123],
    ['is too long', 'r'.repeat(124), 123],
    ['would end within a character', `r${'\u00e9'.repeat(100)}`, 123],
    ['would end within a longer one', '\u{1f600}'.repeat(100), 120],
  ] as const) {
    test(`carries of a reason that ${what} as much as a frame holds`, async () => {
      await using upstream = await wsUpstream()
      await using rig = testPool()
      const lease = await rig.pool.acquire(laneOf(upstream))
      const { promise: closed, resolve } = Promise.withResolvers<string>()
      upstream.sockets[0]!.once('close', (_code, said) => resolve(said.toString()))
      lease.markBroken(1008, reason)
      const said = await closed
      assert.equal(Buffer.byteLength(said), length)
      assert.ok(reason.startsWith(said))
    })
  }

  test('that comes before anybody listens is told after the messages before it', async () => {
    await using upstream = await wsUpstream({
      onSocket: (socket) => void socket.once('message', () => (socket.send('last words'), socket.close(1013))),
    })
    await using rig = testPool()
    const lease = await rig.pool.acquire(laneOf(upstream))
    lease.send('go', false)
    await until(() => rig.pool.stats().broken === 1)
    await until(() => upstream.open === 0)
    const { messages, ends, listener } = recorder()
    lease.listen(listener)
    await until(() => ends.length === 1)
    assert.deepEqual([messages[0]!.data.toString(), ends[0]!.code], ['last words', 1013])
  })

  test('is not told to who has given it back', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const lane = laneOf(upstream)
    const { ends, listener } = recorder()
    for (const give of ['return', 'markBroken'] as const) {
      const lease = await rig.pool.acquire(lane)
      lease.listen(listener)
      lease[give]()
    }
    for (const socket of upstream.sockets) socket.terminate()
    await until(() => upstream.open === 0 && rig.pool.stats().idle === 0)
    assert.equal(ends.length, 0)
  })
})
