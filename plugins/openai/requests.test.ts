import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { eventData, EventReader } from '../../core/sse.ts'
import { JsonBody } from '../../core/body/body.ts'
import { requests } from './requests.ts'

/** The message that a body becomes; null where there is none. */
function messageOf(body: string): string | null {
  const edited = new JsonBody(Buffer.from(body))
  return requests.asMessage(edited) ? String(edited.bytes) : null
}

const event = (message: string) => String(requests.asEvent(Buffer.from(message)))
const document = (message: object) => String(requests.asDocument(Buffer.from(JSON.stringify(message))))

describe('a request as a message', () => {
  test('says what it asks for, and nothing that only HTTP knows', () => {
    assert.equal(messageOf('{"model":"m", "n":1.0}'), '{"model":"m", "n":1.0,"type":"response.create"}')
    assert.equal(messageOf('{"stream":false,"model":"m","background":null}'), '{"model":"m","type":"response.create"}')
    assert.equal(messageOf('{"type":"other"}'), '{"type":"response.create"}')
    assert.equal(messageOf('{"type":"response.create"}'), '{"type":"response.create"}')
  })

  test('is none where it is to be answered later', () => {
    const body = new JsonBody(Buffer.from('{"background":true,"stream":true}'))
    assert.equal(requests.asMessage(body), false)
    assert.equal(String(body.bytes), '{"background":true,"stream":true}', 'and nothing was edited')
  })
})

describe('a message as a server-sent event', () => {
  test('has the type that it says, where that can stand in a line', () => {
    assert.equal(event('{"type":"response.created"}'), 'event: response.created\ndata: {"type":"response.created"}\n\n')
    assert.equal(event('{"a":1,"type":"x.y_z"}'), 'event: x.y_z\ndata: {"a":1,"type":"x.y_z"}\n\n')
    for (const odd of ['{"type":"a\\nid: 7"}', '{"type":"a b"}', '{"type":""}', '{"type":5}', '{}', 'nonsense'])
      assert.equal(event(odd), `data: ${odd}\n\n`)
    assert.doesNotMatch(event('{"type":"a\nevent: b"}'), /^event: [^r]/m, 'even where it is no JSON')
  })

  test('is read as one event with the same data, whatever it says and however it is spelt', () => {
    fc.assert(
      fc.property(
        fc.object(),
        fc.constantFrom(0, 2, '\t'),
        fc.constantFrom('\n', '\r\n', '\r'),
        (value, indent, end) => {
          const message = JSON.stringify({ ...value, type: 'response.created' }, null, indent).replaceAll('\n', end)
          const reader = new EventReader()
          const [whole, ...others] = reader.push(requests.asEvent(Buffer.from(message)))
          assert.equal(others.length + reader.rest().length, 0)
          assert.deepEqual(JSON.parse(eventData(whole!)!.toString()), JSON.parse(message))
          if (!message.includes('\n') && !message.includes('\r')) assert.equal(String(eventData(whole!)), message)
        },
      ),
      { numRuns: 300 },
    )
  })
})

describe('the last message as a document', () => {
  test('is its response, in the bytes that came', () => {
    const spelt = '{ "type":"response.completed","response":{ "id":"r" ,"n":1.0} }'
    assert.equal(String(requests.asDocument(Buffer.from(spelt))), '{ "id":"r" ,"n":1.0}')
    assert.equal(
      document({ type: 'response.incomplete', response: { status: 'incomplete' } }),
      '{"status":"incomplete"}',
    )
    assert.equal(requests.responseOf(Buffer.from(spelt)), 'r')
    for (const none of ['{}', '{"response":{"id":""}}', '{"response":{"id":5}}', 'nonsense'])
      assert.equal(requests.responseOf(Buffer.from(none)), null)
  })

  test('is an error in the words of HTTP, with what was said of it', () => {
    const error = { code: 'c', message: 'm', param: 'input' }
    assert.deepEqual(JSON.parse(document({ type: 'error', status: 404, error })), {
      error: { type: 'not_found_error', ...error },
    })
    assert.deepEqual(JSON.parse(document({ type: 'error', error: { type: 'tokens', message: 'm' } })), {
      error: { message: 'm', type: 'tokens', param: null, code: null },
    })
    assert.deepEqual(JSON.parse(document({ type: 'error', code: 'invalid_prompt', message: 'm' })), {
      error: { message: 'm', type: 'invalid_request_error', param: null, code: 'invalid_prompt' },
    })
    const failed = { type: 'response.failed', response: { error: { code: 'server_error', message: 'm' } } }
    assert.deepEqual(JSON.parse(document(failed)), {
      error: { message: 'm', type: 'api_error', param: null, code: 'server_error' },
    })
    for (const bare of [{ type: 'error' }, { type: 'response.failed' }, { type: 'response.failed', response: {} }])
      assert.match(document(bare), /^\{"error":\{"message":"The response failed","type":"api_error"/)
  })
})
