/** What goes wrong with a request by HTTP that is asked over an upstream's WebSocket, and what its client is told. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import OpenAI from 'openai'
import { until } from '../conformance/websocket-upstream.ts'
import { fakeUpstream, json, stream, type Script } from '../fake-upstream.ts'
import { gateway, type GatewayOptions } from '../harness.ts'
import { openai } from '../sdks.ts'
import { answered, asStream, responsesUpstream, upstreamOf, type Event, type Turn } from './websocket-client.fixture.ts'

const always = (name: string, upstream: { url: URL }) => ({ ...upstreamOf(name, upstream), websocket: 'always' })
const created = { type: 'response.created', response: { id: 'resp_lost' } }
const delta = { type: 'response.output_text.delta', delta: 'a' }
const events: Event[] = [delta, { type: 'response.completed', response: { id: 'resp_h', object: 'response' } }]

const post = (url: string, body: object) =>
  fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', ...body }),
  })

/** The Responses API by HTTP. */
const byHttp: Script = async (asked, response, request) => {
  const answer = asked.body.includes('"stream":true') ? stream(asStream(events), 100) : json(200, events[1]!.response)
  await answer(asked, response, request)
}

/** Answers by both framings, told apart by whether the client wants a stream. */
const framings = [true, false]

interface Shape {
  readonly turn: Turn
  readonly status: number
  readonly told: RegExp
}

/** What an upstream may do before its first content. */
const shapes: Readonly<Record<string, Shape>> = {
  'an error': {
    turn: (say) => say({ type: 'error', status: 429, error: { type: 'rate_limit_error', message: 'Slow down' } }),
    status: 429,
    told: /^\{"error":\{"message":"Slow down","type":"rate_limit_error","param":null,"code":null\}\}$/,
  },
  'an error that says what it is in the event itself': {
    turn: (say) => say({ type: 'error', code: 'server_is_overloaded', message: 'Busy' }),
    status: 503,
    told: /^\{"error":\{"message":"Busy","type":"api_error","param":null,"code":"server_is_overloaded"\}\}$/,
  },
  'a response that fails': {
    turn: (say) => {
      say(created)
      say({ type: 'response.failed', response: { error: { code: 'server_is_overloaded', message: 'Busy' } } })
    },
    status: 503,
    told: /^\{"error":\{"message":"Busy","type":"api_error","param":null,"code":"server_is_overloaded"\}\}$/,
  },
  'a response that is not known any more': {
    turn: (say) => say({ type: 'error', status: 400, error: { code: 'previous_response_not_found', message: 'No' } }),
    status: 400,
    told: /"code":"previous_response_not_found"/,
  },
  'the end of the connection': {
    turn: (_say, _body, socket) => socket.close(1011),
    status: 502,
    told: /"code":"upstream_broken"/,
  },
  'an announcement and the end of the connection': {
    turn: (say, _body, socket) => {
      say(created)
      socket.close(1011)
    },
    status: 502,
    told: /"code":"upstream_broken"/,
  },
  'a message that is too long': {
    turn: (_say, _body, socket) => socket.send(Buffer.alloc(2 ** 24 + 1, 0x20)),
    status: 502,
    told: /"code":"upstream_broken"/,
  },
}

for (const stream of framings) {
  const what = stream ? 'a stream' : 'a document'
  describe(`where the upstream says, in place of ${what},`, () => {
    for (const [name, { turn, status, told }] of Object.entries(shapes)) {
      test(`${name}, the client is told with ${status}`, async () => {
        await using upstream = await responsesUpstream(turn)
        await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [always('o', upstream)] })
        const answer = await post(gw.url, { stream })
        assert.equal(answer.status, status)
        assert.match(answer.headers.get('content-type') ?? '', /^application\/json/)
        assert.ok(answer.headers.get('x-postern-exchange'))
        assert.match(await answer.text(), told)
        await until(() => gw.sidecar.server.gateway.exchanges.length === 0)
      })

      if (status === 400) continue
      test(`${name}, another upstream is asked, by HTTP, and back again`, async () => {
        await using upstream = await responsesUpstream(turn)
        await using other = await fakeUpstream(byHttp)
        const failing = { ...always('a', upstream), priority: 1 }
        const well = { name: 'b', provider: 'openai', url: other.url, key: 'k', priority: 2 }
        await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [failing, well] })
        assert.match(await (await post(gw.url, { stream })).text(), /resp_h/)
        assert.equal(upstream.asked.length, 1)
        assert.equal(other.asked.length, 1)
        assert.equal(JSON.parse(other.asked[0]!.body.toString()).type, undefined, 'what is asked by HTTP is no message')
        await using broken = await fakeUpstream(json(500, { error: { message: 'Broken' } }))
        await using served = await responsesUpstream()
        const options: GatewayOptions = {
          plugins: ['openai', 'failover'],
          upstreams: [{ ...well, url: broken.url, priority: 1 }, always('c', served)],
        }
        assert.deepEqual(await gw.reload(options), [])
        const answer = await post(gw.url, { stream })
        assert.equal(answer.status, 200)
        assert.match(await answer.text(), /"object":"response"|response\.completed|"status":"completed"/)
        assert.deepEqual([broken.asked.length, served.asked.length], [1, 1])
      })
    }

    test('nothing at all, the client is told so in time', async () => {
      await using upstream = await responsesUpstream(() => {})
      const timeouts = { headers: '300ms', first_event: '300ms' }
      await using gw = await gateway({ plugins: ['openai'], timeouts, upstreams: [always('o', upstream)] })
      const answer = await post(gw.url, { stream })
      assert.equal(answer.status, 504)
      assert.match(await answer.text(), /"code":"upstream_timeout"/)
      await until(() => upstream.open === 0)
    })
  })
}

describe('an upgrade that is refused', () => {
  test('as by a server without WebSocket has the request asked by HTTP, and those after it at once', async () => {
    await using upstream = await fakeUpstream(async (asked, response, request) => {
      if (asked.method === 'GET') return json(404, { error: { message: 'Not found' } })(asked, response, request)
      await byHttp(asked, response, request)
    })
    const upstreams = [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k', websocket: 'always' }]
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams })
    for (const stream of [true, false]) assert.match(await (await post(gw.url, { stream })).text(), /resp_h/)
    assert.deepEqual(
      upstream.asked.map(({ method }) => method),
      ['GET', 'POST', 'POST'],
    )
    assert.deepEqual(JSON.parse(upstream.asked[2]!.body.toString()), { model: 'm', stream: false })
  })

  test('with another answer is told as that answer', async () => {
    const body = '{"error":{"message":"Slow down","type":"requests","code":"rate_limit_exceeded"}}'
    const head = `retry-after: 7\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`
    await using upstream = await responsesUpstream(answered, {
      onUpgrade: () => `HTTP/1.1 429 Slow down\r\nconnection: close\r\n${head}\r\n\r\n${body}`,
    })
    await using gw = await gateway({ plugins: ['openai'], upstreams: [always('o', upstream)] })
    for (const stream of framings) {
      const answer = await post(gw.url, { stream })
      assert.equal(answer.status, 429)
      assert.equal(answer.headers.get('retry-after'), '7')
      assert.equal(await answer.text(), body)
    }
    const thrown: unknown = await openai(gw.url)
      .responses.create({ model: 'm', input: 'x' })
      .catch((error) => error)
    assert.ok(thrown instanceof OpenAI.RateLimitError)
    assert.equal(thrown.code, 'rate_limit_exceeded')
  })
})

describe('after content was sent', () => {
  test('an upstream that breaks off is told as an error event, and nobody else is asked', async () => {
    await using a = await responsesUpstream((say, _body, socket) => {
      say(delta)
      socket.close(1011)
    })
    await using b = await responsesUpstream()
    const upstreams = [{ ...always('a', a), priority: 1 }, always('b', b)]
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams })
    const text = await (await post(gw.url, { stream: true })).text()
    assert.match(text, /^event: response.output_text.delta\ndata: .*\n\nevent: error\ndata: .*upstream_broken.*\n\n$/)
    assert.equal(b.asked.length, 0)
  })

  test('a response that fails is told as the event that it is', async () => {
    const failed = { type: 'response.failed', response: { error: { code: 'server_error', message: 'Oh' } } }
    await using upstream = await responsesUpstream((say) => [delta, failed].forEach(say))
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [always('o', upstream)] })
    assert.equal(await (await post(gw.url, { stream: true })).text(), asStream([delta, failed]).toString())
  })

  test('by the upstream, but not to a client that wants no stream, another one is asked', async () => {
    const failed = { type: 'response.failed', response: { error: { code: 'server_error', message: 'Oh' } } }
    for (const end of [(say: (event: object) => void) => say(failed), null]) {
      await using a = await responsesUpstream((say, _body, socket) => {
        say(delta)
        if (end) end(say)
        else socket.terminate()
      })
      await using b = await responsesUpstream()
      const upstreams = [{ ...always('a', a), priority: 1 }, always('b', b)]
      await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams })
      assert.equal((await post(gw.url, { stream: false })).status, 200)
      assert.deepEqual([a.asked.length, b.asked.length], [1, 1])
    }
  })
})
