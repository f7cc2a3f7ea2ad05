import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json, type Script } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { collector, type TestCollector } from './collector.fixture.ts'
import type { ReadSpan } from './otlp.fixture.ts'

const chat = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  model: 'gpt-5-2026',
  choices: [{ index: 0, message: { role: 'assistant', content: 'SECRET ANSWER' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 12, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } },
}
const streamed: Script = (_asked, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'x-request-id': 'req_up' })
  const chunk = (more: object) => response.write(`data: ${JSON.stringify({ id: 'c1', model: 'gpt-5-x', ...more })}\n\n`)
  chunk({ choices: [{ index: 0, delta: { content: 'SECRET ANSWER' }, finish_reason: null }] })
  chunk({ choices: [{ index: 0, delta: {}, finish_reason: 'length' }] })
  chunk({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 9 } })
  response.end('data: [DONE]\n\n')
}

/** Asks once through a gateway whose upstreams answer so, stops it, and has what the collector was told. */
async function told(
  scripts: readonly Script[],
  { options = {}, headers = {}, body = {} }: { options?: object; headers?: Record<string, string>; body?: object } = {},
) {
  await using to = await collector()
  const upstreams = await Promise.all(scripts.map((script) => fakeUpstream(script)))
  await using gw = await gateway({
    plugins: ['openai', { failover: { attempts: 3 } }, { otel: { endpoint: to.url, ...options } }],
    upstreams: upstreams.map(({ url }, at) => ({
      name: `u${at}`,
      provider: 'openai',
      url,
      key: 'sk-up',
      priority: at,
    })),
  })
  const answer = await fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'gpt-5', messages: [{ role: 'user', content: 'SECRET PROMPT' }], ...body }),
  })
  await answer.text()
  await gw.stop()
  const asked = upstreams.flatMap((one) => one.asked)
  for (const one of upstreams) await one[Symbol.asyncDispose]()
  return { to, asked, status: answer.status, ...spansOf(to) }
}

function spansOf({ spans }: Pick<TestCollector, 'spans'>): { server: ReadSpan; clients: readonly ReadSpan[] } {
  const servers = spans.filter(({ kind }) => kind === 2)
  assert.equal(servers.length, 1)
  return { server: servers[0]!, clients: spans.filter(({ kind }) => kind === 3) }
}

describe('an exchange', () => {
  test('is a span, its attempt is another below it, and the upstream is told of that one', async () => {
    const { server, clients, asked, to } = await told([json(200, chat, { 'x-request-id': 'req_up' })])
    const [client] = clients
    assert.equal(clients.length, 1)
    assert.equal(server.parentSpanId, undefined)
    assert.equal(server.name, 'POST chat.completions')
    assert.equal(client!.parentSpanId, server.spanId)
    assert.equal(client!.traceId, server.traceId)
    assert.equal(asked[0]!.headers.traceparent, `00-${server.traceId}-${client!.spanId}-03`)
    assert.equal(asked[0]!.headers.tracestate, undefined)
    assert.ok(server.startTimeUnixNano <= client!.startTimeUnixNano)
    assert.ok(client!.endTimeUnixNano <= server.endTimeUnixNano)
    assert.ok(Math.abs(server.endTimeUnixNano / 1e6 - Date.now()) < 60_000)
    assert.equal(to.resource['service.name'], 'postern')
    assert.deepEqual([server.status, client!.status], [{}, {}])
  })

  test('is told in the words of the conventions', async () => {
    const { server, clients } = await told([json(200, chat, { 'x-request-id': 'req_up' })], {
      headers: { 'user-agent': 'app/1' },
    })
    const { 'server.port': port, ...client } = clients[0]!.attributes
    assert.equal(typeof port, 'number')
    assert.equal(clients[0]!.name, 'chat gpt-5')
    assert.deepEqual(client, {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-5',
      'gen_ai.response.model': 'gpt-5-2026',
      'gen_ai.response.id': 'chatcmpl-1',
      'gen_ai.response.finish_reasons': ['stop'],
      'gen_ai.usage.input_tokens': 12,
      'gen_ai.usage.output_tokens': 5,
      'gen_ai.usage.cache_read.input_tokens': 4,
      'server.address': '127.0.0.1',
      'http.request.method': 'POST',
      'http.response.status_code': 200,
      'postern.upstream': 'u0',
      'postern.attempt': 1,
      'postern.judgement': 'final',
      'postern.upstream.request_id': 'req_up',
    })
    const { 'postern.exchange.id': id, ...rest } = server.attributes
    assert.equal(typeof id, 'string')
    assert.deepEqual(rest, {
      'http.request.method': 'POST',
      'url.path': '/v1/chat/completions',
      'http.response.status_code': 200,
      'client.address': '127.0.0.1',
      'user_agent.original': 'app/1',
      'gen_ai.request.model': 'gpt-5',
      'postern.exchange.kind': 'http',
      'postern.provider': 'openai',
      'postern.operation': 'chat.completions',
      'postern.attempts': 1,
    })
  })

  test('that is streamed says when its first content came, and why it ended', async () => {
    const { clients } = await told([streamed], { body: { stream: true } })
    const { attributes } = clients[0]!
    assert.equal(attributes['gen_ai.request.stream'], true)
    assert.deepEqual(attributes['gen_ai.response.finish_reasons'], ['length'])
    assert.equal(attributes['gen_ai.response.model'], 'gpt-5-x')
    assert.equal(attributes['gen_ai.usage.output_tokens'], 9)
    const first = Number(attributes['gen_ai.response.time_to_first_chunk'])
    assert.ok(first > 0 && first <= (clients[0]!.endTimeUnixNano - clients[0]!.startTimeUnixNano) / 1e9)
  })

  test('has a span for each attempt, with what was said and judged', async () => {
    const broken: Script = (_asked, response) => void response.destroy()
    const limited = json(429, { error: { message: 'slow down' } }, { 'retry-after': '7' })
    const { server, clients, status, asked } = await told([limited, broken, json(200, chat)])
    assert.equal(status, 200)
    assert.deepEqual(
      clients.map(({ attributes: a, status }) => [a['postern.upstream'], a['error.type'] ?? null, status.code ?? 0]),
      [
        ['u0', '429', 2],
        ['u1', clients[1]!.attributes['error.type'], 2],
        ['u2', null, 0],
      ],
    )
    const [first, second, third] = clients.map(({ attributes }) => attributes)
    assert.deepEqual(
      [first!['postern.judgement'], first!['postern.rest_s'], first!['postern.rest_scope']],
      ['rest', 7, 'credential'],
    )
    assert.match(String(second!['error.type']), /^[A-Z_]+$/)
    assert.equal(second!['http.response.status_code'], undefined)
    assert.equal(third!['http.request.resend_count'], 2)
    assert.equal(first!['gen_ai.usage.input_tokens'], undefined)
    assert.equal(server.attributes['postern.attempts'], 3)
    assert.deepEqual(server.status, {})
    const spans = asked.map(({ headers }) => String(headers.traceparent).split('-')[2])
    assert.deepEqual(
      spans,
      clients.map(({ spanId }) => spanId),
    )
  })

  test('that nobody serves is an error of the gateway, and one that is refused is the client’s', async () => {
    const failed = await told([json(500, { error: { message: 'sk-canary0123456789' } })])
    assert.deepEqual(failed.server.status, { code: 2 })
    assert.equal(failed.server.attributes['error.type'], '500')
    const refused = await told([json(400, { error: { message: 'bad' } })])
    assert.deepEqual(refused.server.status, {})
    assert.deepEqual(refused.clients[0]!.status, { code: 2 })
  })

  test('that a plugin above has answered is told too', async () => {
    await using to = await collector()
    await using gw = await gateway({
      plugins: [{ 'ip-rules': { deny: ['127.0.0.1'] } }, 'openai', { otel: { endpoint: to.url } }],
    })
    await (await fetch(`${gw.url}/v1/models`, { headers: { traceparent: parent } })).text()
    await gw.stop()
    const { server, clients } = spansOf(to)
    assert.deepEqual([server.attributes['http.response.status_code'], clients.length], [403, 0])
    assert.equal(server.traceId, 'a'.repeat(32))
  })

  test('never tells what was said', async () => {
    const { to } = await told([streamed], { body: { stream: true } })
    const all = Buffer.concat(to.asked.map(({ body }) => body)).toString()
    assert.ok(all.includes('gpt-5-x'))
    assert.doesNotMatch(all, /SECRET/)
  })
})

const parent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`

describe('a trace that the client has begun', () => {
  test('is continued, with its state', async () => {
    const headers = { traceparent: parent, tracestate: 'vendor=1' }
    const { server, clients, asked } = await told([json(200, chat)], { headers })
    assert.equal(server.traceId, 'a'.repeat(32))
    assert.equal(server.parentSpanId, 'b'.repeat(16))
    assert.equal(server.traceState, 'vendor=1')
    assert.equal(asked[0]!.headers.traceparent, `00-${'a'.repeat(32)}-${clients[0]!.spanId}-01`)
    assert.equal(asked[0]!.headers.tracestate, 'vendor=1')
  })

  test('and does not sample is passed on and not sent', async () => {
    await using to = await collector()
    await using upstream = await fakeUpstream(json(200, chat))
    await using gw = await gateway({
      plugins: ['openai', { otel: { endpoint: to.url } }],
      upstreams: [{ name: 'u', provider: 'openai', url: upstream.url }],
    })
    const headers = { traceparent: parent.replace(/01$/, '00') }
    await (await fetch(`${gw.url}/v1/models`, { headers })).text()
    await gw.stop()
    assert.deepEqual(to.spans, [])
    assert.match(String(upstream.asked[0]!.headers.traceparent), /^00-a{32}-[0-9a-f]{16}-00$/)
    assert.notEqual(String(upstream.asked[0]!.headers.traceparent).split('-')[2], 'b'.repeat(16))
  })

  test('is only linked to where it shall not be followed', async () => {
    const headers = { traceparent: parent.replace(/01$/, '00'), tracestate: 'vendor=1' }
    const { server, asked } = await told([json(200, chat)], { options: { follow_parent: false }, headers })
    assert.notEqual(server.traceId, 'a'.repeat(32))
    assert.equal(server.links?.[0]?.traceId, 'a'.repeat(32))
    assert.equal(asked[0]!.headers.tracestate, undefined)
  })

  test('is not told to upstreams where they shall not know', async () => {
    const { asked, server } = await told([json(200, chat)], {
      options: { propagate: false },
      headers: { traceparent: parent, tracestate: 'vendor=1' },
    })
    assert.deepEqual([asked[0]!.headers.traceparent, asked[0]!.headers.tracestate], [undefined, undefined])
    assert.equal(server.traceId, 'a'.repeat(32))
  })
})

test('a ratio of 0 sends no span, and upstreams are told so', async () => {
  await using to = await collector()
  await using upstream = await fakeUpstream(json(200, chat))
  await using gw = await gateway({
    plugins: ['openai', { otel: { endpoint: to.url, sample_ratio: 0 } }],
    upstreams: [{ name: 'u', provider: 'openai', url: upstream.url }],
  })
  await (await fetch(`${gw.url}/v1/models`)).text()
  await gw.stop()
  assert.deepEqual(to.spans, [])
  assert.match(String(upstream.asked[0]!.headers.traceparent), /-02$/)
})
