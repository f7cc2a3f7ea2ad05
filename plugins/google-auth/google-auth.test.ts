import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'

const keys = [
  { name: 'a', key: 'key-of-team-a-0001' },
  { name: 'banned', key: 'key-that-is-banned', deny: ['127.0.0.1'] },
  { name: 'old', key: 'key-that-has-ended', expires: '2020-01-31' },
]
const path = '/v1beta/models/m:generateContent'
const ask = (url: string, headers: Record<string, string>) =>
  fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: '{}' })

describe('google-auth', () => {
  const rows: [what: string, query: string, headers: Record<string, string>, error: object][] = [
    ['no key', '', {}, { code: 401, message: 'API key is required', status: 'UNAUTHENTICATED' }],
    [
      'an empty one in the query',
      '?key=',
      {},
      { code: 401, message: 'API key is required', status: 'UNAUTHENTICATED' },
    ],
    [
      'an unknown one',
      '?key=nobody-has-this-one',
      {},
      { code: 401, message: 'Invalid API key', status: 'UNAUTHENTICATED' },
    ],
    [
      'one that has expired',
      '',
      { 'x-goog-api-key': 'key-that-has-ended' },
      { code: 403, message: 'This API key has expired', status: 'PERMISSION_DENIED' },
    ],
    [
      'one from the wrong place',
      '',
      { authorization: 'Bearer key-that-is-banned' },
      { code: 403, message: 'Access denied', status: 'PERMISSION_DENIED' },
    ],
    [
      'one as api_key',
      '?api_key=key-of-team-a-0001',
      {},
      {
        code: 400,
        message: 'Query parameter api_key is deprecated. Use Authorization header or key instead.',
        status: 'INVALID_ARGUMENT',
      },
    ],
  ]
  for (const [what, query, headers, error] of rows) {
    test(`tells ${what} in Google's words, whether a provider claims the path or not`, async () => {
      await using gw = await gateway({ keys, plugins: ['google-auth', 'gemini'] })
      const answer = await ask(`${gw.url}${path}${query}`, headers)
      assert.equal(answer.status, (error as { code: number }).code) // as each row has it
      assert.deepEqual(await answer.json(), { error })
      // Without a provider nobody moves the key out of the query.
      if (query.startsWith('?key')) return
      await gw.reload({ keys, plugins: ['google-auth'] })
      assert.deepEqual(await (await ask(`${gw.url}${path}${query}`, headers)).json(), { error })
    })
  }

  test('looks in x-goog-api-key first, then for a bearer, then in x-api-key', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      keys,
      plugins: ['google-auth', 'gemini'],
      upstreams: [{ name: 'g', provider: 'gemini', url: upstream.url, key: 'u' }],
    })
    const good = 'key-of-team-a-0001'
    const status = async (headers: Record<string, string>, query = '') =>
      (await ask(gw.url + path + query, headers)).status
    assert.equal(await status({ 'x-goog-api-key': good, authorization: 'Bearer wrong', 'x-api-key': 'wrong' }), 200)
    assert.equal(await status({ authorization: `Bearer ${good}`, 'x-api-key': 'wrong' }), 200)
    assert.equal(await status({ 'x-api-key': good }), 200)
    assert.equal(await status({ 'x-goog-api-key': good }, '?key=wrong'), 200, 'the header counts before the query')
  })

  test('lets the paths of other APIs pass', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      keys,
      plugins: ['google-auth', 'anthropic'],
      upstreams: [{ name: 'a', provider: 'anthropic', url: upstream.url, key: 'u' }],
    })
    assert.equal((await ask(`${gw.url}/v1/messages`, {})).status, 200)
  })
})
