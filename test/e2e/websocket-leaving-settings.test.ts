/** Clients that leave where a WebSocket is on either side: what `on_disconnect` and its limits say of that. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { WebSocket } from 'ws'
import { until } from '../conformance/websocket-upstream.ts'
import { gateway } from '../harness.ts'
import * as it from './leaving.fixture.ts'
import { baseOf, connect, responsesUpstream, upstreamOf } from './websocket-client.fixture.ts'

const create = { type: 'response.create', model: 'gpt-5', input: 'hi' }
const delta = { type: 'response.output_text.delta', delta: 'a' }
const usage = { input_tokens: 120, output_tokens: 7 }
const completed = { type: 'response.completed', response: { id: 'r', status: 'completed', output: [], usage } }

/** Says nothing of itself: the test does. */
async function silentUpstream() {
  const says: ((event: object) => void)[] = []
  const sockets: WebSocket[] = []
  const upstream = await responsesUpstream((say, _body, socket) => {
    says.push(say)
    sockets.push(socket)
  })
  return Object.assign(upstream, { says, leased: sockets })
}

describe('a client of turns that leaves', () => {
  test('in mid-turn has its turn cut off where on_disconnect is abort', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await silentUpstream()
    await using gw = await gateway({
      plugins: [plugin, 'openai'],
      upstreams: [upstreamOf('o', upstream)],
      on_disconnect: 'abort',
    })
    const client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await until(() => upstream.says.length === 1)
    upstream.says[0]!(delta)
    await client.next()
    client.ws.terminate()
    await until(() => ends.length === 1 && upstream.open === 0)
    assert.equal(ends[0]!.usage?.input ?? 0, 0)
    assert.equal(it.linesOf(gw).at(-1)!.remainder, undefined)
  })

  for (const on_disconnect of ['drain', undefined])
    test(`in mid-turn has it read to its end where on_disconnect is ${on_disconnect}`, async () => {
      const { ends, plugin } = it.witness()
      await using upstream = await silentUpstream()
      await using gw = await gateway({
        plugins: [plugin, 'openai'],
        upstreams: [upstreamOf('o', upstream)],
        ...(on_disconnect && { on_disconnect }),
      })
      const client = await connect(`${gw.url}/v1/responses`)
      client.send(create)
      await until(() => upstream.says.length === 1)
      upstream.says[0]!(delta)
      await client.next()
      client.ws.terminate()
      await it.noticed(gw)
      upstream.says[0]!(completed)
      await until(() => ends.length === 1)
      assert.deepEqual([ends[0]!.error, ends[0]!.usage, ends[0]!.isAborted], ['ClientGone', it.used, false])
      const line = it.linesOf(gw).at(-1)!
      const { remainder, remainder_bytes: bytes, bytes_out: sent } = line
      assert.deepEqual(
        [remainder, bytes, sent],
        ['read to its end', JSON.stringify(completed).length, JSON.stringify(delta).length],
      )
    })

  test('in mid-turn has it cut off at the limits', async () => {
    for (const [limits, told] of [
      [{ remainder: '1KiB' }, 'cut off: limits.remainder'],
      [{ remainder_time: '20ms' }, 'cut off: limits.remainder_time'],
    ] as const) {
      const { ends, plugin } = it.witness()
      await using upstream = await silentUpstream()
      await using gw = await gateway({ plugins: [plugin, 'openai'], upstreams: [upstreamOf('o', upstream)], limits })
      const client = await connect(`${gw.url}/v1/responses`)
      client.send(create)
      await until(() => upstream.says.length === 1)
      upstream.says[0]!(delta)
      await client.next()
      client.ws.terminate()
      await it.noticed(gw)
      upstream.says[0]!({ ...delta, delta: 'x'.repeat('remainder' in limits ? 2000 : 1) })
      await until(() => ends.length === 1 && upstream.open === 0)
      assert.equal(it.linesOf(gw).at(-1)!.remainder, told)
    }
  })

  test('before its turn is answered has it waited for, where on_disconnect is drain', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await silentUpstream()
    await using gw = await gateway({
      plugins: [plugin, 'failover', 'openai'],
      upstreams: [upstreamOf('o', upstream)],
      on_disconnect: 'drain',
    })
    const client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await until(() => upstream.says.length === 1)
    client.ws.terminate()
    await it.noticed(gw)
    upstream.says[0]!(delta)
    upstream.says[0]!(completed)
    await until(() => ends.length === 1)
    assert.deepEqual([ends[0]!.usage, ends[0]!.events.length], [it.used, 2])
    assert.equal(it.linesOf(gw).at(-1)!.bytes_out, 0)
    await until(() => upstream.open === 0)
  })

  test('before its turn is refused by HTTP has nothing read on', async () => {
    const { ends, plugin } = it.witness()
    await using upstream = await it.paced()
    await using gw = await gateway({
      plugins: [plugin, 'openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, websocket: false }],
      on_disconnect: 'drain',
    })
    const client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await until(() => upstream.answers.length === 1)
    client.ws.terminate()
    await it.noticed(gw)
    upstream.answers[0]!.writeHead(429, { 'content-type': 'application/json' }).end('{"error":{}}')
    await until(() => ends.length === 1)
    assert.equal(it.linesOf(gw).at(-1)!.remainder, 'nothing to learn from')
  })
})

describe('a client by HTTP whose upstream is asked over WebSocket', () => {
  const always = async (isStream: boolean) => {
    const { ends, plugin } = it.witness()
    const upstream = await silentUpstream()
    const gw = await gateway({
      plugins: [plugin, 'failover', 'openai'],
      upstreams: [{ ...upstreamOf('o', upstream), url: baseOf(upstream), websocket: 'always' }],
      on_disconnect: 'drain',
    })
    const client = it.call(gw.url, { model: 'gpt-5', input: 'hi', stream: isStream }, '/v1/responses')
    await until(() => upstream.says.length === 1)
    return {
      ends,
      upstream,
      gw,
      client,
      async [Symbol.asyncDispose]() {
        await gw[Symbol.asyncDispose]()
        await upstream[Symbol.asyncDispose]()
      },
    }
  }

  test('leaves its stream, and that is read to its end; the connection serves nobody afterwards', async () => {
    await using scene = await always(true)
    const { ends, upstream, gw, client } = scene
    upstream.says[0]!(delta)
    await it.leaveInMidst(client)
    await it.noticed(gw)
    upstream.says[0]!(delta)
    upstream.says[0]!(completed)
    await until(() => ends.length === 1)
    assert.deepEqual([ends[0]!.usage, ends[0]!.events.length], [it.used, 3])
    assert.equal(it.linesOf(gw)[0]!.remainder, 'read to its end')
    await until(() => upstream.open === 0)
  })

  for (const isStream of [true, false])
    test(`leaves before its ${isStream ? 'stream' : 'document'} has begun, and that is waited for`, async () => {
      await using scene = await always(isStream)
      const { ends, upstream, gw, client } = scene
      client.leave()
      await it.noticed(gw)
      upstream.says[0]!(delta)
      upstream.says[0]!(completed)
      await until(() => ends.length === 1)
      assert.deepEqual([ends[0]!.usage, ends[0]!.events.length], [it.used, isStream ? 2 : 1])
      assert.equal(it.linesOf(gw)[0]!.remainder, 'read to its end')
      await until(() => upstream.open === 0)
    })

  test('leaves, and a connection that is lost then is not replaced by another', async () => {
    await using scene = await always(true)
    const { ends, upstream, gw, client } = scene
    // A second turn on the connection, which may have been closed unnoticed: that would be asked again.
    upstream.says[0]!(delta)
    upstream.says[0]!(completed)
    for await (const _ of await client.head);
    await until(() => ends.length === 1)
    const second = it.call(gw.url, { model: 'gpt-5', input: 'hi', stream: true }, '/v1/responses')
    await until(() => upstream.says.length === 2)
    assert.equal(upstream.requests.length, 1)
    second.leave()
    await it.noticed(gw)
    upstream.leased[1]!.terminate()
    await until(() => ends.length === 2)
    assert.equal(upstream.asked.length, 2)
    assert.equal(upstream.requests.length, 1)
    assert.equal(it.linesOf(gw)[1]!.remainder, 'nothing to learn from')
  })
})
