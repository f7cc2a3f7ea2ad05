import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json, stream } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { collector } from './collector.fixture.ts'

const answer = { model: 'm', choices: [], usage: { prompt_tokens: 100, completion_tokens: 5 } }

/** Asks for these models, the last one as a stream, and has the metrics that the collector was told at the end. */
async function told(models: readonly string[]) {
  const to = await collector()
  const events = `data: ${JSON.stringify({ choices: [{ delta: { content: 'x' } }] })}\n\ndata: [DONE]\n\n`
  await using upstream = await fakeUpstream((asked, response, request) => {
    const { model, stream: isStream } = JSON.parse(asked.body.toString()) as { model: string; stream?: boolean } // sent below
    if (model.startsWith('no')) return json(404, { error: { message: 'no such model' } })(asked, response, request)
    return isStream
      ? stream(Buffer.from(events), 20)(asked, response, request)
      : json(200, answer)(asked, response, request)
  })
  await using gw = await gateway({
    plugins: ['openai', { otel: { endpoint: to.url } }],
    upstreams: [{ name: 'u', provider: 'openai', url: upstream.url, key: 'sk-up' }],
  })
  for (const [at, model] of models.entries())
    await (
      await fetch(`${gw.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model, stream: at === models.length - 1 }),
      })
    ).text()
  await gw.stop()
  await to[Symbol.asyncDispose]()
  return to.metrics
}

describe('metrics', () => {
  test('are told as the conventions of generative AI have them', async () => {
    const metrics = await told(['gpt-5', 'gpt-5'])
    const labels = {
      'gen_ai.provider.name': 'openai',
      'gen_ai.operation.name': 'chat',
      'gen_ai.request.model': 'gpt-5',
    }
    const duration = metrics.get('gen_ai.client.operation.duration')!
    assert.equal(duration.unit, 's')
    assert.deepEqual(
      duration.histogram!.dataPoints.map(({ attributes, count }) => [attributes, count]),
      [[labels, 2]],
    )
    const first = metrics.get('gen_ai.client.operation.time_to_first_chunk')!
    assert.equal(first.histogram!.dataPoints[0]!.count, 1)
    const tokens = metrics.get('gen_ai.client.token.usage')!
    assert.equal(tokens.unit, '{token}')
    assert.deepEqual(
      tokens.histogram!.dataPoints.map(({ attributes, sum }) => [attributes, sum]),
      [
        [{ ...labels, 'gen_ai.token.type': 'input' }, 100],
        [{ ...labels, 'gen_ai.token.type': 'output' }, 5],
      ],
    )
  })

  test('name no model that only a client has named', async () => {
    const metrics = await told(['no-such-1', 'no-such-2', 'gpt-5'])
    const points = metrics.get('gen_ai.client.operation.duration')!.histogram!.dataPoints
    assert.deepEqual(
      points.map(({ attributes }) => [attributes['gen_ai.request.model'], attributes['error.type']]),
      [
        [undefined, '404'],
        ['gpt-5', undefined],
      ],
    )
  })

  test('have everything that the page for Prometheus has: sums, gauges and histograms', async () => {
    const metrics = await told(['gpt-5'])
    const exchanges = metrics.get('postern_exchanges_total')!
    assert.equal(exchanges.sum!.isMonotonic, true)
    assert.deepEqual(
      exchanges.sum!.dataPoints.map(({ attributes, asDouble }) => [attributes, asDouble]),
      [[{ provider: 'openai', operation: 'chat.completions', status: '2xx' }, 1]],
    )
    assert.equal(metrics.get('postern_store_up')!.gauge!.dataPoints[0]!.asDouble, 1)
    assert.equal(metrics.get('postern_exchange_seconds')!.histogram!.dataPoints[0]!.count, 1)
    assert.equal(metrics.get('postern_cpu_seconds_total')!.unit, 's')
    assert.equal(metrics.get('postern_memory_bytes')!.unit, 'By')
  })
})

test('without metrics none are sent, and without traces no span is', async () => {
  await using to = await collector()
  await using gw = await gateway({ plugins: ['openai', { otel: { endpoint: to.url, traces: false } }] })
  await (await fetch(`${gw.url}/v1/models`)).text()
  await gw.stop()
  assert.deepEqual(
    to.asked.map(({ url }) => url),
    ['/v1/metrics'],
  )
})
