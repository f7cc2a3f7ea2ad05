/** What else goes on while the answer of a client that has left is read on: slots, reloads, shutdowns, health. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../conformance/websocket-upstream.ts'
import * as it from './leaving.fixture.ts'

const upstreams = (url: string) => [{ name: 'o', provider: 'openai', url, slots: 1 }]

describe('the slot of a client that has left', () => {
  test('is held while its answer is read on, and freed with its end', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin, 'concurrency'], {
      on_disconnect: 'drain',
      upstreams: upstreams(upstream.url),
    })
    await it.leaveInMidst(it.call(gw.url))
    await it.noticed(gw)
    const second = it.call(gw.url)
    const { exchanges } = gw.sidecar.server.gateway
    await until(() => exchanges.some(({ hook, isPending }) => isPending && hook?.plugin === 'concurrency'))
    assert.equal(upstream.asked.length, 1)
    upstream.answers[0]!.end(it.lastChunks)
    await second.head
    upstream.answers[1]!.end(it.lastChunks)
    await until(() => ends.length === 2)
    assert.deepEqual(
      ends.map(({ error, usage }) => [error, usage]),
      [
        ['ClientGone', it.used],
        ['', it.used],
      ],
    )
    second.leave()
  })

  test('is freed at a limit too', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin, 'concurrency'], {
      on_disconnect: 'drain',
      limits: { remainder_time: '20ms' },
      upstreams: upstreams(upstream.url),
    })
    await it.leaveInMidst(it.call(gw.url))
    const second = it.call(gw.url)
    await second.head
    assert.equal(ends.length, 1)
    upstream.answers[1]!.end(it.lastChunks)
    await until(() => ends.length === 2)
    second.leave()
  })
})

describe('a gateway that reads on', () => {
  test('says so in /healthz and stays, when a reload has retired it, until that has ended', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin])
    await it.leaveInMidst(it.call(gw.url))
    await it.noticed(gw)
    const next = {
      plugins: [plugin, 'openai'],
      upstreams: [{ name: 'p', provider: 'openai', url: upstream.url }],
      on_disconnect: 'abort',
    }
    assert.deepEqual(await gw.reload(next), [])
    const health = await (await fetch(`${gw.adminUrl}/healthz`)).text()
    assert.ok(health.includes('"the rest of the answer of o, whose client has left"'), health)
    assert.equal(ends.length, 0)
    upstream.answers[0]!.end(it.lastChunks)
    await until(() => gw.sidecar.retiring.size === 0)
    assert.deepEqual(ends[0]!.usage, it.used)
  })

  test('reads to the end in a shutdown, if that comes before the deadline', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin])
    await it.leaveInMidst(it.call(gw.url))
    await it.noticed(gw)
    const stopped = gw.stop()
    await until(() => gw.sidecar.server.isDraining)
    upstream.answers[0]!.end(it.lastChunks)
    await stopped
    assert.deepEqual([ends[0]!.usage, it.linesOf(gw)[0]!.remainder], [it.used, 'read to its end'])
  })

  test('cuts it off at the deadline of a shutdown', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin], { on_disconnect: 'drain', limits: { drain: '50ms' } })
    await it.leaveInMidst(it.call(gw.url))
    await it.noticed(gw)
    await gw.stop()
    assert.equal(ends.length, 1)
    assert.equal(it.linesOf(gw)[0]!.remainder, 'broke off: DRAIN_ENDED')
    await until(() => upstream.left === 1)
  })

  test('leaves nothing behind of fifty clients that leave at different moments', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced((answer) => {
      it.beginStream(answer)
      let written = 0
      const timer = setInterval(() => {
        answer.write(it.chunk('more'))
        if (++written < 20) return
        clearInterval(timer)
        answer.end(it.lastChunks)
      }, 1)
    })
    await using gw = await it.before(upstream.url, [plugin])
    const clients = Array.from({ length: 50 }, () => it.call(gw.url))
    await Promise.all(
      clients.map(async (client, at) => {
        let events = 0
        for await (const _ of await client.head) if (++events > at % 10) break
        client.leave()
      }),
    )
    await until(() => ends.length === 50)
    assert.deepEqual(
      ends.map(({ usage }) => usage),
      Array.from({ length: 50 }, () => it.used),
    )
    assert.equal(gw.sidecar.server.gateway.exchanges.length, 0)
    assert.equal(upstream.left, 0)
  })
})
