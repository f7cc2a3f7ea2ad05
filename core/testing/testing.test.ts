/** The kit, used as the author of a plugin would. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { definePlugin, refuse } from 'postern/plugin'
import {
  answer,
  bench,
  cut,
  delay,
  failure,
  fakeUpstream,
  gateway,
  hang,
  inTurn,
  rehearse,
  type TestGateway,
} from 'postern/testing'

const post = (gw: TestGateway, path: string, body: object) =>
  fetch(gw.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

const chat = { model: 'm', messages: [{ role: 'user', content: 'Hello' }] }
const list = 'openai'
const yaml = `
upstreams:
  - { name: o, provider: openai, url: "\${UPSTREAM}", key: k }
plugins: [${list}]
`

const door = definePlugin({
  name: 'door',
  config: {
    type: 'object',
    description: 'Refuses everybody.',
    additionalProperties: false,
    properties: { word: { type: 'string', default: 'no', description: 'What it says.' } },
  },
  setup: ({ config }) => ({ onRequest: () => refuse(403, 'CLOSED', config.word) }),
})

describe('a gateway of the kit', () => {
  test('is started from the text of a gateway.yaml, on ports of its own', async () => {
    await using upstream = await fakeUpstream(answer('Hello there'))
    await using gw = await gateway(`listen: 127.0.0.1:8787\nadmin: false\n${yaml}`, { env: { UPSTREAM: upstream.url } })
    assert.notEqual(new URL(gw.url).port, '8787')
    const told = (await (await post(gw, '/v1/chat/completions', chat)).json()) as {
      choices: { message: { content: string } }[]
    } // as answers.ts has it
    assert.equal(told.choices[0]?.message.content, 'Hello there')
    assert.equal(upstream.asked[0]?.headers.authorization, 'Bearer k')
  })

  test('has plugins that its text names and the test holds in its hands', async () => {
    await using gw = await gateway('plugins: [openai, door: { word: never }]', { plugins: [door] })
    const refused = await post(gw, '/v1/chat/completions', chat)
    assert.equal(refused.status, 403)
    assert.match(await refused.text(), /never/)
  })

  test('finds plugins in the folder it is told of', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-kit-'))
    try {
      await mkdir(join(folder, 'shut'))
      await writeFile(
        join(folder, 'shut', 'index.js'),
        `import { definePlugin, reply } from 'postern/plugin'
         export default definePlugin({ name: 'shut', config: { type: 'object' }, setup: () => ({ onRequest: () => reply(410) }) })`,
      )
      await using gw = await gateway('plugins: [openai, ./shut]', { folder })
      assert.equal((await fetch(`${gw.url}/v1/models`)).status, 410)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('that cannot be is refused with every problem, each in its own line of the text', async () => {
    await assert.rejects(gateway('plugins:\n  - opnai\n  - openai: { a: 1 }\n'), /:2:5 [^]*"openai"\?[^]*:3:15 /)
  })
})

describe('an answer', () => {
  const cases = [
    { list: 'openai', path: '/v1/chat/completions', body: chat, last: /\[DONE\]\n\n$/ },
    { list: 'openai', path: '/v1/responses', body: { model: 'm', input: 'Hello' }, last: /response\.completed/ },
    { list: 'anthropic', path: '/v1/messages', body: { ...chat, max_tokens: 9 }, last: /message_stop/ },
  ]
  for (const { list: name, path, body, last } of cases) {
    test(`to ${path} is a document, or a stream that the gateway takes for content`, async () => {
      await using upstream = await fakeUpstream(answer('one two three'))
      await using gw = await gateway({
        plugins: [name, 'failover'],
        upstreams: [{ name: 'u', provider: name, url: upstream.url, key: 'k' }],
      })
      assert.match(await (await post(gw, path, body)).text(), /"one two three"/)
      const stream = await post(gw, path, { ...body, stream: true })
      assert.equal(stream.headers.get('content-type'), 'text/event-stream')
      const text = await stream.text()
      for (const word of ['one ', 'two ', 'three']) assert.ok(text.includes(JSON.stringify(word)), word)
      assert.match(text, last)
    })
  }

  test("to Gemini's verbs says the model of the path", async () => {
    await using upstream = await fakeUpstream(answer('one two'))
    await using gw = await gateway({
      plugins: ['gemini'],
      upstreams: [{ name: 'g', provider: 'gemini', url: upstream.url, key: 'k' }],
    })
    const contents = { contents: [{ parts: [{ text: 'Hello' }] }] }
    assert.match(await (await post(gw, '/v1beta/models/g-1:generateContent', contents)).text(), /"g-1"/)
    const stream = await post(gw, '/v1beta/models/g-1:streamGenerateContent?alt=sse', contents)
    assert.equal((await stream.text()).match(/^data: /gm)?.length, 2)
  })
})

describe('faults by script', () => {
  const failing = { plugins: ['openai', { failover: { attempts: 2 } }] }
  const both = (one: string, other: string) => [
    { name: 'one', provider: 'openai', url: one, key: 'k', priority: 1 },
    { name: 'other', provider: 'openai', url: other, key: 'k', priority: 2 },
  ]

  test('a status and a cut before the first event lead to the next upstream', async () => {
    for (const fault of [failure(503), cut(0, answer('never'))]) {
      await using one = await fakeUpstream(fault)
      await using other = await fakeUpstream(answer('from the other'))
      await using gw = await gateway({ ...failing, upstreams: both(one.url, other.url) })
      assert.match(await (await post(gw, '/v1/chat/completions', chat)).text(), /from the other/)
      assert.deepEqual([one.asked.length, other.asked.length], [1, 1])
    }
  })

  test('a cut after two events lets exactly those through', async () => {
    await using one = await fakeUpstream(cut(3, answer('one two three four')))
    await using gw = await gateway({ plugins: ['openai'], upstreams: both(one.url, one.url) })
    const text = await (await post(gw, '/v1/chat/completions', { ...chat, stream: true })).text()
    assert.match(text, /"one "/)
    assert.match(text, /"two "/)
    assert.doesNotMatch(text, /"three "/)
    assert.match(text, /"error"/)
  })

  test('scripts come in turn, later, or never', async () => {
    await using one = await fakeUpstream(inTurn(failure(418), delay(1, answer('late')), hang()))
    await using gw = await gateway({ plugins: ['openai'], upstreams: both(one.url, one.url) })
    assert.equal((await post(gw, '/v1/chat/completions', chat)).status, 418)
    assert.match(await (await post(gw, '/v1/chat/completions', chat)).text(), /late/)
    const waiting = new AbortController()
    const asked = fetch(`${gw.url}/v1/models`, { signal: waiting.signal })
    while (one.asked.length < 3) await new Promise((resolve) => setImmediate(resolve))
    waiting.abort()
    await assert.rejects(asked)
  })
})

describe('a rehearsal', () => {
  test('has the hooks of a plugin and exchanges for them, and no socket', async () => {
    await using rehearsal = await rehearse({ plugins: ['openai', door] })
    const exchange = await rehearsal.exchange({ path: '/v1/responses?x=1', body: '{"model":"m"}' })
    assert.deepEqual([exchange.path, exchange.query, exchange.method], ['/v1/responses', '?x=1', 'POST'])
    const answered = await rehearsal.hooks(door).onRequest?.(exchange)
    assert.equal(answered?.kind === 'refusal' && answered.message, 'no')
    assert.deepEqual(rehearsal.hooks({ ...door, name: 'nobody' }), {})
  })

  test('says what is wrong with its options', async () => {
    await assert.rejects(rehearse({ plugins: ['openai', { door: { wrd: 1 } }, door] }), /door/)
  })
})

describe('a benchmark', () => {
  test('tells time, bytes and the ratio to the first way, for what is asynchronous too', async () => {
    let told = ''
    const lists = {
      'made once': () => 1,
      'made each time': () => Array.from({ length: 1000 }, (_, at) => ({ at })),
      'made later': async () => [],
    }
    const ways = await bench('a list', lists, (text) => void (told += text))
    assert.deepEqual(
      ways.map(({ name }) => name),
      ['made once', 'made each time', 'made later'],
    )
    assert.equal(ways[0]?.ratio, 1)
    assert.ok(ways[1]!.bytes > 1000, 'a thousand objects are not nothing')
    assert.match(told, /^\na list\n {2}made once +\d+\.\d{3} µs +\d+ B +1\.00 x\n/)
  })
})
