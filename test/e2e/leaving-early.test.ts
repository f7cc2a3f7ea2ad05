/** A client that leaves before the first byte of its answer. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, retry, type Hooks } from 'postern/plugin'
import { until } from '../conformance/websocket-upstream.ts'
import * as it from './leaving.fixture.ts'

const document = { model: 'm' }
const json = { 'content-type': 'application/json' }

const plugin = (hooks: Hooks) =>
  definePlugin({
    name: 'patient',
    config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
    setup: () => hooks,
  })

describe('a client that leaves', () => {
  test('a document in its midst has it read to its end', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced((answer) => {
      answer.writeHead(200, { ...json, 'content-length': it.completion.length })
      answer.write(it.completion.slice(0, 20))
    })
    await using gw = await it.before(upstream.url, [plugin])
    await it.leaveInMidst(it.call(gw.url, document))
    await it.noticed(gw)
    upstream.answers[0]!.end(it.completion.slice(20))
    await until(() => ends.length === 1)
    const { events, usage, heads } = ends[0]!
    assert.deepEqual({ events, usage, heads }, { events: [it.completion], usage: it.used, heads: [200] })
    assert.equal(it.linesOf(gw)[0]!.remainder, 'read to its end')
  })

  for (const policies of [[], ['failover']])
    for (const isStream of [true, false])
      test(`before a ${isStream ? 'stream' : 'document'} has begun has it waited for${policies.length > 0 ? ', also where it is held' : ''}`, async () => {
        const { ends, plugin } = it.witness()
        await using upstream = await it.paced()
        await using gw = await it.before(upstream.url, [plugin, ...policies])
        const client = it.call(gw.url, { ...document, stream: isStream })
        await until(() => upstream.answers.length === 1)
        client.leave()
        await it.noticed(gw)
        const [answer] = upstream.answers
        answer!.writeHead(200, isStream ? { 'content-type': 'text/event-stream' } : json)
        answer!.end(isStream ? it.chunk('Hi') + it.lastChunks : it.completion)
        await until(() => ends.length === 1)
        const { usage, heads, status, error } = ends[0]!
        // The head was shown to plugins, and told to nobody.
        assert.deepEqual(
          { usage, heads, status, error },
          { usage: it.used, heads: [200], status: 0, error: 'ClientGone' },
        )
        const [line] = it.linesOf(gw)
        assert.deepEqual([line!.remainder, line!.bytes_out], ['read to its end', 0])
      })

  test('before the first byte is missed by the upstream at once where that is not asked for', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced()
    await using gw = await it.before(upstream.url, [plugin], {})
    const client = it.call(gw.url, document)
    await until(() => upstream.answers.length === 1)
    client.leave()
    await until(() => upstream.left === 1 && ends.length === 1)
  })

  test('before the first byte is missed by the upstream at once where nobody listens', async () => {
    const { ends, plugin } = it.witness(false)
    await using upstream = await it.paced()
    await using gw = await it.before(upstream.url, [plugin])
    const client = it.call(gw.url, document)
    await until(() => upstream.answers.length === 1)
    client.leave()
    await until(() => upstream.left === 1 && ends.length === 1)
    assert.equal(it.linesOf(gw)[0]!.remainder, undefined)
  })

  test('before the first byte is not waited for longer than limits.remainder_time', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced()
    await using gw = await it.before(upstream.url, [plugin], {
      on_disconnect: 'drain',
      limits: { remainder_time: '20ms' },
    })
    const client = it.call(gw.url, document)
    await until(() => upstream.answers.length === 1)
    client.leave()
    await until(() => upstream.left === 1 && ends.length === 1)
    assert.equal(it.linesOf(gw)[0]!.remainder, 'cut off: limits.remainder_time')
  })

  test('before an error has nothing read on, and no other upstream is asked', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced()
    await using other = await it.paced()
    await using gw = await it.before(upstream.url, [plugin, 'failover'], {
      on_disconnect: 'drain',
      upstreams: [
        { name: 'a', provider: 'openai', url: upstream.url, priority: 1 },
        { name: 'b', provider: 'openai', url: other.url, priority: 2 },
      ],
    })
    const client = it.call(gw.url, document)
    await until(() => upstream.answers.length === 1)
    client.leave()
    await it.noticed(gw)
    upstream.answers[0]!.writeHead(500, json).end('{"error":{"message":"no"}}')
    await until(() => ends.length === 1)
    assert.equal(other.asked.length, 0)
    assert.deepEqual([ends[0]!.error, ends[0]!.heads, ends[0]!.status], ['ClientGone', [], 0])
    assert.equal(it.linesOf(gw)[0]!.remainder, 'nothing to learn from')
    assert.equal(it.linesOf(gw)[0]!.attempts, 1)
  })

  test('has no attempt made for it, whatever a plugin wants', async () => {
    const { ends, plugin: ear } = it.witness()
    await using upstream = await it.paced()
    const stubborn = plugin({ onUpstreamResult: () => retry() })
    await using gw = await it.before(upstream.url, [ear, stubborn])
    const client = it.call(gw.url, document)
    await until(() => upstream.answers.length === 1)
    client.leave()
    await it.noticed(gw)
    upstream.answers[0]!.writeHead(500, json).end('{}')
    await until(() => ends.length === 1)
    assert.equal(upstream.asked.length, 1)
  })

  test('between two attempts has the kept answer cut off, and nothing read on', async () => {
    const { ends, plugin: ear } = it.witness()
    await using upstream = await it.paced((answer) => {
      answer.writeHead(500, json)
      // More than is held of an answer that nobody has taken.
      answer.write(Buffer.alloc(2 ** 22, 0x20))
    })
    await using gw = await it.before(upstream.url, [ear, plugin({ onUpstreamResult: () => retry({ after: 60_000 }) })])
    const client = it.call(gw.url, document)
    await until(() => gw.sidecar.server.gateway.exchanges[0]?.failures.length === 1)
    client.leave()
    await until(() => upstream.left === 1 && ends.length === 1)
    assert.equal(it.linesOf(gw)[0]!.remainder, undefined)
  })

  test('before anything was sent has nothing sent', async () => {
    const { ends, plugin: ear } = it.witness()
    const gate = Promise.withResolvers<void>()
    let isWaiting = false
    const waits = plugin({
      onUpstreamRequest: async () => {
        isWaiting = true
        await gate.promise
      },
    })
    await using upstream = await it.paced()
    await using gw = await it.before(upstream.url, [ear, waits])
    const client = it.call(gw.url, document)
    await until(() => isWaiting)
    client.leave()
    await it.noticed(gw)
    gate.resolve()
    await until(() => ends.length === 1)
    assert.equal(upstream.asked.length, 0)
    assert.ok(ends[0]!.isAborted)
  })

  test('having been told to go on waiting has its stream read, with one head', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced()
    await using gw = await it.before(upstream.url, [plugin], {
      on_disconnect: 'drain',
      timeouts: { heartbeat: '250ms' },
    })
    await it.leaveInMidst(it.call(gw.url))
    await it.noticed(gw)
    upstream.answers[0]!.writeHead(200, { 'content-type': 'text/event-stream' }).end(it.lastChunks)
    await until(() => ends.length === 1)
    assert.deepEqual([ends[0]!.usage, ends[0]!.heads], [it.used, [200]])
  })
})
