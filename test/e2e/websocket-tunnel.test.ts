import assert from 'node:assert/strict'
import { createConnection } from 'node:net'
import { describe, test } from 'node:test'
import { definePlugin, refuse } from 'postern/plugin'
import { opcodes, writeFrame } from '../conformance/websocket-frames.ts'
import { until, wsUpstream } from '../conformance/websocket-upstream.ts'
import { gateway } from '../harness.ts'
import { baseOf, connect, refusedUpgrade } from './websocket-client.fixture.ts'

const closedDoor = definePlugin({
  name: 'closed-door',
  config: { type: 'object', additionalProperties: false, properties: {} },
  setup: () => ({
    onRequest: ({ headers }) => (headers['x-open'] ? undefined : refuse(403, 'CLOSED', 'not today')),
  }),
})

describe('a tunnel', () => {
  test('is made for an upgrade of any other path, with the upstream’s credential in place of the client’s', async () => {
    await using upstream = await wsUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: `${baseOf(upstream)}/api`, key: 'sk-up' }],
    })
    using client = await connect(`${gw.url}/v1/listen?x=1`, { headers: { authorization: 'Bearer mine', te: 'x' } })
    for (let at = 0; at < 3; at++) {
      client.send(`{"type":"${at}"}`)
      assert.equal((await client.next()).type, String(at))
    }
    const { url, headers } = upstream.requests[0]!
    assert.equal(url, '/api/listen?x=1')
    assert.equal(headers.authorization, 'Bearer sk-up')
    assert.equal(headers.host, upstream.url.host)
    assert.equal(headers.te, undefined)
    assert.equal(gw.sidecar.server.gateway.exchanges.length, 1)
    client.ws.close(4000, 'bye')
    assert.equal((await client.closed).code, 4000)
    await until(() => gw.sidecar.server.gateway.exchanges.length === 0)
    const line = gw.records.find(({ message }) => message === 'exchange')!
    assert.deepEqual([line.status, line.upstream], [101, 'o'])
  })

  test('is refused by a plugin before anybody is asked', async () => {
    await using upstream = await wsUpstream()
    await using gw = await gateway({
      plugins: [closedDoor, 'openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    const refused = await refusedUpgrade(`${gw.url}/v1/listen`)
    assert.equal(refused.status, 403)
    assert.equal(upstream.requests.length, 0)
  })

  test('is refused as its upstream refuses it', async () => {
    await using upstream = await wsUpstream({
      onUpgrade: () => 'HTTP/1.1 418 Teapot\r\nx-told: yes\r\ncontent-length: 2\r\n\r\nno',
    })
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    const refused = await refusedUpgrade(`${gw.url}/v1/listen`)
    assert.deepEqual([refused.status, refused.headers['x-told'], refused.body], [418, 'yes', 'no'])
  })

  test('goes to another upstream where the first cannot be reached, and says so where none can', async () => {
    const gone = await wsUpstream()
    await gone[Symbol.asyncDispose]()
    await using upstream = await wsUpstream()
    const first = { name: 'gone', provider: 'openai', url: baseOf(gone), key: 'k', priority: 1 }
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [first, { name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    using client = await connect(`${gw.url}/v1/listen`)
    client.send('{"type":"hello"}')
    assert.equal((await client.next()).type, 'hello')
    assert.deepEqual(await gw.reload({ plugins: ['openai'], upstreams: [first] }), [])
    assert.equal((await refusedUpgrade(`${gw.url}/v1/listen`)).status, 502)
  })

  test('and a session are not made with an upstream that shall be asked by HTTP alone', async () => {
    await using upstream = await wsUpstream()
    const only = { name: 'http', provider: 'openai', url: baseOf(upstream), key: 'k', websocket: false, priority: 1 }
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [only] })
    for (const path of ['/v1/listen', '/v1/realtime']) {
      const refused = await refusedUpgrade(gw.url + path)
      assert.equal(refused.status, 501)
      assert.match(refused.body, /not served over WebSocket/)
    }
    assert.equal(upstream.requests.length, 0)
    const other = { name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }
    assert.deepEqual(await gw.reload({ plugins: ['openai', 'failover'], upstreams: [only, other] }), [])
    using client = await connect(`${gw.url}/v1/listen`)
    client.send('{"type":"hello"}')
    assert.equal((await client.next()).type, 'hello')
  })

  test('loses nothing that its client has sent in the packet of the handshake, and doubles nothing', async () => {
    const gone = await wsUpstream()
    await gone[Symbol.asyncDispose]()
    await using upstream = await wsUpstream()
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [
        { name: 'gone', provider: 'openai', url: baseOf(gone), key: 'k', priority: 1 },
        { name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' },
      ],
    })
    const { hostname, port } = new URL(gw.url)
    const handshake = [
      'GET /v1/listen HTTP/1.1',
      `host: ${hostname}`,
      'connection: Upgrade',
      'upgrade: websocket',
      'sec-websocket-version: 13',
      'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
    ]
    const socket = createConnection(Number(port), hostname)
    socket.write(
      Buffer.concat([
        Buffer.from(`${handshake.join('\r\n')}\r\n\r\n`),
        writeFrame({ opcode: opcodes.text, payload: 'early' }, true),
        writeFrame({ opcode: opcodes.close, payload: Buffer.of(3, 232) }, true),
      ]),
    )
    let heard = ''
    for await (const chunk of socket) heard += String(chunk)
    assert.equal(heard.split('early').length, 2)
  })

  test('ends with either side, and with the drain', async () => {
    await using upstream = await wsUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      limits: { drain: '30ms' },
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    using one = await connect(`${gw.url}/v1/listen`)
    one.ws.terminate()
    await until(() => upstream.open === 0)
    using two = await connect(`${gw.url}/v1/listen`)
    upstream.sockets.at(-1)!.terminate()
    await two.closed
    using three = await connect(`${gw.url}/v1/listen`)
    three.ws.on('error', () => {})
    await gw.stop()
    await three.closed
    await until(() => upstream.open === 0)
  })
})
