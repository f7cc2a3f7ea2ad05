import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { stream, type Script } from '../../test/fake-upstream.ts'
import { errorInEvent } from './mid-stream.ts'
import { scene } from './scene.test.ts'

const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`
const chat = (content: string) => event({ id: 'c', object: 'chat.completion.chunk', choices: [{ delta: { content } }] })
const ask = { model: 'm', stream: true, messages: [{ role: 'user', content: 'Hello' }] }

describe('an error in the midst of a 200', () => {
  test('is captured, with the body of its request', async () => {
    const bytes = chat('Hel') + chat('lo') + event({ error: { type: 'server_error', code: 'x', message: 'lost it' } })
    await using it = await scene(stream(Buffer.from(bytes), 7))
    const answer = await it.ask(ask)
    assert.equal(answer.status, 200)
    assert.equal(await answer.text(), bytes)
    const [line] = await it.lines()
    assert.deepEqual(
      [line?.status, line?.recovered, line?.phase, line?.owner, line?.source, line?.severity, line?.is_retryable],
      [200, false, 'upstream', 'upstream', 'upstream_event', 'P1', true],
    )
    assert.deepEqual([line?.type, line?.code, line?.message], ['server_error', 'x', 'lost it'])
    assert.deepEqual(line?.request_body, ask)
  })

  test('is the client’s own where its type says so', async () => {
    const bytes = chat('Hel') + event({ error: { type: 'invalid_request_error', message: 'no' } })
    await using it = await scene(stream(Buffer.from(bytes), 64))
    await (await it.ask(ask)).text()
    const [line] = await it.lines()
    assert.deepEqual([line?.phase, line?.owner, line?.severity, line?.is_retryable], ['request', 'client', 'P3', false])
  })

  test('is captured where it comes first, with the status it stands for', async () => {
    const bytes = event({ error: { type: 'rate_limit_error', code: 'rate_limit_exceeded', message: 'slow down' } })
    await using it = await scene(stream(Buffer.from(bytes), 64))
    await (await it.ask(ask)).text()
    const [line, ...others] = await it.lines()
    assert.deepEqual(others, [])
    assert.deepEqual([line?.upstream_statuses, line?.severity, line?.message], [[429], 'P1', 'slow down'])
  })

  test('is captured where the upstream breaks off', async () => {
    const breaking: Script = (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(chat('Hel'), () => response.destroy())
    }
    await using it = await scene(breaking)
    await it.ask(ask).then(async (answer) => answer.text(), String)
    const [line] = await it.lines()
    assert.deepEqual([line?.status, line?.source, line?.owner], [200, 'upstream_network', 'upstream'])
    assert.ok(line?.code)
  })

  test('is not looked for where that is switched off', async () => {
    const bytes = chat('Hel') + event({ error: { message: 'lost it' } })
    await using it = await scene(stream(Buffer.from(bytes), 64), { mid_stream: false })
    await (await it.ask(ask)).text()
    assert.deepEqual(await it.lines(), [])
  })

  test('is not what an answer that talks of errors is', async () => {
    const bytes = ['"error"', '{"error":{"message":"x"}}', 'response.failed', '"type":"error"'].map(chat).join('')
    await using it = await scene(stream(Buffer.from(bytes), 64))
    await (await it.ask(ask)).text()
    assert.deepEqual(await it.lines(), [])
  })
})

describe('errorInEvent', () => {
  const told = (json: string) => errorInEvent(Buffer.from(json))

  test('knows the errors of every dialect', () => {
    const error = { type: 'overloaded_error', message: 'Overloaded' }
    for (const json of [
      JSON.stringify({ type: 'error', error }),
      JSON.stringify({ error }),
      JSON.stringify({ sequence_number: 12, type: 'error', message: 'Overloaded' }),
      JSON.stringify({ type: 'response.failed', response: { id: 'r', error } }),
      `{\n  "error": {\n    "code": 503,\n    "message": "Overloaded",\n    "status": "UNAVAILABLE"\n  }\n}`,
      '{"error":"Overloaded"}',
      ` {"error":"Overloaded"}`,
      `{"id":"${'x'.repeat(200)}","model":"m","error":{"message":"Overloaded"},"choices":[]}`,
    ])
      assert.equal(told(json)?.message, 'Overloaded', json)
  })

  test('sees none in events that only name errors', () => {
    for (const json of [
      '{"type":"response.created","response":{"id":"r","error":null}}',
      '{"error":null,"choices":[]}',
      '{"error":"","choices":[]}',
      '{"status":"error","type":"tool_result"}',
      '{"type":"response.output_text.delta","delta":"x.failed"}',
      '{"choices":[{"delta":{"content":"\\"error\\""}}]}',
      '[DONE]',
      '',
      '{"error',
    ])
      assert.equal(told(json), null, json)
  })

  test('never takes content for an error, whatever is said in it', () => {
    const words = fc.constantFrom(
      '"error"',
      '"error":{"message":"x"}',
      '"type":"error"',
      'response.failed',
      '{',
      '}',
      '\\',
      'a',
    )
    fc.assert(
      fc.property(fc.array(words, { maxLength: 12 }), fc.constantFrom('text', 'type2', 'delta'), (said, key) => {
        const text = said.join('')
        for (const value of [
          { [key]: text },
          { type: 'x', delta: { text } },
          { choices: [{ delta: { content: text } }] },
        ])
          assert.equal(told(JSON.stringify(value)), null)
      }),
    )
  })

  test('masks what an upstream tells of keys', () => {
    assert.equal(told('{"error":{"message":"bad key sk-0123456789"}}')?.message, 'bad key sk-***')
  })
})
