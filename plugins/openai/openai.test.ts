import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { claimOf, refusalOf, usageOf } from '../../test/dialect.ts'
import openai from './index.ts'

describe('the openai provider', () => {
  test('claims its own paths, with and without the version, and passes on every other /v1 path', () => {
    const claims = claimOf(openai)
    assert.deepEqual(claims('POST', '/v1/chat/completions'), { operation: 'chat.completions' })
    assert.deepEqual(claims('POST', '/responses'), { operation: 'responses', path: '/v1/responses', turn: true })
    assert.deepEqual(claims('POST', '/v1/responses/compact'), { operation: 'responses' })
    assert.deepEqual(claims('GET', '/v1/responses/resp_1'), { operation: 'responses' })
    assert.deepEqual(claims('POST', '/embeddings'), { operation: 'embeddings', path: '/v1/embeddings' })
    assert.deepEqual(claims('GET', '/v1/models'), { operation: 'models', weak: true })
    assert.deepEqual(claims('POST', '/v1/brand/new'), { operation: 'other', weak: true })
    for (const foreign of ['/', '/v1', '/v2/chat/completions', '/responsesX', '/chat', '/v1beta/models/m']) {
      assert.equal(claims('POST', foreign), null, foreign)
    }
  })

  test('reads usage from chat completions, embeddings and responses, streamed or not', () => {
    const usage = usageOf(openai)
    assert.deepEqual(
      usage('{"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}'),
      { input: 6, output: 5, cacheRead: 4, cacheWrite: 0 },
    )
    assert.deepEqual(usage('{"usage":{"prompt_tokens":8,"total_tokens":8}}'), {
      input: 8,
      output: 0,
      cacheRead: 0,
      cacheWrite: 0,
    })
    assert.deepEqual(
      usage(
        '{"type":"response.created","response":{"usage":null}}',
        '{"type":"response.output_text.delta","delta":"\\"usage\\""}',
        '{"type":"response.completed","response":{"usage":{"input_tokens":7,"output_tokens":3,"input_tokens_details":{"cached_tokens":2}}}}',
      ),
      { input: 5, output: 3, cacheRead: 2, cacheWrite: 0 },
    )
    assert.deepEqual(usage('[DONE]', 'nonsense "usage"', '{"usage":"x"}'), {
      input: 0,
      output: 0,
      cacheRead: 0,
      cacheWrite: 0,
    })
  })

  test('refuses in words its SDKs know', () => {
    assert.deepEqual(refusalOf(openai, 429, 'SLOW_DOWN', 'later'), {
      error: { message: 'later', type: 'rate_limit_error', param: null, code: 'slow_down' },
    })
    assert.match(JSON.stringify(refusalOf(openai, 413, 'X', 'm')), /invalid_request_error/)
    assert.match(JSON.stringify(refusalOf(openai, 503, 'X', 'm')), /api_error/)
  })
})
