import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import OpenAI from 'openai'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'

const providers = ['anthropic', 'openai', 'gemini']
const before = (url: string, patch: object) =>
  gateway({
    plugins: [...providers, { 'body-patch': patch }],
    upstreams: providers.map((provider) => ({ name: provider, provider, url, key: 'k' })),
  })

describe('where models are mapped', () => {
  const patch = {
    models: { fast: 'gpt-5-mini', 'gpt-4*': 'gpt-5' },
    rules: [
      { when: { provider: ['anthropic'] }, models: { clever: 'claude-opus' } },
      { when: { upstream: ['gemini'] }, models: { bright: 'gemini-pro' } },
      { when: { header: { 'x-team': 'a' } }, models: { secret: 'o9' } },
    ],
  }

  test('the official SDKs list the names that are mapped for their API, and no upstream is asked', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await before(upstream.url, patch)
    const openai = new OpenAI({ baseURL: `${gw.url}/v1`, apiKey: 'k' })
    const listed = []
    for await (const { id } of openai.models.list()) listed.push(id)
    assert.deepEqual(listed, ['fast', 'bright'])

    const anthropic = new Anthropic({ baseURL: gw.url, apiKey: 'k' })
    const claude = []
    for await (const { id } of anthropic.models.list()) claude.push(id)
    assert.deepEqual(claude, ['fast', 'clever', 'bright'])

    const google = new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: gw.url } })
    const gemini = []
    for await (const { name } of await google.models.list({ config: { queryBase: true } })) gemini.push(name)
    assert.deepEqual(gemini, ['models/fast', 'models/bright'])
    assert.equal(upstream.asked.length, 0)
  })

  test('one that is mapped is described, any other is asked of the upstream', async () => {
    await using upstream = await fakeUpstream(
      json(200, { id: 'gpt-5', object: 'model', created: 1, owned_by: 'openai' }),
    )
    await using gw = await before(upstream.url, patch)
    const openai = new OpenAI({ baseURL: `${gw.url}/v1`, apiKey: 'k' })
    assert.deepEqual(
      { ...(await openai.models.retrieve('fast')) },
      { id: 'fast', object: 'model', created: 0, owned_by: 'postern' },
    )
    assert.equal((await openai.models.retrieve('gpt-5')).owned_by, 'openai')
    assert.deepEqual(
      upstream.asked.map(({ url }) => url),
      ['/v1/models/gpt-5'],
    )
  })

  test('a name that is mapped for some clients is listed for those', async () => {
    await using gw = await before('http://127.0.0.1:9', patch)
    const answer = await fetch(`${gw.url}/v1/models`, { headers: { 'x-team': 'a' } })
    const { data } = (await answer.json()) as { data: { id: string }[] } // OpenAI's list
    assert.deepEqual(
      data.map(({ id }) => id),
      ['fast', 'bright', 'secret'],
    )
  })
})

test('where none is mapped by a whole name, the upstream lists its own', async () => {
  await using upstream = await fakeUpstream(json(200, { object: 'list', data: [] }))
  await using gw = await before(upstream.url, { models: { 'gpt-4*': 'gpt-5' }, delete: ['user'] })
  assert.deepEqual(await (await fetch(`${gw.url}/v1/models`)).json(), { object: 'list', data: [] })
  assert.equal(upstream.asked.length, 1)
})
