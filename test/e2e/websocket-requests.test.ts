/** Requests by HTTP that are asked over an upstream's WebSocket: what the client is told is what it would be told by HTTP. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { WebSocket } from 'ws'
import { definePlugin, type Plugin } from 'postern/plugin'
import type { Usage } from 'postern/provider'
import { until, wsUpstream } from '../conformance/websocket-upstream.ts'
import { fakeUpstream, json, stream } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'
import { openai } from '../sdks.ts'
import { answered, asStream, baseOf, responsesUpstream, upstreamOf, type Turn } from './websocket-client.fixture.ts'

const always = (name: string, upstream: { url: URL }) => ({ ...upstreamOf(name, upstream), websocket: 'always' })
const usage = { input_tokens: 7, output_tokens: 3, input_tokens_details: { cached_tokens: 2 } }

const post = (url: string, body: object | string, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

/** Events as they are spelt by the upstream, each a message. */
function spelling(...events: readonly string[]) {
  return wsUpstream({
    onSocket: (socket) => void socket.on('message', () => events.forEach((event) => socket.send(event))),
  })
}

describe('a request by HTTP to an upstream that is always asked over WebSocket', () => {
  test('is a message there, without what only HTTP has, and otherwise as it was sent', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({ plugins: ['openai'], upstreams: [always('o', upstream)] })
    const sent = '{ "model" : "gpt-5","stream": true, "background":false, "input":"hé","n":1.0 }'
    const answer = await post(gw.url, sent, { authorization: 'Bearer mine' })
    await answer.text()
    assert.equal(
      upstream.asked[0]!.data.toString(),
      '{ "model" : "gpt-5", "input":"hé","n":1.0,"type":"response.create" }',
    )
    assert.equal(upstream.requests[0]!.url, '/v1/responses')
    assert.equal(upstream.requests[0]!.headers.authorization, 'Bearer sk-o')
  })

  test('is answered by a stream whose data are the very bytes of the messages', async () => {
    const spelt = ['{ "type":"response.output_text.delta","n":1.0 }', '{"type" :"response.completed","response":{}}']
    await using upstream = await spelling(...spelt)
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [always('o', upstream)] })
    const answer = await post(gw.url, { model: 'm', stream: true })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('content-type'), 'text/event-stream; charset=utf-8')
    assert.ok(answer.headers.get('x-postern-exchange'))
    assert.equal(
      await answer.text(),
      `event: response.output_text.delta\ndata: ${spelt[0]}\n\nevent: response.completed\ndata: ${spelt[1]}\n\n`,
    )
  })

  test('is answered by events that stay whole where they are spelt in lines, or have a type that is none', async () => {
    const [inLines, odd] = [
      '{\r\n "type": "response.output_text.delta"\n}',
      '{"type":"a\\nb: c","response":{}}',
    ] as const
    await using upstream = await spelling(inLines, odd, '{"type":"response.completed"}')
    await using gw = await gateway({ plugins: ['openai'], upstreams: [always('o', upstream)] })
    const text = await (await post(gw.url, { model: 'm', stream: true })).text()
    const events = text.split('\n\n')
    assert.deepEqual(events[0]!.split('\n'), [
      'event: response.output_text.delta',
      'data: {',
      'data:  "type": "response.output_text.delta"',
      'data: }',
    ])
    assert.equal(events[1], `data: ${odd}`)
  })

  test('is answered by the response alone, in the bytes that came, where it wants no stream', async () => {
    await using upstream = await spelling(
      '{"type":"response.created","response":{}}',
      '{"type":"response.output_text.delta"}',
      '{"type":"response.completed", "response":{ "id":"resp_1" ,"n":1.0}}',
    )
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [always('o', upstream)] })
    const answer = await post(gw.url, { model: 'm' })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('content-type'), 'application/json')
    assert.equal(await answer.text(), '{ "id":"resp_1" ,"n":1.0}')
    assert.equal(answer.headers.get('content-length'), '25')
  })

  test('shares its connection with those before it', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({ plugins: ['openai'], upstreams: [always('o', upstream)] })
    for (const stream of [true, false, true]) {
      await (await post(gw.url, { model: 'm', stream }, { 'idempotency-key': `${Math.random()}` })).text()
    }
    assert.equal(upstream.requests.length, 1)
    assert.equal(upstream.asked.length, 3)
    assert.equal(upstream.open, 1)
  })

  test('tells what it used in the same numbers, streamed or not, by either framing', async () => {
    const told: (Usage | null)[] = []
    const witness: Plugin = definePlugin({
      name: 'witness',
      config: { type: 'object', properties: {} },
      mayRead: ['usage'],
      setup: () => ({ onEnd: ({ facts }) => void told.push(facts.usage) }),
    })
    const response = { id: 'resp_1', object: 'response', status: 'completed', output: [], usage }
    const events = [{ type: 'response.output_text.delta' }, { type: 'response.completed', response }]
    await using bySocket = await responsesUpstream((say) => events.forEach(say))
    await using byHttp = await fakeUpstream(async (asked, answer, request) => {
      const isStream = asked.body.includes('"stream":true')
      await (isStream ? stream(asStream(events), 100) : json(200, response))(asked, answer, request)
    })
    const upstreams = [
      { ...always('s', bySocket), models: ['s'] },
      { name: 'h', provider: 'openai', url: byHttp.url, key: 'k', models: ['h'] },
    ]
    await using gw = await gateway({ plugins: ['openai', 'failover', witness], upstreams })
    const answers: string[] = []
    for (const model of ['s', 'h'])
      for (const stream of [true, false]) answers.push(await (await post(gw.url, { model, stream })).text())
    await until(() => told.length === 4)
    for (const one of told) assert.deepEqual(one, { input: 5, output: 3, cacheRead: 2, cacheWrite: 0 })
    assert.deepEqual(answers.slice(0, 2), answers.slice(2), 'and the bytes are the same too')
  })

  test('passes through body-patch and sticky-session as any other', async () => {
    await using a = await responsesUpstream()
    await using b = await responsesUpstream()
    const plugins = ['openai', { 'body-patch': { models: { mine: 'gpt-5' } } }, 'sticky-session']
    await using gw = await gateway({ plugins, upstreams: [always('a', a), always('b', b)] })
    const first = await post(gw.url, { model: 'mine', input: 'x' })
    const { id, model } = (await first.json()) as { id: string; model: string } // as answered
    assert.equal(model, 'mine')
    assert.equal(a.asked[0]!.body.model, 'gpt-5')
    const text = await (await post(gw.url, { model: 'mine', stream: true, previous_response_id: id })).text()
    assert.match(text, /"model":"mine"/)
    assert.doesNotMatch(text, /gpt-5/)
    assert.deepEqual([a.asked.length, b.asked.length], [2, 0])
  })

  test('that goes on with what is stored nowhere finds the connection that made it', async () => {
    const sockets: WebSocket[] = []
    await using upstream = await responsesUpstream((say, _body, socket) => {
      if (!sockets.includes(socket)) sockets.push(socket)
      say({ type: 'response.completed', response: { id: `resp_${sockets.indexOf(socket)}_${upstream.asked.length}` } })
    })
    await using gw = await gateway({ plugins: ['openai'], upstreams: [always('o', upstream)] })
    const ask = async (more: object): Promise<string> => {
      const answer = await post(gw.url, { model: 'm', store: false, ...more })
      return /"id":"(\w+)"/.exec(await answer.text())![1]!
    }
    const ids = await Promise.all([ask({ stream: true }), ask({})])
    assert.deepEqual(ids.map((id) => id.slice(0, 7)).toSorted(), ['resp_0_', 'resp_1_'])
    for (const previous of [ids[1], ids[0], ids[0], ids[1]] as string[]) {
      assert.equal((await ask({ previous_response_id: previous })).slice(0, 7), previous.slice(0, 7))
    }
    const headers = { authorization: 'Bearer another' }
    const foreign = await post(gw.url, { model: 'm', store: false, previous_response_id: ids[1] }, headers)
    const { id } = (await foreign.json()) as { id: string } // as it says above
    assert.notEqual(id.slice(0, 7), ids[1].slice(0, 7), 'whoever else asks is lent what has been idle longest')
  })

  test('of a client’s own session has a connection of its own, and few of them wait at the same time', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({ plugins: ['openai'], upstreams: [always('o', upstream)] })
    let turns = 0
    const ask = async (session: string) => {
      const headers = { session_id: session, 'x-codex-turn-metadata': `{"turn":${++turns}}` }
      return (await post(gw.url, { model: 'm' }, headers)).text()
    }
    for (const session of ['s', 's', 't', 's', 't']) await ask(session)
    assert.deepEqual(
      upstream.requests.map(({ headers }) => headers.session_id),
      ['s', 't'],
    )
    assert.deepEqual(upstream.asked[1]!.body.client_metadata, { 'x-codex-turn-metadata': '{"turn":2}' })
    for (let at = 0; at < 70; at++) await ask(`${at}`)
    await until(() => upstream.open === 64)
  })

  test('goes by HTTP where the API has no message for it', async () => {
    const asked: string[] = []
    await using byHttp = await fakeUpstream((request, response, message) => {
      asked.push(`${request.method} ${request.url}`)
      return json(200, { ok: true })(request, response, message)
    })
    const upstreams = [{ name: 'o', provider: 'openai', url: byHttp.url, key: 'k', websocket: 'always' }]
    await using gw = await gateway({ plugins: ['openai'], upstreams })
    const headers = { 'content-type': 'application/json' }
    await (await post(gw.url, { model: 'm', background: true })).text()
    await (await fetch(`${gw.url}/v1/chat/completions`, { method: 'POST', headers, body: '{"model":"m"}' })).text()
    await (await fetch(`${gw.url}/v1/responses/resp_1`)).text()
    await (await fetch(`${gw.url}/v1/responses`, { method: 'POST', body: new FormData() })).text()
    await (await post(gw.url, JSON.stringify({ model: 'm', input: 'x'.repeat(2 ** 24) }))).text()
    assert.deepEqual(asked, [
      'POST /v1/responses',
      'POST /v1/chat/completions',
      'GET /v1/responses/resp_1',
      'POST /v1/responses',
      'POST /v1/responses',
    ])
    assert.deepEqual(JSON.parse(byHttp.asked[0]!.body.toString()), { model: 'm', background: true })
  })

  test('goes by HTTP where the upstream is only said to have WebSocket for turns', async () => {
    await using byHttp = await fakeUpstream(json(200, { ok: true }))
    for (const websocket of [true, false]) {
      const upstreams = [{ name: 'o', provider: 'openai', url: byHttp.url, key: 'k', websocket }]
      await using gw = await gateway({ plugins: ['openai'], upstreams })
      await (await post(gw.url, { model: 'm' })).text()
    }
    assert.deepEqual(
      byHttp.asked.map(({ method }) => method),
      ['POST', 'POST'],
    )
  })
})

describe('the OpenAI SDK by HTTP before such an upstream', () => {
  const item = { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content: [] as object[] }
  const text = { type: 'output_text', text: 'hello', annotations: [] }
  const call = { type: 'function_call', id: 'fc_1', call_id: 'c1', name: 'weather', arguments: '{"city":"Bern"}' }
  const at = { item_id: 'msg_1', output_index: 0, content_index: 0 }

  /** A whole turn as the API has it: a message, or a call of the tool that the request brings. */
  const turn: Turn = (say, { tools }) => {
    const response = { id: 'resp_1', object: 'response', status: 'in_progress', output: [] as object[], usage: null }
    say({ type: 'response.created', response })
    const last = tools ? call : { ...item, content: [text] }
    say({ type: 'response.output_item.added', output_index: 0, item: tools ? { ...call, arguments: '' } : item })
    if (tools) {
      const delta = { item_id: 'fc_1', output_index: 0, delta: call.arguments }
      say({ type: 'response.function_call_arguments.delta', ...delta })
    } else {
      say({ type: 'response.content_part.added', ...at, part: { ...text, text: '' } })
      say({ type: 'response.output_text.delta', ...at, delta: 'hello' })
      say({ type: 'response.output_text.done', ...at, text: 'hello' })
    }
    say({ type: 'response.output_item.done', output_index: 0, item: last })
    say({ type: 'response.completed', response: { ...response, status: 'completed', output: [last], usage } })
  }
  const tools = [{ type: 'function' as const, name: 'weather', parameters: {}, strict: false }]

  test('has responses, streams and calls of tools', async () => {
    await using upstream = await responsesUpstream(turn)
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [always('o', upstream)] })
    const client = openai(gw.url)
    const plain = await client.responses.create({ model: 'gpt-5', input: 'hi' })
    assert.equal(plain.output_text, 'hello')
    assert.equal(plain.usage?.input_tokens, 7)
    const final = await client.responses.stream({ model: 'gpt-5', input: 'hi' }).finalResponse()
    assert.equal(final.output_text, 'hello')
    const called = await client.responses.create({ model: 'gpt-5', input: 'hi', tools })
    assert.deepEqual(called.output, [call])
    const streamed = await client.responses.stream({ model: 'gpt-5', input: 'hi', tools }).finalResponse()
    assert.equal(streamed.output[0]?.type === 'function_call' && streamed.output[0].arguments, call.arguments)
    const types: string[] = []
    for await (const { type } of await client.responses.create({ model: 'gpt-5', input: 'hi', stream: true }))
      types.push(type)
    assert.equal(types.at(-1), 'response.completed')
    assert.equal(upstream.requests.length, 1)
    assert.equal(upstream.asked.length, 5)
  })

  test('has the same through a reload in the midst of a stream', async () => {
    let finish = () => {}
    await using upstream = await responsesUpstream((say, body, socket) => {
      say({ type: 'response.output_text.delta', ...at, delta: 'a' })
      finish = () => answered(say, body, socket)
    })
    const options = { plugins: ['openai', 'failover'], upstreams: [always('o', upstream)] }
    await using gw = await gateway(options)
    const answer = await post(gw.url, { model: 'm', stream: true })
    assert.deepEqual(await gw.reload({ ...options, timeouts: { idle: '100s' } }), [])
    assert.equal(gw.sidecar.retiring.size, 1)
    finish()
    assert.match(await answer.text(), /event: response.completed/)
    await until(() => gw.sidecar.retiring.size === 0)
    const next = post(gw.url, { model: 'm' })
    await until(() => upstream.asked.length === 2)
    finish()
    assert.equal((await next).status, 200)
  })
})

test('a base address with a path of its own is asked at that path', async () => {
  await using upstream = await responsesUpstream()
  const upstreams = [
    { name: 'o', provider: 'openai', url: `${baseOf(upstream)}/api/v1`, key: 'k', websocket: 'always' },
  ]
  await using gw = await gateway({ plugins: ['openai'], upstreams })
  assert.equal((await post(gw.url, { model: 'm' })).status, 200)
  assert.equal(upstream.requests[0]!.url, '/api/v1/responses')
})
