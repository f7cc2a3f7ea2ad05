/** Bytes first: nothing on the way of a request parses its body. */
import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'

test('a body is patched, asked of two upstreams and mapped without ever being parsed or spelt as a whole', async () => {
  await using first = await fakeUpstream(json(500, {}))
  await using second = await fakeUpstream(json(200, { model: 'big', choices: [] }))
  await using gw = await gateway({
    plugins: [
      'anthropic',
      'openai',
      {
        'body-patch': {
          models: { small: 'big' },
          delete: ['user'],
          rules: [{ when: { upstream: ['first'] }, set: { only: 'first' } }],
        },
      },
      'failover',
    ],
    upstreams: [
      { name: 'first', provider: 'openai', url: first.url, key: 'k', priority: 1 },
      { name: 'second', provider: 'openai', url: second.url, key: 'k', priority: 2 },
    ],
  })
  const messages = Array.from({ length: 200 }, (_, at) => ({ role: 'user', content: `message ${at} `.repeat(40) }))
  const body = JSON.stringify({ model: 'small', user: 'u', messages, seed: 1 })
  const lengths: number[] = []
  const { parse, stringify } = JSON
  const parsing = mock.method(JSON, 'parse', (text: string, ...others: []) => {
    lengths.push(text.length)
    return parse(text, ...others)
  })
  const spelling = mock.method(JSON, 'stringify', (value: unknown, ...others: []) => {
    const text = stringify(value, ...others)
    lengths.push(text.length)
    return text
  })
  try {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${gw.url}/v1/chat/completions`, { method: 'POST', headers, body })
    assert.equal(await answer.text(), '{"model":"small","choices":[]}')
  } finally {
    parsing.mock.restore()
    spelling.mock.restore()
  }
  assert.ok(body.length > 80_000)
  // Single fields are parsed: a model, a flag. What the fake upstreams answer is spelt by them, and the log's line is read by the kit.
  assert.ok(Math.max(...lengths) < 500, `something of ${Math.max(...lengths)} characters was parsed or spelt`)
  const expected = body.replace('"model":"small","user":"u"', '"model":"big"')
  assert.equal(String(second.asked[0]?.body), expected)
  assert.equal(String(first.asked[0]?.body), expected.replace(/\}$/, ',"only":"first"}'))
})
