import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { GoogleGenAI } from '@google/genai'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'

const plugins = ['anthropic', 'gemini', 'antigravity', 'failover']
const upstream = (url: string, more = {}) => ({ name: 'ag', provider: 'antigravity', url, key: 'token', ...more })
const post = (url: string, body: object = { model: 'm' }, headers = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

describe('the antigravity provider', () => {
  test("is asked by Anthropic's SDK under /v1 and by Google's, at the same upstream", async () => {
    await using service = await fakeUpstream((asked, response, request) => {
      const isGemini = asked.url.includes('generateContent')
      const gemini = { candidates: [{ content: { role: 'model', parts: [{ text: 'from gemini' }] } }] }
      const anthropic = {
        id: 'a',
        type: 'message',
        role: 'assistant',
        content: [{ type: 'text', text: 'from claude' }],
      }
      return json(200, isGemini ? gemini : anthropic)(asked, response, request)
    })
    await using gw = await gateway({ plugins, upstreams: [upstream(service.url)] })

    const anthropic = new Anthropic({ baseURL: `${gw.url}/antigravity`, apiKey: 'own', maxRetries: 0 })
    const message = await anthropic.messages.create({
      model: 'claude',
      max_tokens: 9,
      messages: [{ role: 'user', content: 'x' }],
    })
    assert.deepEqual(message.content, [{ type: 'text', text: 'from claude' }])

    const google = new GoogleGenAI({ apiKey: 'own', httpOptions: { baseUrl: `${gw.url}/antigravity` } })
    const answer = await google.models.generateContent({ model: 'gemini', contents: 'x' })
    assert.equal(answer.text, 'from gemini')

    assert.deepEqual(
      service.asked.map(({ url, headers }) => [
        url,
        headers.authorization,
        headers['x-api-key'],
        headers['x-goog-api-key'],
      ]),
      [
        ['/v1/messages', 'Bearer token', undefined, undefined],
        ['/v1/models/gemini:generateContent', 'Bearer token', undefined, undefined],
      ],
      "with the upstream's key, and none of the client's",
    )
  })

  test('sends keys where each API has them, when told so', async () => {
    await using service = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: [{ antigravity: { credential: 'dialect' } }],
      upstreams: [upstream(service.url)],
    })
    await post(`${gw.url}/antigravity/v1/messages`)
    await post(`${gw.url}/antigravity/v1beta/models/m:generateContent?key=own`)
    const [messages, content] = service.asked
    assert.deepEqual([messages?.headers['x-api-key'], messages?.headers.authorization], ['token', undefined])
    assert.deepEqual([content?.headers['x-goog-api-key'], content?.url], ['token', '/v1beta/models/m:generateContent'])
  })

  test('lists models in each API, without a hint in the headers', async () => {
    await using service = await fakeUpstream(json(200, { data: [] }))
    await using gw = await gateway({ plugins, upstreams: [upstream(service.url)] })
    for (const path of ['/v1/models', '/models', '/v1beta/models']) await fetch(`${gw.url}/antigravity${path}`)
    assert.deepEqual(
      service.asked.map(({ url }) => url),
      ['/v1/models', '/v1/models', '/v1beta/models'],
    )
  })

  test('refuses in the API that was spoken', async () => {
    await using gw = await gateway({ plugins, upstreams: [] })
    const messages = (await (await post(`${gw.url}/antigravity/v1/messages`)).json()) as { type: string } // Anthropic's shape
    assert.equal(messages.type, 'error')
    const answer = await post(`${gw.url}/antigravity/v1beta/models/m:generateContent`)
    const { error } = (await answer.json()) as { error: { code: number; status: string } } // Google's shape
    assert.deepEqual([error.code, error.status], [503, 'INTERNAL'])
  })

  test('never asks an upstream of anthropic or gemini, nor they one of its own', async () => {
    await using theirs = await fakeUpstream(json(200, { theirs: true }))
    await using own = await fakeUpstream(json(200, { own: true }))
    await using gw = await gateway({
      plugins,
      upstreams: [
        { name: 'a', provider: 'anthropic', url: theirs.url, key: 'k' },
        { name: 'g', provider: 'gemini', url: theirs.url, key: 'k' },
        upstream(own.url),
      ],
    })
    assert.deepEqual(await (await post(`${gw.url}/antigravity/v1/messages`)).json(), { own: true })
    assert.deepEqual(await (await post(`${gw.url}/v1/messages`)).json(), { theirs: true })
    assert.deepEqual(await (await post(`${gw.url}/antigravity/v1beta/models/m:generateContent`)).json(), { own: true })
  })

  test('wants an address, of itself or of each upstream', async () => {
    await assert.rejects(
      gateway({ plugins: ['antigravity'], upstreams: [{ name: 'ag', provider: 'antigravity', key: 'k' }] }),
      /this upstream has no url, and neither has antigravity/,
    )
    await using gw = await gateway({
      plugins: [{ antigravity: { url: 'http://127.0.0.1:9' } }],
      upstreams: [{ name: 'ag', provider: 'antigravity', key: 'k' }],
    })
    assert.equal((await post(`${gw.url}/antigravity/v1/messages`)).status, 502)
  })
})
