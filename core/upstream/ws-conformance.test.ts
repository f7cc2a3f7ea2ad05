import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { websocketCases } from '../../test/conformance/websocket-cases.ts'
import { type Peer, peerServer } from '../../test/conformance/websocket-peer.ts'
import { play } from '../../test/conformance/websocket-runner.ts'
import { laneOf, testPool, until } from '../../test/conformance/websocket-upstream.ts'

const limit = 1024 * 1024

describe('a pooled connection that echoes, at an upstream that shares no code with it,', () => {
  for (const one of websocketCases(limit)) {
    test(`bears ${one.name}`, async () => {
      const { promise: connected, resolve } = Promise.withResolvers<Peer>()
      await using upstream = await peerServer(resolve)
      await using rig = testPool({ maxPayload: limit, closeTimeout: 1_000 })
      const lease = await rig.pool.acquire(laneOf(upstream))
      let isClosed = false
      let most = 0
      lease.listen({
        onMessage(data, isBinary) {
          if (!lease.send(data, isBinary)) lease.pause()
          most = Math.max(most, lease.buffered)
        },
        onDrain: () => lease.resume(),
        onClose: () => (isClosed = true),
      })
      await play(await connected, one)
      await until(() => isClosed)
      lease.return()
      assert.equal(rig.pool.stats().broken, 1)
      // What is under way, one chunk that was read before the pause, and one message.
      assert.ok(most <= 3 * limit, `${most} bytes waited to be written`)
    })
  }
})
