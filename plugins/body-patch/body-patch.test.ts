import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json, stream, type FakeUpstream } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'

const providers = ['anthropic', 'openai', 'gemini']
const before = (upstream: FakeUpstream, patch: object, others: Record<string, unknown>[] = []) =>
  gateway({
    plugins: [...providers, { 'body-patch': patch }, 'failover'],
    upstreams: [...others, ...providers.map((provider) => ({ name: provider, provider, url: upstream.url, key: 'k' }))],
  })
const post = (gw: TestGateway, path: string, body: string, headers: Record<string, string> = {}) =>
  fetch(gw.url + path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })

/** The bytes that the upstream is sent for these. */
async function sent(patch: object, body: string, { path = '/v1/responses', headers = {} } = {}): Promise<string> {
  await using upstream = await fakeUpstream(json(200, {}))
  await using gw = await before(upstream, patch)
  assert.equal((await post(gw, path, body, headers)).status, 200)
  return String(upstream.asked[0]?.body)
}

describe('body-patch', () => {
  test('touches nothing where it is told nothing', async () => {
    const body = '{ "model" : "m",\n "n": 1.0, "big": 12345678901234567890, "a":"\\u00e9" }'
    assert.equal(await sent({}, body), body)
  })

  test('sets, defaults, renames and deletes, and leaves every other byte', async () => {
    const body = '{ "keep": 1.0, "gone": {"x": [1]}, "old" : 7, "there":"yes", "big":12345678901234567890 }'
    const patch = {
      set: { temperature: 0 },
      default: { there: 'no', absent: [] },
      rename: { old: 'new' },
      delete: ['gone', 'nowhere'],
    }
    const after = await sent(patch, body)
    assert.deepEqual(JSON.parse(after), {
      keep: 1,
      there: 'yes',
      big: Number('12345678901234567890'),
      new: 7,
      absent: [],
      temperature: 0,
    })
    assert.match(after, /"keep": 1\.0/)
    assert.match(after, /"big":12345678901234567890/)
  })

  test('looks into objects, and makes the ones that are missing', async () => {
    assert.deepEqual(
      JSON.parse(
        await sent({ set: { 'reasoning.effort': 'none', 'a.b': 1 } }, '{"reasoning":{"effort":"minimal","x":1}}'),
      ),
      {
        reasoning: { effort: 'none', x: 1 },
        a: { b: 1 },
      },
    )
  })

  test('renames to nothing that is there already', async () => {
    assert.deepEqual(JSON.parse(await sent({ rename: { old: 'new' } }, '{"old":1,"new":2}')), { new: 2 })
  })

  test('leaves alone what is no JSON', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await before(upstream, { set: { x: 1 }, models: { '*': 'y' } })
    await fetch(`${gw.url}/v1/files`, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: '{"a":1}' })
    assert.equal(String(upstream.asked[0]?.body), '{"a":1}')
    assert.equal((await fetch(`${gw.url}/v1/models`)).status, 200)
  })
})

describe('rules', () => {
  const marked = async (rule: object, body = '{"model":"o1-mini","n":null}', at = {}) =>
    'x' in (JSON.parse(await sent({ rules: [{ ...rule, set: { x: 1 } }] }, body, at)) as object)

  test('hold where all of their condition does', async () => {
    assert.equal(await marked({}), true)
    assert.equal(
      await marked({ when: { provider: ['openai'], operation: ['responses'], path: ['/v1/*'], model: ['o1*', 'o3'] } }),
      true,
    )
    assert.equal(await marked({ when: { provider: ['openai'], model: ['o3'] } }), false)
    assert.equal(await marked({ when: { provider: ['anthropic'] } }), false)
    assert.equal(
      await marked({ when: { header: { 'User-Agent': 'codex*' } } }, '{}', { headers: { 'user-agent': 'codex/1' } }),
      true,
    )
    assert.equal(await marked({ when: { header: { 'x-none': '*' } } }), false)
    assert.equal(await marked({ when: { field: { 'a.b': 'c' } } }, '{"a":{"b":"c"}}'), true)
    assert.equal(await marked({ when: { field: { 'a.b': 'c' } } }, '{"a":{"b":"d"}}'), false)
    assert.equal(await marked({ when: { field: { absent: null } } }), true)
  })

  test('do not where all of their exception does', async () => {
    assert.equal(await marked({ unless: { model: ['o1*'] } }), false)
    assert.equal(await marked({ unless: { model: ['o1*'], provider: ['gemini'] } }), true)
    assert.equal(await marked({ when: { model: ['o1*'] }, unless: { field: { n: null } } }, '{"model":"o1"}'), false)
  })

  test('for an upstream edit its attempt only: each upstream is sent its own bytes', async () => {
    const body = '{ "model":"m", "n":1.0, "both":1 }'
    await using first = await fakeUpstream(json(500, {}))
    await using second = await fakeUpstream(json(200, {}))
    const rules = [
      { when: { upstream: ['first'] }, set: { one: 1 }, delete: ['both'] },
      { when: { upstream: ['openai'] }, set: { two: 2 } },
    ]
    await using gw = await before(second, { rules, set: { all: 0 } }, [
      { name: 'first', provider: 'openai', url: first.url, priority: 1 },
    ])
    assert.equal((await post(gw, '/v1/responses', body)).status, 200)
    assert.equal(String(first.asked[0]?.body), '{ "model":"m", "n":1.0,"all":0,"one":1 }')
    assert.equal(String(second.asked[0]?.body), '{ "model":"m", "n":1.0, "both":1,"all":0,"two":2 }')
  })
})

describe('models', () => {
  const models = { 'gpt-4*': 'gpt-5', 'gpt-4o*': 'gpt-5-mini', 'gpt-4o': 'exact', 'claude-3-*': 'claude-4-*' }

  test('are mapped: the exact name first, then the longest beginning; * carries the rest over', async () => {
    const asked = async (model: string) =>
      (JSON.parse(await sent({ models }, JSON.stringify({ model }))) as { model: string }).model
    assert.equal(await asked('gpt-4'), 'gpt-5')
    assert.equal(await asked('gpt-4o'), 'exact')
    assert.equal(await asked('gpt-4o-x'), 'gpt-5-mini')
    assert.equal(await asked('claude-3-opus'), 'claude-4-opus')
    assert.equal(await asked('other'), 'other')
  })

  test('are asked of an upstream that serves the mapped one', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: ['openai', { 'body-patch': { models: { a: 'b' } } }],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, models: ['b'] }],
    })
    assert.equal((await post(gw, '/v1/responses', '{"model":"a"}')).status, 200)
    assert.equal((await post(gw, '/v1/responses', '{"model":"c"}')).status, 404)
  })

  test('are told by the client’s own name in the answer, whole or streamed, and nothing else of it changes', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await before(upstream, { models })
    const told = async (path: string, request: object) => (await post(gw, path, JSON.stringify(request))).text()
    const answer = (text: string) => {
      upstream.script = (_asked, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
        response.end(text)
      }
    }
    answer('{ "id":"gpt-5", "model" : "gpt-5-2026-01-01", "n":1.0 }')
    assert.equal(await told('/v1/chat/completions', { model: 'gpt-4' }), '{ "id":"gpt-5", "model" : "gpt-4", "n":1.0 }')
    assert.equal(
      await told('/v1/chat/completions', { model: 'other' }),
      '{ "id":"gpt-5", "model" : "gpt-5-2026-01-01", "n":1.0 }',
    )
    const events =
      'event: response.created\ndata: {"type":"x","response":{"id":1,"model":"gpt-5"}}\n\n' +
      'data: {"model":"gpt-5","choices":[{"delta":{"content":"the \\"model\\" is gpt-5"}}]}\r\n\r\n' +
      'event: message_start\ndata: {"message":{"model":"gpt-5"}}\n\ndata: [DONE]\n\n'
    upstream.script = stream(Buffer.from(events), 7)
    const expected = events.replaceAll('"model":"gpt-5"', '"model":"gpt-4"')
    assert.equal(await told('/v1/responses', { model: 'gpt-4', stream: true }), expected)
  })

  test('in the path are asked for in the path', async () => {
    await using upstream = await fakeUpstream(json(200, { modelVersion: 'big-2' }))
    await using gw = await before(upstream, { models: { small: 'big' } })
    const answer = await post(gw, '/v1beta/models/small:generateContent?alt=json', '{"contents":[]}')
    assert.equal(upstream.asked[0]?.url, '/v1beta/models/big:generateContent?alt=json')
    assert.deepEqual(await answer.json(), { modelVersion: 'small' })
  })

  test('mapped for one upstream only are asked there only', async () => {
    await using first = await fakeUpstream(json(500, {}))
    await using second = await fakeUpstream(json(200, { model: 'm' }))
    const rules = [{ when: { upstream: ['first'] }, models: { m: 'other' } }]
    await using gw = await before(second, { rules }, [
      { name: 'first', provider: 'openai', url: first.url, priority: 1 },
    ])
    assert.deepEqual(await (await post(gw, '/v1/responses', '{"model":"m"}')).json(), { model: 'm' })
    assert.equal(String(first.asked[0]?.body), '{"model":"other"}')
    assert.equal(String(second.asked[0]?.body), '{"model":"m"}')
  })
})

test('what is no edit is refused with its line', async () => {
  await using gw = await gateway({ plugins: ['openai'] })
  const problems = await gw.reload({ plugins: ['openai', { 'body-patch': { rules: [{ wen: {} }], delete: 'x' } }] })
  assert.equal(problems.length, 2)
  assert.match(problems.map(({ message }) => message).join(), /Did you mean "when"/)
  const lists = await gw.reload({ plugins: ['openai', { 'body-patch': { set: { 'messages.0.role': 'user' } } }] })
  assert.match(lists[0]!.message, /"messages.0.role" leads into a list/)
})
