/** A client that leaves: what is read on of its answer, how far, and what is told of it. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { until } from '../test/conformance/websocket-upstream.ts'
import * as it from '../test/e2e/leaving.fixture.ts'

describe('a client that leaves a stream', () => {
  test('has it read to its end where on_disconnect is drain: its events are seen, its usage is learned', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin])
    await it.leaveInMidst(it.call(gw.url))
    await it.noticed(gw)
    upstream.answers[0]!.write(it.chunk('more'))
    upstream.answers[0]!.end(it.lastChunks)
    await until(() => ends.length === 1)
    const { events, ...end } = ends[0]!
    assert.deepEqual(end, { error: 'ClientGone', usage: it.used, status: 200, heads: [200], isAborted: false })
    assert.deepEqual(
      events.map((data) => `data: ${data}\n\n`).join(''),
      it.chunk('Hi') + it.chunk('more') + it.lastChunks,
    )
    const [line] = it.linesOf(gw)
    const { error, remainder, remainder_bytes: bytes, bytes_out: sent, usage } = line!
    assert.deepEqual(
      { error, remainder, bytes, sent, usage },
      {
        error: 'CLIENT_GONE',
        remainder: 'read to its end',
        bytes: it.chunk('more').length + it.lastChunks.length,
        sent: it.chunk('Hi').length,
        usage: it.used,
      },
    )
    assert.equal(upstream.left, 0)
  })

  test('leaves a connection to the upstream that serves the next one', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin])
    for (const at of [0, 1]) {
      await it.leaveInMidst(it.call(gw.url))
      await it.noticed(gw)
      upstream.answers[at]!.end(it.lastChunks)
      await until(() => ends.length === at + 1)
    }
    assert.equal(await upstream.connections(), 1)
  })

  for (const more of [{ on_disconnect: 'abort' }, {}])
    test(`is missed by the upstream at once with ${JSON.stringify(more)}`, async () => {
      const { ends, plugin } = it.witness()
      await using upstream = await it.paced(it.beginStream)
      await using gw = await it.before(upstream.url, [plugin], more)
      await it.leaveInMidst(it.call(gw.url))
      await until(() => upstream.left === 1 && ends.length === 1)
      assert.equal(ends[0]!.usage?.input ?? 0, 0)
      assert.ok(ends[0]!.isAborted)
      const [line] = it.linesOf(gw)
      assert.deepEqual([line!.error, line!.remainder, line!.remainder_bytes], ['CLIENT_GONE', undefined, undefined])
    })

  test('that it had stopped reading has all of it read, and nothing of it waits in memory', async () => {
    const { ends, plugin } = it.witness()
    const pieces = 4000
    await using upstream = await it.paced((answer) => {
      it.beginStream(answer)
      // About 16 MiB: more than all sockets on the way hold.
      const event = it.chunk('x'.repeat(4096))
      let written = 0
      const write = () => {
        while (written++ < pieces) if (!answer.write(event)) return void answer.once('drain', write)
        answer.end(it.lastChunks)
      }
      write()
    })
    await using gw = await it.before(upstream.url, [plugin])
    const client = it.call(gw.url)
    await client.head
    await until(() => gw.sidecar.server.gateway.exchanges[0]?.response.writableNeedDrain === true)
    const [exchange] = gw.sidecar.server.gateway.exchanges
    client.leave()
    await until(() => ends.length === 1)
    assert.deepEqual(ends[0]!.usage, it.used)
    assert.equal(ends[0]!.events.length, pieces + 3)
    assert.ok(exchange!.remainder!.bytes > 2 ** 23)
    assert.equal(exchange!.response.writableLength, 0)
  })

  test('has it cut off after limits.remainder', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced((answer) => {
      it.beginStream(answer)
      const timer = setInterval(() => answer.write(it.chunk('x'.repeat(1000))), 1)
      answer.on('close', () => clearInterval(timer))
    })
    await using gw = await it.before(upstream.url, [plugin], {
      on_disconnect: 'drain',
      limits: { remainder: '20KiB' },
    })
    await it.leaveInMidst(it.call(gw.url))
    await until(() => upstream.left === 1 && ends.length === 1)
    const [line] = it.linesOf(gw)
    assert.equal(line!.remainder, 'cut off: limits.remainder')
    assert.ok(Number(line!.remainder_bytes) > 20 * 1024)
    assert.ok(ends[0]!.isAborted)
  })

  test('has it cut off after limits.remainder_time', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin], {
      on_disconnect: 'drain',
      limits: { remainder_time: '20ms' },
    })
    await it.leaveInMidst(it.call(gw.url))
    await until(() => upstream.left === 1 && ends.length === 1)
    const [line] = it.linesOf(gw)
    assert.deepEqual([line!.remainder, line!.error], ['cut off: limits.remainder_time', 'CLIENT_GONE'])
  })

  test('has it end where the upstream breaks off', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin])
    await it.leaveInMidst(it.call(gw.url))
    await it.noticed(gw)
    upstream.answers[0]!.destroy()
    await until(() => ends.length === 1)
    const [line] = it.linesOf(gw)
    assert.match(String(line!.remainder), /^broke off: [A-Z_]+$/)
    assert.equal(line!.error, 'CLIENT_GONE')
  })

  test('has it end where timeouts.total does', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin], { on_disconnect: 'drain', timeouts: { total: '300ms' } })
    await it.leaveInMidst(it.call(gw.url))
    await until(() => upstream.left === 1 && ends.length === 1)
    assert.equal(it.linesOf(gw)[0]!.remainder, 'broke off: TIMEOUT')
  })

  test('has it end where a plugin fails at it', async () => {
    const { ends, plugin } = it.witness()
    const editor = definePlugin({
      name: 'editor',
      config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
      setup: () => ({
        editEvent(_exchange, data) {
          if (data.includes('bad')) throw new Error('I cannot')
          return data
        },
      }),
    })
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin, editor])
    await it.leaveInMidst(it.call(gw.url))
    await it.noticed(gw)
    upstream.answers[0]!.write(it.chunk('bad'))
    await until(() => upstream.left === 1 && ends.length === 1)
    assert.match(String(it.linesOf(gw)[0]!.remainder), /^broke off: /)
    assert.ok(gw.records.some(({ level, message }) => level === 'error' && message.includes('editor')))
  })

  test('is not read on for where nobody listens', async () => {
    const { ends, plugin } = it.witness(false)
    await using upstream = await it.paced(it.beginStream)
    await using gw = await it.before(upstream.url, [plugin])
    await it.leaveInMidst(it.call(gw.url))
    await until(() => upstream.left === 1 && ends.length === 1)
    assert.equal(it.linesOf(gw)[0]!.remainder, undefined)
  })

  test('when the upstream has told all of it has nothing read twice', async () => {
    const { ends, plugin } = it.witness()
    const editor = definePlugin({
      name: 'editor',
      config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
      // More than all sockets on the way hold.
      setup: () => ({ editEvent: () => Buffer.alloc(2 ** 24, 0x20) }),
    })
    await using upstream = await it.paced((answer) => {
      answer.writeHead(200, { 'content-type': 'application/json' }).end(it.completion)
    })
    await using gw = await it.before(upstream.url, [plugin, editor])
    const client = it.call(gw.url, { model: 'm' })
    await client.head
    client.leave()
    await until(() => ends.length === 1)
    assert.deepEqual([ends[0]!.error, ends[0]!.usage, ends[0]!.events], ['ClientGone', it.used, [it.completion]])
    assert.equal(it.linesOf(gw)[0]!.remainder, undefined)
  })

  test('is not read on for where the bytes cannot be understood', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced((answer) => {
      answer.writeHead(200, { 'content-type': 'audio/mpeg' })
      answer.write('ID3')
    })
    await using gw = await it.before(upstream.url, [plugin])
    await it.leaveInMidst(it.call(gw.url))
    await until(() => upstream.left === 1 && ends.length === 1)
    assert.equal(it.linesOf(gw)[0]!.remainder, undefined)
  })
})
