import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json, stream } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'
import {
  answered,
  asStream,
  connect,
  responsesUpstream,
  twoUpstreams,
  upstreamOf,
  type Turn,
} from './websocket-client.fixture.ts'

const create = { type: 'response.create', model: 'gpt-5', input: 'hi' }

describe('on a turn', () => {
  test('failover asks another upstream before the first content, and the client hears of one answer', async () => {
    const failing: Turn = (say) => {
      say({ type: 'response.created', response: { id: 'resp_lost' } })
      say({ type: 'response.failed', response: { error: { code: 'server_is_overloaded', message: 'busy' } } })
    }
    await using it = await twoUpstreams(failing, answered, ['openai', 'failover'])
    using client = await connect(`${it.gw.url}/v1/responses`)
    client.send(create)
    const events = await client.until('response.completed')
    assert.equal(events.filter(({ type }) => type === 'response.created').length, 1)
    assert.ok(!client.heard.some((message) => message.includes('resp_lost')))
    assert.deepEqual([it.a.asked.length, it.b.asked.length], [1, 1])
  })

  test('failover goes from a connection that ends without a word, and from an upgrade that is refused', async () => {
    const silent: Turn = (_say, _body, socket) => socket.terminate()
    await using it = await twoUpstreams(silent, answered, ['openai', 'failover'])
    using client = await connect(`${it.gw.url}/v1/responses`)
    client.send(create)
    await client.until('response.completed')
    await using limited = await responsesUpstream(answered, {
      onUpgrade: () => 'HTTP/1.1 429 Slow down\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n',
    })
    const problems = await it.gw.reload({
      plugins: ['openai', 'failover'],
      upstreams: [{ ...upstreamOf('limited', limited), priority: 1 }, upstreamOf('b', it.b)],
    })
    assert.deepEqual(problems, [])
    client.send(create)
    await client.until('response.completed')
    assert.equal(limited.requests.length, 1)
    assert.equal(it.b.asked.length, 2)
  })

  test('failover goes from an upstream by WebSocket to one by HTTP', async () => {
    await using a = await responsesUpstream((say) =>
      say({ type: 'error', status: 429, error: { type: 'rate_limit_error', message: 'Slow down' } }),
    )
    const events = [{ type: 'response.output_text.delta' }, { type: 'response.completed', response: {} }]
    await using b = await fakeUpstream(stream(asStream(events), 1000))
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [upstreamOf('a', a), { name: 'b', provider: 'openai', url: b.url, websocket: false, priority: 200 }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    assert.deepEqual(await client.until('response.completed'), events)
  })

  test('an upstream whose server knows no WebSocket is asked by HTTP', async () => {
    const events = [{ type: 'response.output_text.delta' }, { type: 'response.completed', response: {} }]
    await using upstream = await fakeUpstream(async (asked, response, request) => {
      if (asked.method === 'GET') return json(404, { error: { message: 'Not found' } })(asked, response, request)
      await stream(asStream(events), 1000)(asked, response, request)
    })
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    for (let turn = 0; turn < 2; turn++) {
      client.send(create)
      assert.deepEqual(await client.until('response.completed'), events)
    }
    assert.deepEqual(
      upstream.asked.map(({ method }) => method),
      ['GET', 'POST', 'POST'],
    )
  })
})
