import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, type Plugin, type SessionMessage } from 'postern/plugin'
import { until, wsUpstream, type UpstreamOptions } from '../conformance/websocket-upstream.ts'
import { gateway, type GatewayOptions } from '../harness.ts'
import { baseOf, connect, refusedUpgrade } from './websocket-client.fixture.ts'

async function scene(options: UpstreamOptions = {}, more: Partial<GatewayOptions> = {}) {
  const upstream = await wsUpstream(options)
  const gw = await gateway({
    plugins: ['openai', 'gemini'],
    upstreams: [
      { name: 'o', provider: 'openai', url: baseOf(upstream), key: 'sk-up' },
      { name: 'g', provider: 'gemini', url: baseOf(upstream), key: 'g-up' },
    ],
    ...more,
  })
  return {
    upstream,
    gw,
    async [Symbol.asyncDispose]() {
      await gw[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

const live = '/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent'

describe('a session', () => {
  test('passes messages both ways, and is one exchange', async () => {
    await using it = await scene()
    using client = await connect(`${it.gw.url}/v1/realtime?model=gpt-realtime`, {
      headers: { authorization: 'Bearer mine', 'openai-beta': 'realtime=v1' },
    })
    assert.equal(it.gw.sidecar.server.gateway.exchanges.length, 1)
    for (const message of ['{"type":"a"}', '{"type":"b"}']) {
      client.send(message)
      assert.deepEqual(await client.next(), JSON.parse(message))
    }
    const [asked] = it.upstream.requests
    assert.equal(asked!.url, '/v1/realtime?model=gpt-realtime')
    assert.equal(asked!.headers.authorization, 'Bearer sk-up')
    assert.equal(asked!.headers['openai-beta'], 'realtime=v1')
    client.ws.close(1000)
    await client.closed
    await until(() => it.gw.sidecar.server.gateway.exchanges.length === 0)
    const line = it.gw.records.find(({ message }) => message === 'exchange')!
    assert.deepEqual([line.status, line.model, line.operation, line.bytes_out], [101, 'gpt-realtime', 'realtime', 24])
  })

  test('adds up what its answers have used', async () => {
    const done = (usage: object) => `{"type":"response.done","response":{"usage":${JSON.stringify(usage)}}}`
    await using it = await scene()
    const reader = definePlugin({
      name: 'reader',
      config: { type: 'object', additionalProperties: false, properties: {} },
      mayRead: ['usage'],
      setup: () => ({}),
    })
    await it.gw.reload({
      plugins: ['openai', reader],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(it.upstream), key: 'k' }],
    })
    using client = await connect(`${it.gw.url}/v1/realtime`)
    for (const usage of [
      { input_tokens: 10, output_tokens: 2, input_token_details: { cached_tokens: 4 } },
      { input_tokens: 1, output_tokens: 1 },
    ]) {
      client.send(done(usage))
      await client.next()
    }
    client.ws.close()
    await until(() => it.gw.records.some(({ message }) => message === 'exchange'))
    const line = it.gw.records.find(({ message }) => message === 'exchange')!
    assert.deepEqual(line.usage, { input: 7, output: 3, cacheRead: 4, cacheWrite: 0 })
  })

  test('keeps a key that stands among the subprotocols from an upstream that has another', async () => {
    await using it = await scene({ handleProtocols: (offered) => [...offered][0]! })
    using _client = await connect(`${it.gw.url}/v1/realtime`, {
      protocols: ['realtime', 'openai-insecure-api-key.mine'],
    })
    assert.equal(it.upstream.requests[0]!.headers['sec-websocket-protocol'], 'realtime')
  })

  test('that is silent is no request that comes too slowly', async () => {
    await using it = await scene({}, { limits: { body_time: '50ms', head_time: '50ms', read_time: '50ms' } })
    using client = await connect(`${it.gw.url}/v1/realtime`)
    let isClosed = false
    void client.closed.then(() => (isClosed = true))
    const since = performance.now()
    // The server looks for slow ones twice a second.
    await until(() => performance.now() - since > 1200)
    assert.ok(!isClosed)
  })

  test('loses nothing that the upstream says at once', async () => {
    await using it = await scene({ onSocket: (socket) => socket.send('{"type":"session.created"}') })
    for (let at = 0; at < 20; at++) {
      using client = await connect(`${it.gw.url}/v1/realtime`)
      assert.equal((await client.next()).type, 'session.created')
    }
  })

  test('carries the subprotocol that the upstream has chosen', async () => {
    await using it = await scene({ handleProtocols: (offered) => [...offered].at(-1)! })
    using client = await connect(`${it.gw.url}/v1/realtime`, { protocols: ['a', 'realtime'] })
    assert.equal(client.ws.protocol, 'realtime')
  })

  for (const [code, reason] of [
    [1000, ''],
    [1001, 'bye'],
    [1011, 'oops'],
    [3000, 'ä'.repeat(60)],
    [4001, 'quota'],
  ] as const) {
    test(`carries close code ${code} to the other side`, async () => {
      await using it = await scene({
        onSocket: (socket) => void socket.on('message', () => socket.close(code, reason)),
      })
      using client = await connect(`${it.gw.url}/v1/realtime`)
      client.send('{}')
      assert.deepEqual(await client.closed, { code, reason })
      const ends: unknown[] = []
      await using back = await scene({
        onSocket: (socket) => void socket.on('close', (told, why) => ends.push({ code: told, reason: why.toString() })),
      })
      const leaving = await connect(`${back.gw.url}/v1/realtime`)
      leaving.ws.close(code, reason)
      await until(() => ends.length === 1)
      assert.deepEqual(ends, [{ code, reason }])
    })
  }

  test('ends where its upstream breaks off, and where its client does', async () => {
    await using it = await scene({ onSocket: (socket) => void socket.on('message', () => socket.terminate()) })
    using client = await connect(`${it.gw.url}/v1/realtime`)
    client.send('{}')
    assert.equal((await client.closed).code, 1006)
    using leaving = await connect(`${it.gw.url}/v1/realtime`)
    await until(() => it.upstream.open === 1)
    leaving.ws.terminate()
    await until(() => it.upstream.open === 0)
  })

  test('is refused, in plain HTTP, as its upstream refuses it', async () => {
    await using it = await scene({
      onUpgrade: () =>
        'HTTP/1.1 401 Who are you\r\ncontent-type: application/json\r\nx-told: yes\r\ncontent-length: 20\r\n\r\n{"error":{"m":"no"}}',
    })
    const refused = await refusedUpgrade(`${it.gw.url}/v1/realtime`)
    assert.equal(refused.status, 401)
    assert.equal(refused.headers['x-told'], 'yes')
    assert.equal(refused.body, '{"error":{"m":"no"}}')
  })

  test('goes to another upstream where the first cannot be reached', async () => {
    const gone = await wsUpstream()
    await gone[Symbol.asyncDispose]()
    await using it = await scene()
    await it.gw.reload({
      plugins: ['openai', 'failover'],
      upstreams: [
        { name: 'gone', provider: 'openai', url: baseOf(gone), key: 'k', priority: 1 },
        { name: 'o', provider: 'openai', url: baseOf(it.upstream), key: 'sk-up' },
      ],
    })
    using client = await connect(`${it.gw.url}/v1/realtime`)
    client.send('{"type":"hello"}')
    assert.equal((await client.next()).type, 'hello')
  })

  test('of Gemini Live goes to its upstream with the key in a header, and none in the query', async () => {
    await using it = await scene()
    using client = await connect(`${it.gw.url}${live}?key=mine`)
    client.send('{"setup":{}}')
    await client.next()
    assert.equal(it.upstream.requests[0]!.url, live)
    assert.equal(it.upstream.requests[0]!.headers['x-goog-api-key'], 'g-up')
  })

  test('is closed with 1001 on both sides when the drain ends', async () => {
    const ends: number[] = []
    await using it = await scene(
      { onSocket: (socket) => void socket.on('close', (code) => ends.push(code)) },
      { limits: { drain: '30ms' } },
    )
    using client = await connect(`${it.gw.url}/v1/realtime`)
    const stopped = it.gw.stop()
    assert.equal((await client.closed).code, 1001)
    await stopped
    assert.deepEqual(ends, [1001])
  })

  test('stays on its gateway when another takes over', async () => {
    await using it = await scene()
    using client = await connect(`${it.gw.url}/v1/realtime`)
    await it.gw.reload({ plugins: ['gemini'] })
    client.send('{"type":"still"}')
    assert.equal((await client.next()).type, 'still')
    assert.equal(it.gw.sidecar.retiring.size, 1)
    client.ws.close()
    await until(() => it.gw.sidecar.retiring.size === 0)
  })

  test('waits for a slow reader on either side', async () => {
    const message = Buffer.alloc(1024 * 1024, 'x')
    const count = 48
    await using it = await scene({
      onSocket(socket) {
        for (let at = 0; at < count; at++) socket.send(message)
      },
    })
    using client = await connect(`${it.gw.url}/v1/realtime`)
    client.ws.pause()
    const [upstream] = it.upstream.sockets
    let buffered = -1
    for (let quiet = 0; quiet < 20; quiet++) {
      if (upstream!.bufferedAmount !== buffered) quiet = 0
      buffered = upstream!.bufferedAmount
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.ok(buffered > (count / 2) * message.length, `${buffered} bytes wait where they came from`)
    client.ws.resume()
    await until(() => client.heard.length === count)
  })
})

describe('onMessage', () => {
  /** Joins under its own name. */
  const joining = (name: string, onMessage: (message: SessionMessage) => SessionMessage | null | void): Plugin =>
    definePlugin({
      name,
      config: { type: 'object', additionalProperties: false, properties: {} },
      setup: () => ({ onMessage: (_exchange, message) => onMessage(message) }),
    })

  test('sees both directions, in the order of the list and back, may replace and may drop', async () => {
    const seen: string[] = []
    const note = (name: string) =>
      joining(name, (message) => {
        seen.push(`${name} ${message.from} ${message.data.toString()}`)
        if (message.data.includes('drop')) return null
        if (name === 'upper' && message.from === 'client') return { ...message, data: Buffer.from('{"type":"other"}') }
        return undefined
      })
    await using it = await scene()
    await it.gw.reload({
      plugins: ['openai', note('upper'), note('lower')],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(it.upstream), key: 'k' }],
    })
    using client = await connect(`${it.gw.url}/v1/realtime`)
    client.send('{"drop":1}')
    client.send('{"type":"mine"}')
    assert.equal((await client.next()).type, 'other')
    assert.deepEqual(seen, [
      'upper client {"drop":1}',
      'upper client {"type":"mine"}',
      'lower client {"type":"other"}',
      'lower upstream {"type":"other"}',
      'upper upstream {"type":"other"}',
    ])
  })

  test('that throws ends the session', async () => {
    const angry = joining('angry', () => {
      throw new Error('no')
    })
    await using it = await scene()
    await it.gw.reload({
      plugins: ['openai', angry],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(it.upstream), key: 'k' }],
    })
    using client = await connect(`${it.gw.url}/v1/realtime`)
    client.send('{}')
    assert.deepEqual(await client.closed, { code: 1011, reason: 'a plugin failed' })
    await until(() => it.upstream.open === 0)
  })
})
