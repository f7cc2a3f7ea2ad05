import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { JsonBody } from '../../core/body/body.ts'
import { fakeUpstream, json, type FakeUpstream } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'
import { isAccountBound, isUnreadable, stripReasoning } from './reasoning.ts'

const strip = (text: string, signatures = true) => {
  const body = new JsonBody(Buffer.from(text))
  const found = stripReasoning(body, { signatures })
  return { found, text: body.bytes.toString() }
}

describe('stripping', () => {
  test('takes reasoning items out, and the ids of what followed them', () => {
    const { found, text } = strip(
      '{ "model" : "m", "input":[{"role":"user","content":"a"},{"type":"reasoning","id":"rs_1","encrypted_content":"x"},' +
        '{"type":"message","role":"assistant","id":"msg_1","content":[]},{"type":"function_call","id":"fc_1","call_id":"c"},' +
        '{"type":"function_call_output","id":"o_1","call_id":"c"}], "store":false}',
    )
    assert.equal(found, true)
    assert.equal(
      text,
      '{ "model" : "m", "input":[{"role":"user","content":"a"},{"type":"message","role":"assistant","content":[]},' +
        '{"type":"function_call","call_id":"c"},{"type":"function_call_output","id":"o_1","call_id":"c"}], "store":false}',
    )
  })

  test('spells every number as it was spelt', () => {
    const numbers = '{"a":12345678901234567890,"b":1.0,"c":1e2,"d":-0,"e":0.1}'
    const { text } = strip(`{"input":[{"type":"reasoning","encrypted_content":"x"},{"args":${numbers}}]}`)
    assert.equal(text, `{"input":[{"args":${numbers}}]}`)
  })

  test('takes thinking out, and a message of which nothing is left', () => {
    const { text } = strip(
      '{"thinking":{"type":"enabled"},"messages":[{"role":"user","content":"a"},{"role":"assistant","content":' +
        '[{"type":"thinking","thinking":"…","signature":"s"},{"type":"text","text":"b"}]},{"role":"assistant","content":' +
        '[{"type":"redacted_thinking","data":"x"}]},{"role":"user","content":"c"}]}',
    )
    assert.deepEqual(JSON.parse(text), {
      thinking: { type: 'enabled' },
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: [{ type: 'text', text: 'b' }] },
        { role: 'user', content: 'c' },
      ],
    })
  })

  test('switches thinking off where a turn goes on after a tool was used', () => {
    const { text } = strip(
      '{"thinking":{"type":"enabled"},"messages":[{"role":"assistant","content":[{"type":"thinking","signature":"s"},' +
        '{"type":"tool_use","id":"t","name":"n","input":{"n":90071992547409931}}]},' +
        '{"role":"user","content":[{"type":"tool_result","tool_use_id":"t"}]}]}',
    )
    assert.ok(!text.includes('"thinking"'))
    assert.ok(text.includes('90071992547409931'))
  })

  test('leaves signatures alone where nobody has refused them', () => {
    const text = '{"messages":[{"role":"assistant","content":[{"type":"thinking","signature":"s"}]}]}'
    assert.deepEqual(strip(text, false), { found: false, text })
  })

  test('changes no byte where nothing is to be taken out', () => {
    for (const text of [
      '{ "input": "text", "n": 1.0 }',
      '{"input":[{"type":"reasoning","summary":[]},{"type":"compaction","encrypted_content":"x"}]}',
      '{"messages":[1,null,"a",{"content":"b"}]}',
      '{}',
    ])
      assert.deepEqual(strip(text), { found: false, text })
  })
})

test('a request is bound to an account by encrypted reasoning, and by nothing else that is encrypted', () => {
  const isBound = (text: string) => isAccountBound(new JsonBody(Buffer.from(text)))
  assert.equal(isBound('{"input":[{"type":"reasoning","encrypted_content":"x"}]}'), true)
  assert.equal(isBound('{"reasoning":{"effort":"low"},"input":"text"}'), false)
  assert.equal(isBound('{"messages":[{"content":[{"type":"web_search_result","encrypted_content":"x"}]}]}'), false)
})

test('errors about reasoning of another account are known by their words', () => {
  for (const text of [
    '{"error":{"code":"invalid_encrypted_content","message":"The encrypted content could not be verified."}}',
    '{"error":{"message":"messages.1.content.0: Invalid `signature` in `thinking` block"}}',
  ])
    assert.equal(isUnreadable(Buffer.from(text)), true)
  assert.equal(isUnreadable(Buffer.from('{"error":{"message":"invalid model"}}')), false)
  assert.equal(isUnreadable(null), false)
})

const item = '{"type":"reasoning","id":"rs_1","encrypted_content":"gAAAA"}'
const conversation = `{"model":"m","input":[${item},{"role":"user","content":"go on"}]}`
const stripped = '{"model":"m","input":[{"role":"user","content":"go on"}]}'
const unreadable = json(400, { error: { code: 'invalid_encrypted_content', message: 'could not be verified' } })
const fine = json(200, { ok: true })

/** Tells failover the session and where it is at home. */
const pinner = definePlugin({
  name: 'pinner',
  config: { type: 'object', description: 'Pins by header.', additionalProperties: false },
  writes: ['session', 'pin'],
  setup: () => ({
    rankUpstreams({ facts, headers }, candidates) {
      if (typeof headers['x-session'] === 'string') facts.session = headers['x-session']
      if (typeof headers['x-pin'] === 'string') facts.pin = { upstream: headers['x-pin'], isHard: false }
      return candidates
    },
  }),
})
const before = (a: FakeUpstream, b: FakeUpstream, encrypted_reasoning?: string) =>
  gateway({
    plugins: ['openai', pinner, { failover: encrypted_reasoning ? { encrypted_reasoning } : {} }],
    upstreams: [
      { name: 'a', provider: 'openai', url: a.url, key: 'key-a', priority: 1 },
      { name: 'b', provider: 'openai', url: b.url, key: 'key-b', priority: 2 },
    ],
  })
const ask = (gw: TestGateway, headers: Record<string, string> = {}) =>
  fetch(`${gw.url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: conversation,
  })
const sent = ({ asked }: FakeUpstream) => asked.map(({ body }) => body.toString())

describe('reasoning that one account has encrypted', () => {
  test('goes to that account as it is, and is taken out for another one', async () => {
    await using a = await fakeUpstream(json(429, {}, { 'retry-after': '60' }))
    await using b = await fakeUpstream(fine)
    await using gw = await before(a, b)
    assert.equal((await ask(gw, { 'x-pin': 'a' })).status, 200)
    assert.deepEqual(sent(a), [conversation])
    assert.deepEqual(sent(b), [stripped])
  })

  test('is taken out for the rest of a session that has moved', async () => {
    await using a = await fakeUpstream(json(429, {}, { 'retry-after': '60' }))
    await using b = await fakeUpstream(fine)
    await using gw = await before(a, b)
    await ask(gw, { 'x-pin': 'a', 'x-session': 's' })
    await ask(gw, { 'x-pin': 'b', 'x-session': 's' })
    await ask(gw, { 'x-pin': 'b', 'x-session': 'another' })
    assert.deepEqual(sent(b), [stripped, stripped, conversation])
  })

  test('is taken out after a switch where nobody knows whose it is', async () => {
    await using a = await fakeUpstream(json(500, {}))
    await using b = await fakeUpstream(fine)
    await using gw = await before(a, b)
    assert.equal((await ask(gw)).status, 200)
    assert.deepEqual([...sent(a), ...sent(b)], [conversation, stripped])
  })

  test('is taken out once an account could not read it, and from then on for the whole session', async () => {
    await using a = await fakeUpstream((asked, ...more) =>
      (asked.body.includes('encrypted_content') ? unreadable : fine)(asked, ...more),
    )
    await using b = await fakeUpstream(fine)
    await using gw = await before(a, b)
    assert.equal((await ask(gw, { 'x-session': 's' })).status, 200)
    assert.deepEqual(sent(a), [conversation, stripped])
    assert.equal((await ask(gw, { 'x-session': 's' })).status, 200)
    assert.deepEqual(sent(a), [conversation, stripped, stripped])
    assert.ok(gw.records.some(({ level, account_id }) => level === 'warn' && account_id === 'a'))
    assert.equal(b.asked.length, 0)
  })

  test('that is not the reason after all is not asked about twice', async () => {
    await using a = await fakeUpstream(unreadable)
    await using b = await fakeUpstream(fine)
    await using gw = await before(a, b)
    assert.equal((await ask(gw)).status, 400)
    assert.equal(a.asked.length, 2)
  })

  test('keeps its exchange at home if it is told to stay', async () => {
    await using a = await fakeUpstream(json(429, {}, { 'retry-after': '60' }))
    await using b = await fakeUpstream(fine)
    await using gw = await before(a, b, 'stay')
    assert.equal((await ask(gw, { 'x-pin': 'a' })).status, 429)
    const refused = await ask(gw, { 'x-pin': 'a' })
    assert.equal(refused.status, 429)
    assert.match(await refused.text(), /a is resting \(60 s\), b does not hold this conversation/)
    assert.equal(b.asked.length, 0)
    assert.equal((await ask(gw, { 'x-pin': 'gone' })).status, 200, 'whose home is gone has none')
  })

  test('is passed as it is if that is what is wanted', async () => {
    await using a = await fakeUpstream(json(500, {}))
    await using b = await fakeUpstream(unreadable)
    await using gw = await before(a, b, 'pass')
    assert.equal((await ask(gw)).status, 400)
    assert.deepEqual(sent(b), [conversation])
  })
})
