/** The knobs of `websocket` in gateway.yaml, each seen from outside. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { opcodes } from '../conformance/websocket-frames.ts'
import { connectPeer } from '../conformance/websocket-peer.ts'
import { until, wsUpstream } from '../conformance/websocket-upstream.ts'
import { gateway } from '../harness.ts'
import { answered, connect, responsesUpstream, upstreamOf, type Turn } from './websocket-client.fixture.ts'

/** Says nothing until it is told to. */
function withheld(): { turn: Turn; release: () => void } {
  const held: (() => void)[] = []
  return {
    turn: (say, body, socket) => void held.push(() => answered(say, body, socket)),
    release: () => {
      for (const go of held.splice(0)) go()
    },
  }
}

const create = { type: 'response.create', model: 'm', input: 'x' }
const long = { ...create, input: 'x'.repeat(3000) }

describe('websocket.message', () => {
  test('ends a connection of turns that says more with 1009, and one of the length passes', async () => {
    await using upstream = await responsesUpstream()
    const length = Buffer.byteLength(JSON.stringify(create))
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [upstreamOf('o', upstream)],
      websocket: { message: `${length}B` },
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    // Events of the upstream are held to the same length.
    assert.equal((await client.next()).type, 'error')
    using other = await connect(`${gw.url}/v1/responses`)
    other.send({ ...create, input: 'xy' })
    assert.equal((await other.closed).code, 1009)
    assert.equal(upstream.asked.length, 1)
  })

  test('is for new connections after a reload, and those that are open keep what they had', async () => {
    await using upstream = await wsUpstream()
    const settings = { plugins: ['openai'], upstreams: [upstreamOf('o', upstream)] }
    await using gw = await gateway({ ...settings, websocket: { message: '1KiB' } })
    using before = await connect(`${gw.url}/v1/realtime?model=m`)
    assert.deepEqual(await gw.reload({ ...settings, websocket: { message: '8KiB' } }), [])
    using after = await connect(`${gw.url}/v1/realtime?model=m`)
    after.send(long)
    assert.equal((await after.next()).input, long.input)
    before.send(long)
    assert.equal((await before.closed).code, 1009)
    after.ws.close()
    await after.closed
  })
})

describe('websocket.ping', () => {
  test('cuts off a client that answers none', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [upstreamOf('o', upstream)],
      websocket: { ping: '100ms' },
    })
    using peer = await connectPeer(new URL(`${gw.url.replace('http', 'ws')}/v1/responses`))
    assert.equal((await peer.next())?.opcode, opcodes.ping)
    assert.equal(await peer.next(), null)
  })

  test('and ping_timeout find idle connections to upstreams that are dead', async () => {
    await using upstream = await responsesUpstream(answered, { autoPong: false })
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [upstreamOf('o', upstream)],
      websocket: { ping: '100ms', ping_timeout: '50ms' },
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.until('response.completed')
    assert.equal(upstream.open, 1)
    await until(() => upstream.open === 0)
    client.ws.close()
    await client.closed
  })
})

describe('websocket.pool', () => {
  test('opens no more connections than max, and turns the next away where the queue is full', async () => {
    const { turn, release } = withheld()
    await using upstream = await responsesUpstream(turn)
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [upstreamOf('o', upstream)],
      websocket: { pool: { max: 2, queue: 1, max_idle: 2 } },
    })
    const clients = await Promise.all([1, 2, 3].map(() => connect(`${gw.url}/v1/responses`)))
    for (const client of clients) client.send(create)
    await until(() => upstream.asked.length === 2)
    await until(() => gw.sidecar.metrics().includes('postern_websocket_upstream_waiting{upstream="o"} 1'))
    using fourth = await connect(`${gw.url}/v1/responses`)
    fourth.send(create)
    assert.equal((await fourth.closed).code, 1013)
    release()
    await until(() => upstream.asked.length === 3)
    release()
    for (const client of clients) {
      await client.until('response.completed')
      client.ws.close()
      await client.closed
    }
    assert.equal(upstream.sockets.length, 2)
  })

  test('has min_idle connections ready after the first turn; a reload lowers that and keeps those that are there', async () => {
    await using upstream = await responsesUpstream()
    const settings = { plugins: ['openai'], upstreams: [upstreamOf('o', upstream)] }
    await using gw = await gateway({ ...settings, websocket: { pool: { min_idle: 4 } } })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.until('response.completed')
    await until(() => upstream.open === 4)
    assert.deepEqual(await gw.reload({ ...settings, websocket: { pool: { min_idle: 0, max: 4 } } }), [])
    client.send(create)
    await client.until('response.completed')
    assert.equal(upstream.sockets.length, 4)
    client.ws.close()
    await client.closed
  })
})

describe('websocket.compress_clients', () => {
  for (const [offer, taken] of [
    [
      'permessage-deflate',
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12',
    ],
    ['x-other, permessage-deflate; client_max_window_bits', /^permessage-deflate; server_no_context_takeover/],
    ['permessage-deflate; server_max_window_bits=9', undefined],
    ['permessage-deflate; no_such_thing', undefined],
    ['permessage-deflate; client_max_window_bits=7', undefined],
    ['permessage-deflate; server_no_context_takeover; server_no_context_takeover', undefined],
    ['"', undefined],
    ['', undefined],
  ] as const) {
    test(`answers the offer ${JSON.stringify(offer)} with ${String(taken)}`, async () => {
      await using upstream = await responsesUpstream()
      await using gw = await gateway({
        plugins: ['openai'],
        upstreams: [upstreamOf('o', upstream)],
        websocket: { compress_clients: true },
      })
      const address = new URL(`${gw.url.replace('http', 'ws')}/v1/responses`)
      using peer = await connectPeer(address, { 'sec-websocket-extensions': offer })
      const [, answer] = /^sec-websocket-extensions: *(.*)\r$/im.exec(peer.head) ?? []
      if (taken instanceof RegExp) assert.match(answer ?? '', taken)
      else assert.equal(answer, taken)
      peer.close(1000)
      assert.equal((await peer.hear()).code, 1000)
    })
  }

  test('gives the very same messages, in the same order, as without', async () => {
    const text = 'y'.repeat(5000)
    await using upstream = await responsesUpstream((say, { input }) => {
      for (let at = 0; at < 20; at++) say({ type: 'response.output_text.delta', at, delta: at % 3 === 0 ? text : 'z' })
      say({ type: 'response.completed', response: {}, input })
    })
    for (const compressed of [true, false]) {
      await using gw = await gateway({
        plugins: ['openai'],
        upstreams: [upstreamOf('o', upstream)],
        websocket: { compress_clients: compressed, compress_upstreams: compressed },
      })
      using client = await connect(`${gw.url}/v1/responses`)
      assert.equal(client.ws.extensions, compressed ? 'permessage-deflate' : '')
      client.send(long)
      const events = await client.until('response.completed')
      assert.deepEqual(
        events.slice(0, -1).map(({ at }) => at),
        Array.from({ length: 20 }, (_, at) => at),
      )
      assert.equal(events[3]!.delta, text)
      assert.equal(events.at(-1)!.input, long.input)
      client.ws.close()
      await client.closed
    }
    const offers = upstream.requests.map(({ headers }) => headers['sec-websocket-extensions'])
    assert.match(offers[0]!, /^permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max/)
    assert.equal(offers[1], undefined)
  })

  test('holds a message that is small on the way to the limit of what it becomes', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [upstreamOf('o', upstream)],
      websocket: { compress_clients: true, message: '64KiB' },
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send({ ...create, input: 'x'.repeat(1_000_000) })
    assert.equal((await client.closed).code, 1009)
    assert.equal(upstream.asked.length, 0)
  })
})
