/** Google's SDK, unmodified, against the demo on a real socket. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ApiError, FunctionCallingConfigMode, GoogleGenAI } from '@google/genai'
import { all, assertNear, running, texts, user, weather, weatherInOslo, type Running } from './raw-client.ts'

let demo: Running
before(async () => {
  demo = await running()
})
after(() => demo[Symbol.asyncDispose]())

describe("Google's SDK", () => {
  const client = () => new GoogleGenAI({ apiKey: 'any', httpOptions: { baseUrl: demo.origin } })
  const request = { model: 'demo', contents: user.content }
  const tool = { functionDeclarations: [{ name: 'weather', parametersJsonSchema: weather }] }

  test('gets content, the same whole and streamed, with the tokens it could have counted before', async () => {
    const whole = await client().models.generateContent(request)
    assert.match(whole.text ?? '', /“Weather in Oslo\?”/)
    const chunks = await all(await client().models.generateContentStream(request))
    assert.equal(chunks.map((chunk) => chunk.text).join(''), whole.text)
    assert.deepEqual(chunks.at(-1)?.usageMetadata, whole.usageMetadata)
    assert.equal(chunks.at(-1)?.candidates?.[0]?.finishReason, 'STOP')
    assert.equal((await client().models.countTokens(request)).totalTokens, whole.usageMetadata?.promptTokenCount)
  })

  test('gets a call of its function, whole and streamed, and words where functions are forbidden', async () => {
    const whole = await client().models.generateContent({ ...request, config: { tools: [tool] } })
    const [chunk] = await all(await client().models.generateContentStream({ ...request, config: { tools: [tool] } }))
    for (const answer of [whole, chunk]) {
      assert.deepEqual(
        answer?.functionCalls?.map(({ name, args }) => ({ name, args })),
        [{ name: 'weather', args: weatherInOslo }],
      )
    }
    const toolConfig = { functionCallingConfig: { mode: FunctionCallingConfigMode.NONE } }
    const words = await client().models.generateContent({ ...request, config: { tools: [tool], toolConfig } })
    assert.equal(words.functionCalls, undefined)
    assert.match(words.text ?? '', /demo/)
  })

  test('gets embeddings and models', async () => {
    const { embeddings = [] } = await client().models.embedContent({ model: 'demo', contents: texts })
    assertNear(embeddings.map(({ values }) => values ?? []))
    const models = await all(await client().models.list())
    assert.ok(models.some(({ name }) => name === 'models/demo'))
    assert.equal((await client().models.get({ model: 'demo' })).name, 'models/demo')
  })

  test('raises its own error for each status, and for an error inside a stream', async () => {
    for (const status of [401, 403, 404, 429, 500, 503]) {
      const asked = client().models.generateContent({ ...request, model: `demo-${status}` })
      await assert.rejects(asked, (error) => error instanceof ApiError && error.status === status)
    }
    const stream = client().models.generateContentStream({ ...request, model: 'demo-error' })
    await assert.rejects(
      stream.then((chunks) => all(chunks)),
      (error) => error instanceof ApiError && error.status === 503,
    )
  })
})
