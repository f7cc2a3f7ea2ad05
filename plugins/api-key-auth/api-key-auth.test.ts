import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import OpenAI from 'openai'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'

const keys = [
  { name: 'team-a', key: 'key-of-team-a-0001', concurrency: 8 },
  { name: 'local', key: 'key-for-localhost-1', allow: ['127.0.0.0/8'] },
  { name: 'remote', key: 'key-from-elsewhere', allow: ['10.0.0.0/8'] },
  { name: 'banned', key: 'key-that-is-banned', deny: ['127.0.0.1'] },
  { name: 'old', key: 'key-that-has-ended', expires: '2020-01-31' },
]
const plugins = ['google-auth', 'api-key-auth', 'anthropic', 'openai', 'gemini']
const options = (url: string, more: Partial<GatewayOptions> = {}): GatewayOptions => ({
  keys,
  plugins,
  upstreams: ['anthropic', 'openai', 'gemini'].map((provider) => ({
    name: provider,
    provider,
    url,
    key: 'of-upstream',
  })),
  ...more,
})
const ask = (url: string, headers: Record<string, string>, path = '/v1/messages') =>
  fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{"model":"m"}',
  })

describe('a key of gateway.yaml', () => {
  test('admits where clients of each API put it, and no upstream ever sees it', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway(options(upstream.url))
    const key = 'key-of-team-a-0001'
    const places: Record<string, string>[] = [
      { authorization: `Bearer ${key}` },
      { authorization: `bearer  ${key} ` },
      { 'x-api-key': key },
      { 'x-goog-api-key': key },
    ]
    for (const headers of places) assert.equal((await ask(gw.url, headers)).status, 200, JSON.stringify(headers))
    const gemini = '/v1beta/models/m:generateContent'
    assert.equal((await ask(gw.url, { 'x-goog-api-key': key }, gemini)).status, 200)
    assert.equal((await ask(gw.url, {}, `${gemini}?alt=json&key=${key}`)).status, 200)
    assert.equal(upstream.asked.at(-1)?.url, '/v1beta/models/m:generateContent?alt=json')
    for (const { headers, url } of upstream.asked) assert.ok(!JSON.stringify([headers, url]).includes(key))
    assert.ok(!JSON.stringify(gw.records).includes(key), 'nor does the log')
  })

  test('is not lent to an upstream that has none of its own', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway(
      options('', { upstreams: [{ name: 'open', provider: 'anthropic', url: upstream.url }] }),
    )
    assert.equal((await ask(gw.url, { 'x-api-key': 'key-of-team-a-0001' })).status, 200)
    assert.equal(upstream.asked[0]?.headers['x-api-key'], undefined)
  })

  const rows: [what: string, headers: Record<string, string>, status: number, code: string, message: RegExp][] = [
    ['is missing', {}, 401, 'API_KEY_REQUIRED', /^API key is required in Authorization header/],
    ['is empty', { authorization: 'Bearer ' }, 401, 'API_KEY_REQUIRED', /required/],
    ['is of another scheme', { authorization: 'Basic eDp5' }, 401, 'API_KEY_REQUIRED', /required/],
    ['is unknown', { 'x-api-key': 'no-such-key-at-all' }, 401, 'INVALID_API_KEY', /^Invalid API key$/],
    ['has expired', { 'x-api-key': 'key-that-has-ended' }, 403, 'API_KEY_EXPIRED', /expired/],
    [
      'is used from where it may not be',
      { 'x-api-key': 'key-from-elsewhere' },
      403,
      'ACCESS_DENIED',
      /^Access denied$/,
    ],
    ['is refused from here', { 'x-api-key': 'key-that-is-banned' }, 403, 'ACCESS_DENIED', /^Access denied$/],
  ]
  for (const [what, headers, status, code, message] of rows) {
    test(`that ${what} is told so in each API, and plainly where that is wanted`, async () => {
      await using gw = await gateway(options('http://127.0.0.1:9'))
      const anthropic = await ask(gw.url, headers)
      assert.equal(anthropic.status, status)
      assert.equal(anthropic.headers.get('www-authenticate'), status === 401 ? 'Bearer realm="postern"' : null)
      const told = (await anthropic.json()) as { type: string; error: { message: string } } // Anthropic's shape
      assert.equal(told.type, 'error')
      assert.match(told.error.message, message)
      const openai = (await (await ask(gw.url, headers, '/v1/responses')).json()) as { error: { code: string } } // OpenAI's
      assert.equal(openai.error.code, code.toLowerCase())
      await gw.reload(
        options('http://127.0.0.1:9', {
          plugins: [{ 'api-key-auth': { errors: 'plain' } }, 'anthropic'],
          upstreams: [],
        }),
      )
      const plain = (await (await ask(gw.url, headers)).json()) as { code: string; message: string } // the older shape
      assert.equal(plain.code, code)
      assert.match(plain.message, message)
    })
  }

  test('in a query is refused before anything else is looked at', async () => {
    await using gw = await gateway(options('http://127.0.0.1:9'))
    for (const query of ['?key=x', '?a=1&api_key=y']) {
      const answer = await ask(gw.url, { 'x-api-key': 'key-of-team-a-0001' }, `/v1/messages${query}`)
      assert.equal(answer.status, 400)
      assert.match(await answer.text(), /deprecated\. Please use Authorization header/)
    }
  })

  test('lets the official SDKs raise their typed errors', async () => {
    await using gw = await gateway(options('http://127.0.0.1:9'))
    const bad = { apiKey: 'no-such-key-at-all', maxRetries: 0 }
    await assert.rejects(
      new OpenAI({ ...bad, baseURL: `${gw.url}/v1` }).models.retrieve('m'),
      (error) => error instanceof OpenAI.AuthenticationError && error.code === 'invalid_api_key',
    )
    await assert.rejects(
      new Anthropic({ ...bad, baseURL: gw.url }).messages.create({ model: 'm', max_tokens: 1, messages: [] }),
      (error) => error instanceof Anthropic.AuthenticationError && /Invalid API key/.test(error.message),
    )
    const google = new GoogleGenAI({ apiKey: bad.apiKey, apiVersion: 'v1beta', httpOptions: { baseUrl: gw.url } })
    await assert.rejects(google.models.generateContent({ model: 'm', contents: 'x' }), /UNAUTHENTICATED/)
  })

  test('counts at once after a reload, added or taken away', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway(options(upstream.url))
    const status = async (key: string) => (await ask(gw.url, { 'x-api-key': key })).status
    assert.deepEqual([await status('key-of-team-a-0001'), await status('a-brand-new-key-1')], [200, 401])
    await gw.reload(options(upstream.url, { keys: [{ name: 'new', key: 'a-brand-new-key-1' }] }))
    assert.deepEqual([await status('key-of-team-a-0001'), await status('a-brand-new-key-1')], [401, 200])
  })
})

describe('gateway.yaml', () => {
  const problems = async (list: object[]) => {
    await using gw = await gateway(options('http://127.0.0.1:9'))
    return (await gw.reload(options('http://127.0.0.1:9', { keys: list }))).map(({ message }) => message)
  }
  test('refuses keys that can be guessed, that are there twice, and names that are', async () => {
    assert.match(String(await problems([{ name: 'a', key: 'short' }])), /less than 16 characters/)
    const twice = await problems([
      { name: 'a', key: 'one-key-for-two-of-us' },
      { name: 'b', key: 'one-key-for-two-of-us' },
    ])
    assert.match(String(twice), /is the key a has already/)
    assert.ok(!String(twice).includes('one-key-for-two-of-us'))
    const named = await problems([
      { name: 'a', key: 'one-key-for-one-of-us' },
      { name: 'a', key: 'one-key-for-another-1' },
    ])
    assert.match(String(named), /has a key "a" already/)
    assert.match(
      String(await problems([{ name: 'a', key: 'one-key-for-one-of-us', expires: 'soon' }])),
      /must be a date/,
    )
  })

  test('is refused where nobody could be admitted', async () => {
    assert.match(
      String(await problems([])),
      /api-key-auth cannot be set up: it would admit nobody|google-auth cannot be set up/,
    )
  })
})
