import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { trimRequest } from './redact-trim.ts'

type Request = Record<string, unknown>
const trim = (request: Request | string, cap?: number): Request => {
  const bytes = trimRequest(Buffer.from(typeof request === 'string' ? request : JSON.stringify(request)), cap)
  assert.ok(bytes)
  return JSON.parse(bytes.toString()) as Request // an object stays one
}
const said = (count: number, length = 50) =>
  Array.from({ length: count }, (_, at) => ({ role: 'user', content: `${at} ${'"\\[{,'.repeat(length / 5)}` }))

describe('trimRequest', () => {
  test('leaves a request that fits as it is', () => {
    const bytes = Buffer.from('{"model" : "m", "n": 1.0}')
    assert.equal(trimRequest(bytes), bytes)
  })

  test('keeps nothing of what is no JSON object', () => {
    for (const body of ['', 'a=1', '[1]', '"x"', '{"a":1', '{"a":1}}'])
      assert.equal(trimRequest(Buffer.from(body)), null, body)
  })

  test('keeps the newest messages and everything beside them', () => {
    for (const list of ['messages', 'contents', 'input']) {
      const messages = said(1000)
      const kept = trim({ model: 'm', [list]: messages, temperature: 0.5 })
      const left = kept[list] as typeof messages // under the name it had
      assert.deepEqual(left, messages.slice(-left.length))
      assert.ok(left.length > 50)
      assert.deepEqual([kept.model, kept.temperature, kept.request_body_truncated], ['m', 0.5, true])
    }
  })

  test('keeps the essentials and the last message where the rest is too long', () => {
    const tools = 'x'.repeat(5000)
    const request = { tools, max_tokens: 5, messages: said(3), stream: true, model: 'm', thinking: { type: 'enabled' } }
    assert.deepEqual(trim(request, 1000), {
      model: 'm',
      stream: true,
      max_tokens: 5,
      thinking: { type: 'enabled' },
      messages: said(3).slice(-1),
      request_body_truncated: true,
      request_body_bytes: JSON.stringify(request).length,
    })
  })

  test('keeps what fits of the essentials where the last message is too long, or there is none', () => {
    const long = 'x'.repeat(5000)
    for (const messages of [[{ content: long }], [], long, { 0: long }]) {
      const { request_body_bytes: bytes, ...kept } = trim({ model: 'm', thinking: long, top_p: 1, messages, long }, 500)
      assert.deepEqual(kept, { model: 'm', top_p: 1, request_body_truncated: true })
      assert.ok(Number(bytes) > 5000)
    }
    assert.deepEqual(trim({ model: long }, 100), { request_body_truncated: true, request_body_bytes: 5012 })
  })

  test('says once that it was cut, however often, and how long it was', () => {
    const messages = said(1000)
    const bytes = Buffer.from(JSON.stringify({ model: 'm', messages }))
    const once = trimRequest(bytes, 2000)!
    for (const cap of [1000, 150]) {
      const again = trimRequest(once, cap)?.toString() ?? ''
      assert.ok(again.length <= cap)
      assert.equal(again.match(/request_body_truncated/g)?.length, 1)
      assert.match(again, new RegExp(`"request_body_bytes":${bytes.length}}$`))
    }
  })

  test('keeps numbers as they are spelt', () => {
    const body = `{"user":12345678901234567890,"messages":[${'1,'.repeat(9000)}1.0]}`
    const kept = trimRequest(Buffer.from(body))?.toString()
    assert.ok(kept?.startsWith('{"user":12345678901234567890,"messages":[1,1'))
    assert.ok(kept?.endsWith(`1,1.0],"request_body_truncated":true,"request_body_bytes":${body.length}}`))
  })

  test('keeps as many of the newest messages as fit, whatever they hold', () => {
    const text = fc.string({ unit: fc.constantFrom(...Array.from('ab"\\[]{},: \né')), maxLength: 30 })
    const messages = fc.array(fc.oneof(text, fc.record({ content: text, parts: fc.array(text, { maxLength: 3 }) })), {
      maxLength: 30,
    })
    fc.assert(
      fc.property(messages, text, fc.integer({ min: 150, max: 600 }), fc.nat(2), (messages, user, cap, indent) => {
        const bytes = Buffer.from(JSON.stringify({ messages, user }, null, indent))
        const kept = trimRequest(bytes, cap)
        assert.ok(kept && kept.length <= cap)
        const parsed = JSON.parse(kept.toString()) as { messages?: unknown[]; user?: string } // made above
        if (bytes.length <= cap) return assert.equal(kept, bytes)
        if (parsed.user === undefined) return
        assert.ok(parsed.messages && parsed.messages.length > 0)
        assert.equal(JSON.stringify(parsed.messages), JSON.stringify(messages.slice(-parsed.messages.length)))
        const next = messages.at(-parsed.messages.length - 1)
        if (next !== undefined && indent === 0)
          assert.ok(kept.length + Buffer.byteLength(JSON.stringify(next)) + 1 > cap, 'one more would have fitted')
      }),
      { numRuns: 2000 },
    )
  })
})
