/** What the contract promises to plugins, seen through a running gateway. */
import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { describe, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { definePlugin, refuse, reply, retry, type Exchange, type Facts, type Phase } from 'postern/plugin'
import type { Usage } from 'postern/provider'
import { fakeUpstream, json, stream } from '../fake-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'

const none = { type: 'object', properties: {} } as const
const upstream = (url: string, name = 'o') => ({ name, provider: 'openai', url, key: 'k' })
const ask = (gw: TestGateway, body: object = { model: 'm' }) =>
  fetch(`${gw.url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

describe('the phases', () => {
  test('run down the list towards the upstream and up on the way back', async () => {
    const told: string[] = []
    const teller = (name: string) =>
      definePlugin({
        name,
        config: none,
        setup() {
          const tell = (phase: Phase) => void told.push(`${phase} ${name}`)
          return {
            onRequest: () => tell('onRequest'),
            onBody: () => tell('onBody'),
            rankUpstreams(_exchange, candidates) {
              tell('rankUpstreams')
              return candidates
            },
            onUpstreamRequest: () => tell('onUpstreamRequest'),
            onUpstreamResult: () => tell('onUpstreamResult'),
            onResponse: () => tell('onResponse'),
            onEvent: () => tell('onEvent'),
            editEvent: () => tell('editEvent'),
            onEnd: () => tell('onEnd'),
          }
        },
      })
    await using fake = await fakeUpstream(json(200, { ok: true }))
    await using gw = await gateway({
      plugins: [teller('one'), 'openai', teller('two')],
      upstreams: [upstream(fake.url)],
    })
    await (await ask(gw)).text()
    while (told.length < 18) await new Promise((resolve) => setImmediate(resolve))
    const order = (first: string, second: string) => (phase: string) => [`${phase} ${first}`, `${phase} ${second}`]
    assert.deepEqual(told, [
      ...['onRequest', 'onBody', 'rankUpstreams', 'onUpstreamRequest'].flatMap(order('one', 'two')),
      ...['onUpstreamResult', 'onResponse', 'onEvent', 'editEvent', 'onEnd'].flatMap(order('two', 'one')),
    ])
  })

  test('a plugin may answer for everyone, refuse in the dialect, or pass an upstream over', async () => {
    const answers = definePlugin({
      name: 'answers',
      config: none,
      setup: () => ({
        onRequest: ({ headers }) =>
          headers['x-want'] === 'reply' ? reply(418, 'short and stout', { 'x-tea': 'yes' }) : undefined,
        onBody: ({ body }) =>
          body.get('want') === 'refusal' ? refuse(429, 'TOO_FAST', 'slower', { 'retry-after': '3' }) : undefined,
        onUpstreamRequest: ({ upstream: asked }) => (asked?.name === 'first' ? retry() : undefined),
      }),
    })
    await using fake = await fakeUpstream(json(200, { ok: true }))
    await using gw = await gateway({
      plugins: ['openai', answers, 'failover'],
      upstreams: [upstream('http://127.0.0.1:9', 'first'), upstream(fake.url, 'second')],
    })
    const tea = await fetch(`${gw.url}/v1/models`, { headers: { 'x-want': 'reply' } })
    assert.deepEqual([tea.status, tea.headers.get('x-tea'), await tea.text()], [418, 'yes', 'short and stout'])
    const refused = await ask(gw, { want: 'refusal' })
    assert.equal(refused.headers.get('retry-after'), '3')
    assert.deepEqual(await refused.json(), {
      error: { message: 'slower', type: 'rate_limit_error', param: null, code: 'too_fast' },
    })
    assert.deepEqual(await (await ask(gw)).json(), { ok: true })
  })
})

describe('events', () => {
  const events = 'event: a\ndata: {"n":1}\n\n: comment\n\ndata: {"n":2}\ndata: x\n\nevent: b\ndata: [DONE]\n\n'

  test('are shown whole, however they arrive, and the bytes stay as they are', async () => {
    const seen: string[] = []
    const watcher = definePlugin({
      name: 'watcher',
      config: none,
      setup: () => ({ onEvent: (_exchange, data) => void seen.push(String(data)) }),
    })
    await using fake = await fakeUpstream(stream(Buffer.from(events), 3))
    await using gw = await gateway({ plugins: ['openai', watcher], upstreams: [upstream(fake.url)] })
    assert.equal(await (await ask(gw)).text(), events)
    assert.deepEqual(seen, ['{"n":1}', '{"n":2}\nx', '[DONE]'])
    assert.equal(fake.asked[0]?.headers['accept-encoding'], 'identity', 'compressed events could not be read')
  })

  test('are replaced where a plugin edits them, and nothing else is', async () => {
    const editor = definePlugin({
      name: 'editor',
      config: none,
      setup: () => ({
        editEvent: (_exchange, data) => (data.includes('"n":1') ? Buffer.from('{"n":"one"}') : undefined),
      }),
    })
    await using fake = await fakeUpstream(stream(Buffer.from(events), 5))
    await using gw = await gateway({ plugins: ['openai', editor], upstreams: [upstream(fake.url)] })
    assert.equal(await (await ask(gw)).text(), events.replace('{"n":1}', '{"n":"one"}'))
    fake.script = json(200, { n: 1 })
    assert.equal(await (await ask(gw)).text(), '{"n":"one"}')
    fake.script = json(200, { n: 2 })
    assert.equal(await (await ask(gw)).text(), '{"n":2}')
  })
})

describe('facts', () => {
  test('of provider, model, stream and usage are there for who reads them', async () => {
    const told: { provider?: string; model: string | null; stream: boolean | null; usage: Usage | null }[] = []
    const reader = definePlugin({
      name: 'reader',
      config: none,
      reads: ['provider', 'model', 'stream', 'usage'],
      setup: () => ({
        onEnd: ({ facts: { provider, model, stream: streamed, usage } }) =>
          void told.push({ provider: provider?.name, model, stream: streamed, usage }),
      }),
    })
    await using gw = await gateway({ plugins: ['anthropic', 'openai', 'gemini', reader, 'demo'] })
    const post = async (path: string, body: object) =>
      (
        await fetch(gw.url + path, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        })
      ).text()
    const messages = [{ role: 'user', content: 'Hello' }]
    const contents = [{ parts: [{ text: 'Hello' }] }]
    await post('/v1/chat/completions', { model: 'demo', messages })
    await post('/v1/responses', { model: 'demo', input: 'Hello', stream: true })
    await post('/v1/messages', { model: 'demo', max_tokens: 50, messages, stream: true })
    await post('/v1/messages', { model: 'demo', max_tokens: 50, messages })
    await post('/v1beta/models/demo:streamGenerateContent?alt=sse', { contents })
    await post('/v1beta/models/demo:streamGenerateContent', { contents })
    await post('/v1beta/models/demo:generateContent', { contents })
    while (told.length < 7) await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(
      told.map(({ provider, model, stream: streamed }) => [provider, model, streamed]),
      [
        ['openai', 'demo', false],
        ['openai', 'demo', true],
        ['anthropic', 'demo', true],
        ['anthropic', 'demo', false],
        ['gemini', 'demo', true],
        ['gemini', 'demo', true],
        ['gemini', 'demo', false],
      ],
    )
    for (const { usage } of told) assert.ok(usage && usage.input > 0 && usage.output > 0, JSON.stringify(told))
  })

  test('of all exchanges of a gateway have one hidden class, and so have the exchanges', async () => {
    setFlagsFromString('--allow-natives-syntax')
    const same = runInNewContext('(one, other) => %HaveSameMap(one, other)') as (one: object, other: object) => boolean // V8's own
    const exchanges: Exchange[] = []
    const keeper = definePlugin({
      name: 'keeper',
      config: none,
      reads: ['model'],
      setup: () => ({ onEnd: (exchange) => void exchanges.push(exchange as Exchange) }),
    })
    await using fake = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: ['anthropic', 'openai', keeper, 'failover'],
      upstreams: [upstream(fake.url)],
    })
    await (await ask(gw)).text()
    await (await ask(gw, { model: 'other', stream: true })).text()
    await (await fetch(`${gw.url}/v1/models`)).text()
    await (await fetch(`${gw.url}/nowhere`)).text()
    fake.script = json(500, {})
    await (await ask(gw)).text()
    while (exchanges.length < 5) await new Promise((resolve) => setImmediate(resolve))
    const [first, ...others] = exchanges
    for (const other of others) {
      assert.ok(same(first!.facts, other.facts), 'facts')
      assert.ok(same(first!, other), 'exchanges')
    }
  })

  test('that are not declared do not compile', () => {
    definePlugin({
      name: 'typed',
      config: { type: 'object', properties: { n: { type: 'integer', default: 1 } }, additionalProperties: false },
      reads: ['model'],
      setup({ config }) {
        const n: number = config.n
        // @ts-expect-error -- no such option
        void config.m
        return {
          onRequest({ facts }) {
            const model: Facts['model'] | null = facts.model
            // @ts-expect-error -- a fact that is only read
            facts.model = 'x'
            // @ts-expect-error -- a fact that is not declared
            void facts.usage
            return n > 1 && model ? reply(200) : undefined
          },
        }
      },
    })
  })
})
