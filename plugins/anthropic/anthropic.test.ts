import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { claimOf, refusalOf, usageOf } from '../../test/dialect.ts'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import anthropic from './index.ts'

describe('the anthropic provider', () => {
  test('claims its own paths, and those of others where the client says it speaks this API', () => {
    const claims = claimOf(anthropic)
    assert.deepEqual(claims('POST', '/v1/messages'), { operation: 'messages' })
    assert.deepEqual(claims('POST', '/v1/messages/count_tokens'), { operation: 'count_tokens' })
    assert.deepEqual(claims('GET', '/v1/messages/batches/b_1'), { operation: 'batches' })
    assert.equal(claims('GET', '/v1/models'), null)
    const said = { 'anthropic-version': '2023-06-01' }
    assert.deepEqual(claims('GET', '/v1/models', said), { operation: 'models' })
    assert.deepEqual(claims('POST', '/v1/files', said), { operation: 'other' })
    assert.equal(claims('GET', '/v1beta/models', said), null)
  })

  test('gathers usage over a stream, and reads it from a whole message', () => {
    const usage = usageOf(anthropic)
    assert.deepEqual(
      usage(
        '{"type":"message_start","message":{"usage":{"input_tokens":25,"cache_read_input_tokens":100,"cache_creation_input_tokens":7,"output_tokens":1}}}',
        '{"type":"content_block_delta","delta":{"text":"\\"usage\\""}}',
        '{"type":"message_delta","usage":{"output_tokens":15}}',
      ),
      { input: 25, output: 15, cacheRead: 100, cacheWrite: 7 },
    )
    assert.deepEqual(usage('{"usage":{"input_tokens":3,"output_tokens":4,"cache_read_input_tokens":null}}'), {
      input: 3,
      output: 4,
      cacheRead: 0,
      cacheWrite: 0,
    })
  })

  test('refuses in words its SDK knows', () => {
    assert.deepEqual(refusalOf(anthropic, 413, 'X', 'too big'), {
      type: 'error',
      error: { type: 'request_too_large', message: 'too big' },
    })
    assert.deepEqual(refusalOf(anthropic, 405, 'X', 'm'), {
      type: 'error',
      error: { type: 'invalid_request_error', message: 'm' },
    })
  })

  test('sends OAuth tokens as bearer tokens where it is told to', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: [{ anthropic: { credential: 'bearer' } }],
      upstreams: [{ name: 'a', provider: 'anthropic', url: upstream.url, key: 'token' }],
    })
    await fetch(`${gw.url}/v1/messages`, { method: 'POST', headers: { 'x-api-key': 'mine' }, body: '{}' })
    assert.equal(upstream.asked[0]?.headers.authorization, 'Bearer token')
    assert.equal(upstream.asked[0]?.headers['x-api-key'], undefined)
  })
})
