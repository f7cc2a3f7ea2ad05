import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { claimOf, refusalOf, usageOf } from '../../test/dialect.ts'
import gemini from './index.ts'

describe('the gemini provider', () => {
  test('takes model and stream from the path', () => {
    const claims = claimOf(gemini)
    assert.deepEqual(claims('POST', '/v1beta/models/gemini-pro:generateContent'), {
      operation: 'generateContent',
      model: 'gemini-pro',
      stream: false,
    })
    assert.deepEqual(claims('POST', '/v1beta/models/m:streamGenerateContent'), {
      operation: 'streamGenerateContent',
      model: 'm',
      stream: true,
    })
    assert.deepEqual(claims('POST', '/v1beta/models/m/countTokens'), {
      operation: 'countTokens',
      model: 'm',
      stream: false,
      path: '/v1beta/models/m:countTokens',
    })
    assert.deepEqual(claims('GET', '/v1beta/models'), { operation: 'models' })
    assert.deepEqual(claims('GET', '/v1beta/models/m'), { operation: 'models', model: 'm' })
    assert.deepEqual(claims('POST', '/v1beta/cachedContents'), { operation: 'other' })
    for (const version of ['v1', 'v1alpha', 'v1beta'])
      assert.deepEqual(claims('POST', `/upload/${version}/files`), { operation: 'upload', file: true })
    const store = '/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore'
    assert.deepEqual(claims('POST', store), { operation: 'upload', file: true })
    assert.deepEqual(claims('POST', '/upload/v1beta/models/m:generateContent'), { operation: 'other' })
    assert.equal(claims('POST', '/upload/v2/files'), null)
  })

  test('claims the Live API, with the second slash that Google’s SDK writes too', () => {
    const claims = claimOf(gemini)
    const path = '/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent'
    assert.deepEqual(claims('GET', path), { operation: 'live', websocket: 'session' })
    assert.deepEqual(claims('GET', `/${path}`), { operation: 'live', websocket: 'session', path })
    assert.deepEqual(claims('POST', `/${path}`), { operation: 'live', path })
    assert.equal(claims('GET', `//${path}`), null)
  })

  test('leaves what is OpenAI’s under /v1, but not its own actions', () => {
    const claims = claimOf(gemini)
    assert.equal(claims('GET', '/v1/models/gpt-4o'), null)
    assert.equal(claims('POST', '/v1/chat/completions'), null)
    const said = { 'x-goog-api-key': 'k' }
    assert.deepEqual(claims('GET', '/v1/models/m', said), { operation: 'models', model: 'm' })
    assert.deepEqual(claims('GET', '/v1/models', said), { operation: 'models' })
    assert.deepEqual(claims('POST', '/v1/models/m:generateContent'), {
      operation: 'generateContent',
      model: 'm',
      stream: false,
    })
  })

  test('reads the last usage of a stream, of a document and of a JSON array', () => {
    const usage = usageOf(gemini)
    const told = { input: 6, output: 9, cacheRead: 4, cacheWrite: 0 }
    const metadata =
      '"usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":7,"thoughtsTokenCount":2,"cachedContentTokenCount":4,"promptTokensDetails":[{"modality":"TEXT"}]}'
    assert.deepEqual(usage('{"usageMetadata":{"promptTokenCount":10}}', `{${metadata}}`), told)
    assert.deepEqual(usage(`[{"usageMetadata":{"promptTokenCount":1}},\n{"x":1,${metadata},"y":2}]`), told)
    assert.deepEqual(usage('["usageMetadata"', '[{"usageMetadata":{"a'), {
      input: 0,
      output: 0,
      cacheRead: 0,
      cacheWrite: 0,
    })
  })

  test('refuses in words its SDK knows', () => {
    assert.deepEqual(refusalOf(gemini, 403, 'X', 'no'), {
      error: { code: 403, message: 'no', status: 'PERMISSION_DENIED' },
    })
    assert.deepEqual(refusalOf(gemini, 502, 'X', 'no'), { error: { code: 502, message: 'no', status: 'INTERNAL' } })
    assert.deepEqual(refusalOf(gemini, 413, 'X', 'no'), { error: { code: 413, message: 'no', status: 'UNKNOWN' } })
  })
})
