import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { replay } from './replay.ts'
import { websocket } from './websocket.ts'

const asked = (message: string) => String(replay.asked(Buffer.from(message)))
const anew = (message: string, ...before: string[]) =>
  String(
    replay.anew(
      Buffer.from(message),
      before.map((part) => Buffer.from(part)),
    ),
  )

describe('what is remembered of a conversation', () => {
  test('is what a message says, a text as the message that it stands for', () => {
    assert.equal(asked('{"input":"hé\\n"}'), '{"type":"message","role":"user","content":"hé\\n"}')
    assert.equal(asked('{"input":[ {"a":1.0} , {"b":2}]}'), ' {"a":1.0} , {"b":2}')
    for (const nothing of ['{}', '{"input":[]}', '{"input":null}', '{"input":{"a":1}}', '{"input":5}'])
      assert.equal(asked(nothing), '', nothing)
  })

  test('is each item that an event tells, or all that the last one tells', () => {
    const told = (event: string) => replay.item(Buffer.from(event))
    const item = '{ "type":"message","content":1.0 }'
    assert.equal(String(told(`{"type":"response.output_item.done","item":${item}}`)?.bytes), item)
    for (const none of ['added', 'done_not'])
      assert.equal(told(`{"type":"response.output_item.${none}","item":${item}}`), null)
    assert.equal(told('{"type":"response.output_item.done"}'), null)
    const event = `{"type":"response.completed","response":{"id":"resp_1","output":[${item} , {"type":"function_call"}]}}`
    const completed = replay.completed(Buffer.from(event))
    assert.equal(completed?.id, 'resp_1')
    assert.deepEqual(
      completed.items().map(({ bytes }) => String(bytes)),
      [item, '{"type":"function_call"}'],
    )
  })

  test('is no response that did not come to its end, or has no name', () => {
    for (const event of [
      '{"type":"response.incomplete","response":{"id":"resp_1"}}',
      '{"type":"response.failed","response":{"id":"resp_1"}}',
      '{"type":"response.completed","response":{"id":""}}',
      '{"type":"response.completed"}',
      '{"type":"error"}',
      'nonsense',
    ])
      assert.equal(replay.completed(Buffer.from(event)), null, event)
  })

  test('is reasoning only where it has its content, and then it is one account’s', () => {
    const told = (item: string) => replay.item(Buffer.from(`{"type":"response.output_item.done","item":${item}}`))
    assert.equal(told('{"type":"reasoning","id":"rs_1"}'), null)
    assert.equal(told('{"type":"reasoning","id":"rs_1","encrypted_content":null}'), null)
    assert.equal(told('{"type":"reasoning","encrypted_content":"x"}')?.isBound, true)
    assert.equal(told('{"type":"compaction","encrypted_content":"x"}')?.isBound, true)
    assert.equal(told('{"type":"message","content":"encrypted_content"}')?.isBound, false)
  })
})

describe('a message that begins a conversation anew', () => {
  test('has all that was said before it, and is otherwise as it was', () => {
    const message = '{"type":"response.create", "previous_response_id":"resp_1","input":[ {"c":3}],"n":1.0}'
    assert.equal(
      anew(message, '{"a":1}', ' ', '', '{"b":1.0} , {"b":2}'),
      '{"type":"response.create","input":[{"a":1},{"b":1.0} , {"b":2}, {"c":3}],"n":1.0}',
    )
    assert.equal(anew('{"previous_response_id":"resp_1"}', '{"a":1}'), '{"input":[{"a":1}]}')
    assert.equal(
      anew('{"input":"x","previous_response_id":"resp_1"}', '{"a":1}'),
      '{"input":[{"a":1},{"type":"message","role":"user","content":"x"}]}',
    )
  })

  test('is wanted where an error says that the response or the connection is no more', () => {
    const lost = (event: object) => websocket.turns!.lost!(Buffer.from(JSON.stringify(event)))
    assert.equal(lost({ type: 'error', error: { code: 'previous_response_not_found' } }), 'response')
    assert.equal(lost({ type: 'error', code: 'previous_response_not_found' }), 'response')
    assert.equal(lost({ type: 'error', error: { code: 'websocket_connection_limit_reached' } }), 'connection')
    assert.equal(lost({ type: 'error', error: { code: 'rate_limit_exceeded' } }), null)
    assert.equal(lost({ type: 'response.failed', error: { code: 'previous_response_not_found' } }), null)
  })
})
