import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { wsUpstream } from '../conformance/websocket-upstream.ts'
import { fakeUpstream, json, stream } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'
import { answered, asStream, baseOf, connect, responsesUpstream, type Event } from './websocket-client.fixture.ts'

const create = { type: 'response.create', model: 'gpt-5', input: 'hi' }
const events: Event[] = [
  { type: 'response.created', response: { id: 'resp_s' } },
  { type: 'response.output_text.delta', delta: 'héllo ✓' },
  { type: 'response.completed', response: { id: 'resp_s', usage: { input_tokens: 1, output_tokens: 2 } } },
]

describe('a turn', () => {
  test('is answered by an upstream that speaks WebSocket', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'sk-up' }],
    })
    using client = await connect(`${gw.url}/v1/responses`, { headers: { authorization: 'Bearer mine' } })
    const sent = Buffer.from('{ "type":"response.create", "model" : "gpt-5","input":"hi" }')
    client.ws.send(sent, { binary: false })
    const heard = await client.until('response.completed')
    assert.deepEqual(
      heard.map(({ type }) => type),
      ['response.created', 'response.output_text.delta', 'response.completed'],
    )
    assert.ok(upstream.asked[0]!.data.equals(sent), 'the message arrives as it was sent')
    assert.equal(upstream.requests[0]!.headers.authorization, 'Bearer sk-up')
    assert.equal(upstream.requests[0]!.url, '/v1/responses')
    client.send(create)
    await client.until('response.completed')
    assert.equal(upstream.requests.length, 1, 'the connection serves the next turn')
  })

  test('is answered by an upstream that has HTTP alone', async () => {
    await using upstream = await fakeUpstream(stream(asStream(events), 7))
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'sk-up', websocket: false }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    assert.deepEqual(await client.until('response.completed'), events)
    const [asked] = upstream.asked
    assert.equal(`${asked!.method} ${asked!.url}`, 'POST /v1/responses')
    assert.deepEqual(JSON.parse(asked!.body.toString()), { model: 'gpt-5', input: 'hi', stream: true })
    assert.equal(asked!.headers.authorization, 'Bearer sk-up')
    assert.ok(!Object.keys(asked!.headers).some((name) => name.startsWith('sec-websocket')))
    client.send(create)
    assert.deepEqual(await client.until('response.completed'), events)
  })

  test('has its events passed on in the very bytes that came', async () => {
    const spelt = ['{ "type":"response.output_text.delta","n":1.0 }', '{"type" :"response.completed","response":{}}']
    await using upstream = await wsUpstream({
      onSocket: (socket) => void socket.on('message', () => spelt.forEach((event) => socket.send(event))),
    })
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [upstreamAt(upstream)] })
    using client = await connect(`${gw.url}/v1/responses`, { perMessageDeflate: true })
    client.ws.send(Buffer.from(JSON.stringify(create)), { binary: true })
    await client.until('response.completed')
    assert.deepEqual(client.heard.map(String), spelt)
    assert.equal(client.ws.extensions, '', 'nothing is compressed unless it is asked for')
  })

  test('waits for a client that reads slowly', async () => {
    const delta = JSON.stringify({ type: 'response.output_text.delta', delta: 'x'.repeat(2 ** 20) })
    const count = 48
    await using upstream = await wsUpstream({
      onSocket: (socket) =>
        void socket.on('message', () => {
          for (let at = 0; at < count; at++) socket.send(delta)
          socket.send('{"type":"response.completed"}')
        }),
    })
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [upstreamAt(upstream)] })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.next()
    client.ws.pause()
    const [socket] = upstream.sockets
    let buffered = -1
    for (let quiet = 0; quiet < 20; quiet++) {
      if (socket!.bufferedAmount !== buffered) quiet = 0
      buffered = socket!.bufferedAmount
      await sleep(5)
    }
    assert.ok(buffered > (count / 3) * delta.length, `${buffered} bytes wait where they came from`)
    client.ws.resume()
    await client.until('response.completed')
    assert.equal(client.heard.length, count + 1)
  })

  test('of another client finds the connection open', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({ plugins: ['openai'], upstreams: [upstreamAt(upstream)] })
    for (let at = 0; at < 3; at++) {
      using client = await connect(`${gw.url}/v1/responses`, {
        headers: { 'user-agent': 'sdk', 'x-request-id': `${at}` },
      })
      client.send(create)
      await client.until('response.completed')
    }
    assert.equal(upstream.requests.length, 1)
    assert.equal(upstream.requests[0]!.headers['x-request-id'], undefined, 'what is one request’s is no connection’s')
  })

  test('of a client with a key or a session of its own has a connection of its own', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream) }],
    })
    for (const headers of [
      { authorization: 'Bearer one' },
      { authorization: 'Bearer two' },
      { authorization: 'Bearer two', session_id: 's1' },
      { authorization: 'Bearer two', session_id: 's2' },
    ] as Record<string, string>[]) {
      using client = await connect(`${gw.url}/v1/responses`, { headers })
      for (let turn = 0; turn < 2; turn++) {
        client.send(create)
        await client.until('response.completed')
      }
      const asked = upstream.requests.at(-1)!.headers
      assert.equal(asked.authorization, headers.authorization)
      assert.equal(asked.session_id, headers.session_id)
    }
    assert.equal(upstream.requests.length, 4)
  })

  test('sends back what its upstream has said in the handshake before', async () => {
    await using upstream = await responsesUpstream(answered, { headers: ['x-codex-turn-state: s-1'] })
    await using gw = await gateway({ plugins: ['openai'], upstreams: [upstreamAt(upstream)] })
    using client = await connect(`${gw.url}/v1/responses`)
    for (let turn = 0; turn < 3; turn++) {
      client.send(create)
      await client.until('response.completed')
    }
    assert.deepEqual(
      upstream.requests.map(({ headers }) => headers['x-codex-turn-state']),
      [undefined, 's-1'],
    )
  })

  test('tells its upstream what Codex says of it in a header', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({ plugins: ['openai'], upstreams: [upstreamAt(upstream)] })
    using client = await connect(`${gw.url}/v1/responses`, { headers: { 'x-codex-turn-metadata': '{"a":1}' } })
    client.send('{"model":"m","client_metadata":{"b":"2"},"type":"response.create"}')
    await client.until('response.completed')
    assert.equal(
      upstream.asked[0]!.data.toString(),
      '{"model":"m","client_metadata":{"b":"2","x-codex-turn-metadata":"{\\"a\\":1}"},"type":"response.create"}',
    )
  })

  test('whose upstream says nothing is asked of another, and one that falls silent ends', async () => {
    await using silent = await responsesUpstream(() => {})
    await using halting = await responsesUpstream((say) => say({ type: 'response.output_text.delta' }))
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      timeouts: { first_event: '300ms', idle: '300ms' },
      upstreams: [
        { ...upstreamAt(silent), name: 'silent', priority: 1 },
        { ...upstreamAt(halting), name: 'halting' },
      ],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    assert.equal((await client.next()).type, 'response.output_text.delta')
    assert.equal((await client.next()).status, 504)
    assert.equal((await client.closed).code, 1011)
  })

  test('by HTTP that is answered without a stream says so', async () => {
    await using upstream = await fakeUpstream(json(200, { object: 'response', output: [] }))
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, websocket: false }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    assert.equal((await client.next()).status, 502)
  })
})

const upstreamAt = (upstream: { url: URL }) => ({ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' })
