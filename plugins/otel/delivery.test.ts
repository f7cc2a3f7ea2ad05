import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { until } from '../../test/conformance/websocket-upstream.ts'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'
import { parseExposition } from '../../core/observe/metrics.fixture.ts'
import { collector, takes } from './collector.fixture.ts'
import { afterOf } from './post.ts'

/** A gateway that sends its spans as the options say, and an upstream that answers. */
async function scene(endpoint: string, options: object = {}) {
  const upstream = await fakeUpstream(json(200, { ok: true }))
  const gw = await gateway({
    plugins: ['openai', { otel: { endpoint, metrics: false, interval: '10ms', ...options } }],
    upstreams: [{ name: 'u', provider: 'openai', url: upstream.url, key: 'sk-up' }],
  })
  return {
    gw,
    ask: async () => void (await (await fetch(`${gw.url}/v1/models`)).text()),
    async [Symbol.asyncDispose]() {
      await gw[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    },
  }
}

/** How many spans came to which end. */
function outcomes({ sidecar }: TestGateway): Record<string, number> {
  const family = parseExposition(sidecar.metrics()).get('postern_otel_spans_total')
  return Object.fromEntries(family?.samples.map(({ labels, value }) => [labels.outcome, value]) ?? [])
}

describe('spans', () => {
  test('are sent in batches, while the gateway runs, under its name and with its headers', async () => {
    await using to = await collector()
    const headers = { 'X-Key': 'canary-key' }
    await using it = await scene(to.url, {
      headers,
      service_name: 'gate',
      resource: { team: 'a' },
      compression: 'gzip',
    })
    await it.ask()
    await until(() => to.spans.length === 2)
    assert.equal(to.asked[0]!.url, '/v1/traces')
    assert.equal(to.asked[0]!.headers['x-key'], 'canary-key')
    assert.equal(to.asked[0]!.headers['content-encoding'], 'gzip')
    assert.deepEqual([to.resource['service.name'], to.resource.team], ['gate', 'a'])
    assert.match(String(to.resource['service.instance.id']), /^[0-9a-f-]{36}$/)
    await until(() => outcomes(it.gw).sent === 2)
  })

  test('wait for others, but no longer than for a full batch', async () => {
    await using to = await collector()
    await using it = await scene(to.url, { interval: '1h', batch: 4 })
    await it.ask()
    assert.deepEqual(to.asked, [])
    await it.ask()
    await until(() => to.spans.length === 4)
    assert.equal(to.asked.length, 1)
  })

  test('are sent again where the collector may take them later, after as long as it says', async () => {
    await using to = await collector(json(503, {}, { 'retry-after': '0' }))
    await using it = await scene(to.url)
    await it.ask()
    await until(() => to.asked.length >= 2)
    assert.deepEqual(to.spans, [])
    to.script = takes
    await until(() => to.spans.length === 2)
    assert.equal(outcomes(it.gw).lost ?? 0, 0)
  })

  test('are not sent again where it will never take them, and it is said once', async () => {
    await using to = await collector(json(400, { message: 'canary' }))
    await using it = await scene(to.url)
    await it.ask()
    await it.ask()
    await until(() => outcomes(it.gw).refused === 4)
    const lines = it.gw.records.filter(({ message }) => message.startsWith('telemetry was lost'))
    assert.deepEqual(
      lines.map(({ level, reason }) => [level, reason]),
      [['warn', '400']],
    )
  })

  test('that a collector has not taken, though it said 200, are counted', async () => {
    await using to = await collector(json(200, { partialSuccess: { rejectedSpans: '1', errorMessage: 'too old' } }))
    await using it = await scene(to.url)
    await it.ask()
    await until(() => outcomes(it.gw).refused === 1 && outcomes(it.gw).sent === 1)
  })

  test('are dropped and counted where more come than may wait; exchanges go on', async () => {
    await using to = await collector(() => {})
    await using it = await scene(to.url, { queue: 3, batch: 1, timeout: '1h', flush: '50ms' })
    for (let times = 0; times < 10; times++) await it.ask()
    // One is on its way, three wait.
    assert.equal(outcomes(it.gw).dropped, 16)
    assert.match(it.gw.sidecar.metrics(), /^postern_otel_spans_waiting 3$/m)
  })
})

describe('a collector', () => {
  test('that is not there hurts nobody, and the end of the gateway does not wait for it', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo // it listens
    await new Promise((resolve) => server.close(resolve))
    await using it = await scene(`http://127.0.0.1:${port}`, { flush: '100ms' })
    for (let times = 0; times < 3; times++) await it.ask()
    await it.gw.stop()
    assert.equal(outcomes(it.gw).lost, 6)
  })

  test('that says nothing is waited for as long as was said, at the end too', async () => {
    await using to = await collector(() => {})
    await using it = await scene(to.url, { flush: '100ms', timeout: '1h' })
    await it.ask()
    await until(() => to.asked.length === 1)
    await it.ask()
    await it.gw.stop()
    assert.equal(outcomes(it.gw).lost, 4)
  })

  test('has all that waited when the gateway ends, and a reload is such an end', async () => {
    await using to = await collector()
    await using it = await scene(to.url, { interval: '1h' })
    await it.ask()
    assert.deepEqual(to.spans, [])
    const plugins = ['openai']
    assert.deepEqual(await it.gw.reload({ plugins }), [])
    await until(() => to.spans.length === 2)
  })

  test('that redirects is not followed: the headers are meant for this one', async () => {
    await using elsewhere = await collector()
    await using to = await collector(json(307, {}, { location: `${elsewhere.url}/v1/traces` }))
    await using it = await scene(to.url)
    await it.ask()
    await until(() => outcomes(it.gw).refused === 2)
    assert.deepEqual(elsewhere.asked, [])
  })
})

test('Retry-After is seconds or a date', () => {
  assert.equal(afterOf('7'), 7000)
  assert.equal(afterOf('Thu, 01 Jan 1970 00:00:10 GMT', 4000), 6000)
  assert.equal(afterOf('Thu, 01 Jan 1970 00:00:10 GMT', 60_000), 0)
  assert.equal(afterOf('soon'), null)
  assert.equal(afterOf(undefined), null)
})

test('a header that cannot be sent is a problem of the configuration, and its value is not shown', async () => {
  await using it = await scene('http://127.0.0.1:4318')
  const problems = await it.gw.reload({
    plugins: ['openai', { otel: { headers: { 'x-key': 'canary\nevil' } } }],
  })
  assert.equal(problems.length, 1)
  assert.match(problems[0]!.message, /the header "x-key" cannot be sent/)
  assert.doesNotMatch(JSON.stringify(problems), /canary/)
})
