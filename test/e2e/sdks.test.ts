/** The official SDKs, unmodified: only their base URL is the gateway's. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { ApiError, Type } from '@google/genai'
import OpenAI from 'openai'
import { definePlugin, refuse, type Plugin } from 'postern/plugin'
import { gateway, type GatewayOptions } from '../harness.ts'
import { anthropic, before, gemini, openai, providers, say } from '../sdks.ts'

const withDemo: GatewayOptions = { plugins: [...providers, 'demo', 'failover'] }
const weather = { type: 'object' as const, properties: { city: { type: 'string' as const } }, required: ['city'] }

describe('the OpenAI SDK through the gateway', () => {
  test('completes, streams and calls tools in chat completions', async () => {
    await using gw = await gateway(withDemo)
    const client = openai(gw.url)
    const plain = await client.chat.completions.create({ model: 'demo', messages: say })
    assert.ok(plain.choices[0]!.message.content)
    assert.ok(plain.usage!.total_tokens > 0)

    let text = ''
    for await (const chunk of await client.chat.completions.create({ model: 'demo', messages: say, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? ''
    }
    assert.ok(text.length > 10)

    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: weather } }]
    const called = await client.chat.completions.create({ model: 'demo', messages: say, tools })
    const call = called.choices[0]!.message.tool_calls?.[0]
    assert.ok(call?.type === 'function' && call.function.name === 'weather')
    JSON.parse(call.function.arguments)
  })

  test('completes, streams and calls tools in responses', async () => {
    await using gw = await gateway(withDemo)
    const client = openai(gw.url)
    assert.ok((await client.responses.create({ model: 'demo', input: 'Hello' })).output_text)
    const stream = client.responses.stream({ model: 'demo', input: 'Hello' })
    const final = await stream.finalResponse()
    assert.equal(final.status, 'completed')
    assert.ok(final.output_text)
    const tools = [{ type: 'function' as const, name: 'weather', parameters: weather, strict: false }]
    const called = await client.responses.create({ model: 'demo', input: 'Hello', tools })
    assert.ok(called.output.some((item) => item.type === 'function_call' && item.name === 'weather'))
  })

  test('embeds, and lists models', async () => {
    await using gw = await gateway(withDemo)
    const client = openai(gw.url)
    const { data } = await client.embeddings.create({ model: 'demo', input: ['a', 'b'] })
    assert.equal(data.length, 2)
    assert.ok(data[0]!.embedding.length > 10)
    assert.ok((await client.models.list()).data.length > 0)
  })
})

describe('the Anthropic SDK through the gateway', () => {
  test('completes, streams, calls tools and counts tokens', async () => {
    await using gw = await gateway(withDemo)
    const client = anthropic(gw.url)
    const ask = { model: 'demo', max_tokens: 200, messages: say }
    const plain = await client.messages.create(ask)
    assert.ok(plain.content[0]?.type === 'text' && plain.content[0].text)
    const final = await client.messages.stream(ask).finalMessage()
    assert.ok(final.content[0]?.type === 'text' && final.content[0].text)
    assert.ok(final.usage.output_tokens > 0)
    const tools = [{ name: 'weather', input_schema: weather }]
    const called = await client.messages.create({ ...ask, tools })
    assert.ok(called.content.some((block) => block.type === 'tool_use' && block.name === 'weather'))
    assert.ok((await client.messages.countTokens({ model: 'demo', messages: say })).input_tokens > 0)
  })

  test('lists models: the same path as OpenAI’s, told apart by its version header', async () => {
    await using gw = await gateway(withDemo)
    const page = await anthropic(gw.url).models.list()
    assert.equal(page.data[0]?.type, 'model')
  })
})

describe('the Google SDK through the gateway', () => {
  test('generates, streams, calls functions and counts tokens', async () => {
    await using gw = await gateway(withDemo)
    const { models } = gemini(gw.url)
    const ask = { model: 'demo', contents: 'Hello' }
    const plain = await models.generateContent(ask)
    assert.ok(plain.text)
    let text = ''
    for await (const chunk of await models.generateContentStream(ask)) text += chunk.text ?? ''
    assert.ok(text.length > 10)
    const parameters = { type: Type.OBJECT, properties: { city: { type: Type.STRING } } }
    const called = await models.generateContent({
      ...ask,
      config: { tools: [{ functionDeclarations: [{ name: 'weather', parameters }] }] },
    })
    assert.equal(called.functionCalls?.[0]?.name, 'weather')
    assert.ok((await models.countTokens(ask)).totalTokens! > 0)
  })

  test('streams a JSON array where alt=sse is not asked for', async () => {
    await using gw = await gateway(withDemo)
    const answer = await fetch(`${gw.url}/v1beta/models/demo:streamGenerateContent`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ contents: [{ parts: [{ text: 'Hello' }] }] }),
    })
    const chunks = (await answer.json()) as { candidates: unknown[] }[] // the demo's own shape
    assert.ok(Array.isArray(chunks) && chunks.length > 1 && chunks[0]!.candidates.length > 0)
  })
})

describe('an error raises the SDK’s own typed error', () => {
  /** What an error must be an instance of: the SDKs' classes differ in how they are made. */
  type Class = abstract new (...given: never[]) => Error

  const typed = [
    [401, OpenAI.AuthenticationError, Anthropic.AuthenticationError],
    [403, OpenAI.PermissionDeniedError, Anthropic.PermissionDeniedError],
    [404, OpenAI.NotFoundError, Anthropic.NotFoundError],
    [429, OpenAI.RateLimitError, Anthropic.RateLimitError],
    [500, OpenAI.InternalServerError, Anthropic.InternalServerError],
  ] as const

  for (const [status, openaiError, anthropicError] of typed) {
    test(`of the upstream: ${status}`, async () => {
      await using gw = await gateway(withDemo)
      const model = `demo-${status}`
      await raises(gw.url, model, status, openaiError, anthropicError)
    })
  }

  const denied = { 'ip-rules': { deny: ['127.0.0.0/8'] } }
  const refusing = (status: number): Plugin =>
    definePlugin({
      name: 'refusing',
      config: { type: 'object', properties: {} },
      setup: () => ({ onBody: () => refuse(status, 'REFUSED', `refused with ${status}`, { 'retry-after': '7' }) }),
    })
  const own: Record<string, [number, GatewayOptions, Class, Class]> = {
    'an address that is denied': [
      403,
      { plugins: [denied, ...providers] },
      OpenAI.PermissionDeniedError,
      Anthropic.PermissionDeniedError,
    ],
    'a model nobody serves': [
      404,
      { plugins: providers, upstreams: providers.map((provider) => ({ name: provider, provider, models: ['other'] })) },
      OpenAI.NotFoundError,
      Anthropic.NotFoundError,
    ],
    'a body over the limit': [
      413,
      { plugins: [...providers, 'demo'], limits: { body: '16B' } },
      OpenAI.APIError,
      Anthropic.APIError,
    ],
    'a limit of a plugin’s': [
      429,
      { plugins: [...providers, 'demo', refusing(429)] },
      OpenAI.RateLimitError,
      Anthropic.RateLimitError,
    ],
    'an upstream that is not there': [
      502,
      before('http://127.0.0.1:9'),
      OpenAI.InternalServerError,
      Anthropic.InternalServerError,
    ],
    'no upstream at all': [503, { plugins: providers }, OpenAI.InternalServerError, Anthropic.InternalServerError],
  }
  for (const [what, [status, options, openaiError, anthropicError]] of Object.entries(own)) {
    test(`of the gateway's own: ${what}, ${status}`, async () => {
      await using gw = await gateway(options)
      await raises(gw.url, 'demo', status, openaiError, anthropicError)
    })
  }

  async function raises(url: string, model: string, status: number, openaiError: Class, anthropicError: Class) {
    const saysStatus = (error: unknown) =>
      error instanceof Error && 'status' in error && error.status === status && error.message.length > 5
    await assert.rejects(
      openai(url).chat.completions.create({ model, messages: say }),
      (error) => error instanceof openaiError && saysStatus(error) && hasType(error),
    )
    await assert.rejects(
      openai(url).responses.create({ model, input: 'Hello', stream: true }),
      (error) => error instanceof openaiError && saysStatus(error),
    )
    await assert.rejects(
      anthropic(url).messages.create({ model, max_tokens: 9, messages: say }),
      (error) =>
        error instanceof anthropicError &&
        saysStatus(error) &&
        error instanceof Anthropic.APIError &&
        isErrorBody(error.error),
    )
    await assert.rejects(
      gemini(url).models.generateContent({ model, contents: 'Hello' }),
      (error) =>
        error instanceof ApiError &&
        saysStatus(error) &&
        /"status":"[A-Z_]+"/.test(error.message.replaceAll(/\s/g, '')),
    )
  }

  const hasType = (error: Error) => error instanceof OpenAI.APIError && typeof error.type === 'string'
  const isErrorBody = (body: unknown) =>
    typeof body === 'object' && body !== null && 'type' in body && body.type === 'error'
})

test('a request for a path that nobody serves is told so', async () => {
  await using gw = await gateway(withDemo)
  const answer = await fetch(`${gw.url}/nowhere`)
  assert.equal(answer.status, 404)
  assert.match(await answer.text(), /No provider of this gateway serves this path: GET \/nowhere/)
})
