import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'
import { baseOf, connect, responsesUpstream, upstreamOf } from '../../test/e2e/websocket-client.fixture.ts'
import { gateway } from '../../test/harness.ts'
import { collector } from './collector.fixture.ts'

const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`

describe('over WebSocket', () => {
  test('each turn is a span of its own, in the trace of its upgrade, with its own tokens', async () => {
    await using to = await collector()
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['openai', { otel: { endpoint: to.url, metrics: false, interval: '10ms' } }],
      upstreams: [upstreamOf('o', upstream)],
    })
    {
      using client = await connect(`${gw.url}/v1/responses`, { headers: { traceparent } })
      for (const model of ['gpt-5', 'gpt-5-mini']) {
        client.send({ type: 'response.create', model, input: 'SECRET PROMPT' })
        await client.until('response.completed')
      }
    }
    await until(() => to.spans.length === 5)
    const servers = to.spans.filter(({ kind }) => kind === 2)
    const turns = servers.filter(({ attributes }) => attributes['postern.exchange.kind'] === 'turn')
    assert.equal(servers.length, 3)
    assert.deepEqual(
      turns.map(({ attributes, parentSpanId, traceId }) => [attributes['gen_ai.request.model'], parentSpanId, traceId]),
      ['gpt-5', 'gpt-5-mini'].map((model) => [model, 'b'.repeat(16), 'a'.repeat(32)]),
    )
    const clients = to.spans.filter(({ kind }) => kind === 3)
    for (const [at, { attributes, parentSpanId }] of clients.entries()) {
      assert.equal(parentSpanId, turns[at]!.spanId)
      assert.equal(attributes['gen_ai.usage.input_tokens'], 7)
      assert.equal(attributes['gen_ai.usage.cache_read.input_tokens'], 2)
      assert.equal(attributes['gen_ai.usage.output_tokens'], 3)
      assert.deepEqual(attributes['gen_ai.response.finish_reasons'], ['completed'])
      assert.match(String(attributes['gen_ai.response.id']), /^resp_/)
      assert.equal(typeof attributes['gen_ai.response.time_to_first_chunk'], 'number')
    }
    assert.doesNotMatch(Buffer.concat(to.asked.map(({ body }) => body)).toString(), /SECRET/)
  })

  test('a session is one span, from the upgrade to its end, and its upstream is in the trace', async () => {
    await using to = await collector()
    await using upstream = await wsUpstream()
    await using gw = await gateway({
      plugins: ['openai', { otel: { endpoint: to.url, metrics: false, interval: '10ms' } }],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'sk-up' }],
    })
    using client = await connect(`${gw.url}/v1/realtime?model=gpt-realtime`, { headers: { traceparent } })
    client.send('{"type":"a"}')
    await client.next()
    assert.equal(to.spans.length, 0)
    client.ws.close(1000)
    await until(() => to.spans.length === 2)
    const [server, attempt] = to.spans
    assert.equal(server!.attributes['postern.exchange.kind'], 'session')
    assert.equal(server!.attributes['http.response.status_code'], 101)
    assert.equal(attempt!.attributes['gen_ai.request.model'], 'gpt-realtime')
    assert.equal(attempt!.parentSpanId, server!.spanId)
    assert.equal(upstream.requests[0]!.headers.traceparent, `00-${'a'.repeat(32)}-${attempt!.spanId}-01`)
  })
})
