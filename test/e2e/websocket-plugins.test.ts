import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { definePlugin, type Plugin } from 'postern/plugin'
import type { Usage } from 'postern/provider'
import { until } from '../conformance/websocket-upstream.ts'
import { gateway, type GatewayOptions } from '../harness.ts'
import { answered, connect, responsesUpstream, twoUpstreams, upstreamOf } from './websocket-client.fixture.ts'

const create = { type: 'response.create', model: 'gpt-5', input: 'hi' }
interface Seen {
  readonly kind: string
  readonly id: string
  readonly status: number
  readonly upstream: string | undefined
  readonly attempts: number
  readonly usage: Usage | null
  readonly error: string | undefined
}

/** Remembers what each exchange came to. */
function witness(): { seen: Seen[]; plugin: Plugin } {
  const seen: Seen[] = []
  const plugin = definePlugin({
    name: 'witness',
    config: { type: 'object', additionalProperties: false, properties: {} },
    mayRead: ['usage'],
    setup: () => ({
      onEnd({ kind, id, status, upstream, attempt, facts, error }) {
        const { usage } = facts
        seen.push({ kind, id, status, upstream: upstream?.name, attempts: attempt, usage, error: error?.name })
      },
    }),
  })
  return { seen, plugin }
}

describe('on a turn', () => {
  test('body-patch maps the model there and back, and leaves the rest of the message as it came', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['openai', { 'body-patch': { models: { 'my-model': 'gpt-5' } } }],
      upstreams: [upstreamOf('o', upstream)],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send('{"type" : "response.create",  "model":"my-model","n":1.0}')
    const events = await client.until('response.completed')
    assert.equal(upstream.asked[0]!.data.toString(), '{"type" : "response.create",  "model":"gpt-5","n":1.0}')
    for (const event of events) {
      const { model } = (event.response ?? { model: 'my-model' }) as { model: string } // what the upstream says
      assert.equal(model, 'my-model')
    }
  })

  test('sticky-session holds a turn to the upstream that has the response it goes on with', async () => {
    await using it = await twoUpstreams(answered, answered, ['openai', 'sticky-session', first()])
    using one = await connect(`${it.gw.url}/v1/responses`, { headers: { 'x-first': 'b' } })
    one.send(create)
    const { response } = (await one.until('response.completed')).at(-1) as unknown as { response: { id: string } } // as answered
    assert.equal(it.b.asked.length, 1)
    using other = await connect(`${it.gw.url}/v1/responses`, { headers: { 'x-first': 'a' } })
    other.send({ ...create, previous_response_id: response.id })
    await other.until('response.completed')
    assert.deepEqual([it.a.asked.length, it.b.asked.length], [0, 2])
  })

  test('concurrency counts turns and not sockets', async () => {
    const waiting: (() => void)[] = []
    await using upstream = await responsesUpstream((say) => {
      say({ type: 'response.created', response: {} })
      waiting.push(() => say({ type: 'response.completed', response: {} }))
    })
    await using gw = await gateway({
      plugins: ['openai', { concurrency: { per_client: 1, waiters: { principal: 0 }, wait: { principal: '50ms' } } }],
      upstreams: [upstreamOf('o', upstream)],
    })
    using one = await connect(`${gw.url}/v1/responses`)
    using two = await connect(`${gw.url}/v1/responses`)
    using three = await connect(`${gw.url}/v1/responses`)
    one.send(create)
    await until(() => waiting.length === 1)
    two.send(create)
    assert.equal((await two.closed).code, 1013)
    waiting[0]!()
    await one.until('response.completed')
    await until(() => gw.sidecar.server.gateway.exchanges.length === 0)
    three.send(create)
    await until(() => waiting.length === 2)
    waiting[1]!()
    await three.until('response.completed')
  })

  test('usage is told of each one, and each has a name of its own', async () => {
    const { seen, plugin } = witness()
    await using upstream = await responsesUpstream()
    await using gw = await gateway({ plugins: ['openai', plugin], upstreams: [upstreamOf('o', upstream)] })
    using client = await connect(`${gw.url}/v1/responses`, { headers: { 'x-request-id': 'mine' } })
    for (let turn = 0; turn < 2; turn++) {
      client.send(create)
      await client.until('response.completed')
    }
    await until(() => seen.length === 3)
    const usage = { input: 5, output: 3, cacheRead: 2, cacheWrite: 0 }
    assert.deepEqual(
      seen.map((one) => [one.kind, one.id, one.status, one.usage]),
      [
        ['session', 'mine', 101, null],
        ['turn', 'mine.1', 200, usage],
        ['turn', 'mine.2', 200, usage],
      ],
    )
  })

  test('usage is written down once for each one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-turns-'))
    try {
      const file = join(folder, 'usage.jsonl')
      await using upstream = await responsesUpstream()
      const gw = await gateway({
        plugins: ['openai', { usage: { file } }],
        upstreams: [upstreamOf('o', upstream)],
      })
      {
        await using _gateway = gw
        using client = await connect(`${gw.url}/v1/responses`)
        for (let turn = 0; turn < 3; turn++) {
          client.send({ ...create, model: 'gpt-5' })
          await client.until('response.completed')
        }
      }
      const rows = (await readFile(file, 'utf8')).trim().split('\n')
      assert.equal(rows.length, 3)
      for (const row of rows) assert.equal((JSON.parse(row) as { output_tokens: number }).output_tokens, 3) // a row
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('the plugins of the shipped file do what they do, the demo included', async () => {
    await using gw = await gateway({
      plugins: ['security-headers', { 'ip-rules': { deny: [] } }, 'anthropic', 'openai', 'gemini', 'demo', 'failover'],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    assert.equal(client.headers['x-content-type-options'], 'nosniff')
    for (let turn = 0; turn < 2; turn++) {
      client.send({ ...create, model: 'demo' })
      const events = await client.until('response.completed')
      assert.equal(events[0]!.type, 'response.created')
      assert.ok(events.some(({ type }) => type === 'response.output_text.delta'))
    }
  })

  test('ops-capture keeps what one that failed has asked and was told', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-turns-'))
    try {
      const path = join(folder, 'ops.jsonl')
      await using upstream = await responsesUpstream((say) =>
        say({
          type: 'error',
          status: 400,
          error: { type: 'invalid_request_error', code: 'bad', message: 'it is wrong' },
        }),
      )
      {
        await using gw = await gateway({
          plugins: ['openai', { 'ops-capture': { file: path } }],
          upstreams: [upstreamOf('o', upstream)],
        })
        using client = await connect(`${gw.url}/v1/responses`)
        client.send(create)
        assert.equal((await client.next()).type, 'error')
      }
      const [line = '', ...others] = (await readFile(path, 'utf8')).trim().split('\n')
      const { message, model, upstream: name, method } = JSON.parse(line) as Record<string, unknown> // a record
      assert.deepEqual([message, model, name, method], ['it is wrong', 'gpt-5', 'o', 'POST'])
      assert.deepEqual(others, [])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('a key that is taken away is refused at the next one', async () => {
    await using upstream = await responsesUpstream()
    const options = (key: string): GatewayOptions => ({
      plugins: ['api-key-auth', 'openai'],
      keys: [{ name: 'me', key }],
      upstreams: [upstreamOf('o', upstream)],
    })
    await using gw = await gateway(options('a-key-of-16-characters'))
    using client = await connect(`${gw.url}/v1/responses`, {
      headers: { authorization: 'Bearer a-key-of-16-characters' },
    })
    client.send(create)
    await client.until('response.completed')
    assert.deepEqual(await gw.reload(options('another-key-of-16-characters')), [])
    client.send(create)
    assert.equal((await client.next()).status, 401)
    assert.equal((await client.closed).code, 1008)
    assert.equal(upstream.asked.length, 1)
  })

  test('editEvent replaces a message, and a plugin that throws there ends the turn with an error', async () => {
    const shout = definePlugin({
      name: 'shout',
      config: { type: 'object', additionalProperties: false, properties: {} },
      setup: () => ({
        editEvent({ body }, data) {
          if (body.get('input') === 'throw') throw new Error('no')
          return Buffer.from(data.toString().replace('hello', 'HELLO'))
        },
      }),
    })
    await using upstream = await responsesUpstream()
    await using gw = await gateway({ plugins: ['openai', shout], upstreams: [upstreamOf('o', upstream)] })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    const events = await client.until('response.completed')
    assert.equal(events[1]!.delta, 'HELLO')
    client.send({ ...create, input: 'throw' })
    assert.equal((await client.next()).status, 500)
    assert.equal((await client.closed).code, 1011)
  })
})

/** Puts the upstream that a header names first. */
function first(): Plugin {
  return definePlugin({
    name: 'first',
    config: { type: 'object', additionalProperties: false, properties: {} },
    setup: () => ({
      rankUpstreams: ({ headers }, candidates) =>
        candidates.toSorted(
          (one, other) => Number(other.name === headers['x-first']) - Number(one.name === headers['x-first']),
        ),
    }),
  })
}
