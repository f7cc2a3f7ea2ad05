import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { describe, test } from 'node:test'
import { definePlugin, refuse } from 'postern/plugin'
import { until } from '../conformance/websocket-upstream.ts'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../harness.ts'
import { baseOf, connect, refusedUpgrade, responsesUpstream, type Responses } from './websocket-client.fixture.ts'

const create = { type: 'response.create', model: 'gpt-5', input: 'hi' }

function gatewayFor(upstream: Responses, more: Partial<GatewayOptions> = {}): Promise<TestGateway> {
  return gateway({
    plugins: ['openai', 'failover'],
    upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'sk-up' }],
    ...more,
  })
}

/** Refuses a turn as it is told to by the message's input. */
const moody = definePlugin({
  name: 'moody',
  config: { type: 'object', additionalProperties: false, properties: {} },
  setup: () => ({
    onBody({ body }) {
      const input = body.get('input')
      if (typeof input !== 'string' || !input.startsWith('refuse ')) return
      const [, status, code] = input.split(' ')
      return refuse(Number(status), code!, 'because')
    },
  }),
})

describe('a socket of turns is closed', () => {
  const rows: [what: string, messages: (string | object)[], code: number, reason: string][] = [
    ['an empty message', [''], 1008, 'empty websocket request payload'],
    ['a first message that is no JSON', ['{'], 1008, 'invalid JSON payload'],
    [
      'a first message without a model',
      [{ type: 'response.create' }],
      1008,
      'model is required in first response.create payload',
    ],
    ['a model that is no text', [{ model: 5 }], 1008, 'model is required in first response.create payload'],
    [
      'response.append',
      [{ type: 'response.append', model: 'm' }],
      1008,
      'response.append is not supported in ws v2; use response.create with previous_response_id',
    ],
    ['another type', [{ type: 'session.update' }], 1008, 'unsupported websocket request type: session.update'],
    [
      'the id of a message to go on with',
      [{ ...create, previous_response_id: 'msg_1' }],
      1008,
      'previous_response_id must be a response.id (resp_*), not a message id',
    ],
    ['a later message that is no JSON', [create, 'no'], 1008, 'invalid websocket request payload'],
    [
      'a later message without a model',
      [create, { type: 'response.create' }],
      1008,
      'model is required in response.create payload',
    ],
    [
      'a caller with too many turns',
      [{ ...create, input: 'refuse 429 SLOTS' }],
      1013,
      'too many concurrent requests, please retry later',
    ],
    ['a caller who cannot pay', [{ ...create, input: 'refuse 402 PAY' }], 1008, 'billing check failed'],
    ['an empty balance', [{ ...create, input: 'refuse 403 INSUFFICIENT_BALANCE' }], 1008, 'billing check failed'],
    ['a caller who may not', [{ ...create, input: 'refuse 403 NO' }], 1008, 'because'],
    ['a model that nobody serves', [{ ...create, model: 'other' }], 1013, 'no available account'],
  ]
  for (const [what, messages, code, reason] of rows) {
    test(`for ${what}`, async () => {
      await using upstream = await responsesUpstream()
      await using gw = await gatewayFor(upstream, {
        plugins: ['openai', moody],
        upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k', models: ['gpt-*'] }],
      })
      using client = await connect(`${gw.url}/v1/responses`)
      for (const message of messages) {
        client.send(message)
        if (message !== messages.at(-1)) await client.until('response.completed')
      }
      assert.deepEqual(await client.closed, { code, reason })
      assert.equal(upstream.asked.length, messages.length - 1)
    })
  }

  test('where no first message comes in time, and where no further one does', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gatewayFor(upstream, { timeouts: { first_message: '60ms', between_turns: '80ms' } })
    using silent = await connect(`${gw.url}/v1/responses`)
    assert.deepEqual(await silent.closed, { code: 1008, reason: 'missing first response.create message' })
    using idle = await connect(`${gw.url}/v1/responses`)
    idle.send(create)
    await idle.until('response.completed')
    assert.deepEqual(await idle.closed, { code: 1000, reason: 'no request came for too long' })
  })

  test('for a message of more than 16 MiB', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gatewayFor(upstream)
    using client = await connect(`${gw.url}/v1/responses`)
    client.ws.on('error', () => {})
    client.ws.send(Buffer.alloc(16 * 2 ** 20 + 1, ' '), { binary: false })
    assert.equal((await client.closed).code, 1009)
    assert.equal(upstream.asked.length, 0)
  })

  test('where no upstream can be reached, after an event that says so', async () => {
    const upstream = await responsesUpstream()
    await upstream[Symbol.asyncDispose]()
    await using gw = await gatewayFor(upstream)
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    const event = await client.next()
    assert.equal(event.type, 'error')
    assert.equal(event.status, 502)
    assert.deepEqual(await client.closed, { code: 1011, reason: 'upstream websocket proxy failed' })
  })
})

describe('a socket of turns stays open', () => {
  test('after a message of 16 MiB', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gatewayFor(upstream)
    using client = await connect(`${gw.url}/v1/responses`)
    const empty = JSON.stringify({ ...create, input: '' })
    const sent = JSON.stringify({ ...create, input: 'x'.repeat(16 * 2 ** 20 - empty.length) })
    client.send(sent)
    await client.until('response.completed')
    assert.equal(upstream.asked[0]!.data.length, 16 * 2 ** 20)
  })

  test('after a request in mid-turn, which is refused, and the turn goes on', async () => {
    let finish = () => {}
    await using upstream = await responsesUpstream((say) => {
      say({ type: 'response.output_text.delta', delta: 'a' })
      finish = () => say({ type: 'response.completed', response: {} })
    })
    await using gw = await gatewayFor(upstream)
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.next()
    client.send(create)
    const refused = await client.next()
    assert.equal(refused.type, 'error')
    assert.equal(refused.status, 409)
    finish()
    assert.equal((await client.next()).type, 'response.completed')
    assert.equal(upstream.asked.length, 1)
    client.send(create)
    await client.next()
    finish()
    assert.equal((await client.next()).type, 'response.completed')
  })

  test("after an upstream's error event, which is the last of its turn", async () => {
    const error = { type: 'error', status: 400, error: { code: 'previous_response_not_found', message: 'gone' } }
    await using upstream = await responsesUpstream((say) => say(error))
    await using gw = await gatewayFor(upstream)
    using client = await connect(`${gw.url}/v1/responses`)
    for (let turn = 0; turn < 2; turn++) {
      client.send(create)
      assert.deepEqual(await client.next(), error)
      await until(() => gw.sidecar.server.gateway.exchanges.length === 0)
    }
    assert.equal(upstream.requests.length, 1, 'an error of the request is none of the connection')
  })

  test('after an answer by HTTP that is an error', async () => {
    const error = { error: { message: 'no such model', type: 'invalid_request_error', code: 'model_not_found' } }
    await using upstream = await fakeUpstream(json(404, error))
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, websocket: false }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    for (let turn = 0; turn < 2; turn++) {
      client.send(create)
      assert.deepEqual(await client.next(), { type: 'error', status: 404, ...error })
    }
  })
})

describe('a path of turns', () => {
  test('is answered 426 where no upgrade is asked for', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gatewayFor(upstream)
    for (const path of ['/v1/responses', '/responses']) {
      const answer = await fetch(gw.url + path)
      assert.equal(answer.status, 426)
      assert.equal(answer.headers.get('upgrade'), 'websocket')
      const { error } = (await answer.json()) as { error: Record<string, unknown> } // the dialect's shape
      assert.equal(error.type, 'invalid_request_error')
      assert.equal(error.message, 'WebSocket upgrade required (Upgrade: websocket)')
    }
    assert.equal(upstream.requests.length, 0)
  })

  test('is upgraded in its short form too', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gatewayFor(upstream)
    using client = await connect(`${gw.url}/responses`)
    client.send({ model: 'gpt-5' })
    await client.until('response.completed')
    assert.equal(upstream.requests[0]!.url, '/v1/responses')
    assert.deepEqual(upstream.asked[0]!.body, { model: 'gpt-5', type: 'response.create' })
  })

  test('refuses, in plain HTTP, an upgrade that a plugin refuses', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gatewayFor(upstream, {
      plugins: ['api-key-auth', 'openai'],
      keys: [{ name: 'me', key: 'a-key-of-16-characters' }],
    })
    const refused = await refusedUpgrade(`${gw.url}/v1/responses`)
    assert.equal(refused.status, 401)
    assert.equal(refused.headers['www-authenticate'], 'Bearer realm="postern"')
    assert.match(refused.body, /authentication_error/)
    using client = await connect(`${gw.url}/v1/responses`, {
      headers: { authorization: 'Bearer a-key-of-16-characters', 'x-request-id': 'mine' },
    })
    assert.equal(client.headers['x-request-id'], 'mine')
    client.send(create)
    await client.until('response.completed')
    assert.equal(upstream.requests[0]!.headers.authorization, 'Bearer sk-up')
  })

  test('refuses a handshake that is none', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gatewayFor(upstream)
    for (const [status, broken] of [
      [426, { 'sec-websocket-version': '7' }],
      [400, { 'sec-websocket-key': 'short' }],
      [400, { 'sec-websocket-protocol': 'a,a' }],
      [400, { 'sec-websocket-protocol': 'a,,b' }],
      [400, { 'sec-websocket-protocol': '(' }],
    ] as const) {
      const headers = {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
        ...broken,
      }
      const asked = request(`${gw.url}/v1/responses`, { headers })
      const [answer] = (await once(asked.end(), 'response')) as [IncomingMessage] // what the event carries
      assert.equal(answer.statusCode, status)
      assert.equal(answer.headers['sec-websocket-version'], status === 426 ? '13' : undefined)
      answer.resume()
    }
  })

  test('that no provider claims is answered 404', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gatewayFor(upstream)
    assert.equal((await refusedUpgrade(`${gw.url}/nowhere`)).status, 404)
  })
})
