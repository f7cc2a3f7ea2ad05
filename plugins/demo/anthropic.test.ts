/** Anthropic's SDK, unmodified, against the demo on a real socket. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import Anthropic, {
  APIError,
  AuthenticationError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from '@anthropic-ai/sdk'
import { all, running, user, weather, weatherInOslo, type Running } from './raw-client.ts'

let demo: Running
before(async () => {
  demo = await running()
})
after(() => demo[Symbol.asyncDispose]())

describe("Anthropic's SDK", () => {
  const client = () => new Anthropic({ baseURL: demo.origin, apiKey: 'any', maxRetries: 0 })
  const request = { model: 'demo', max_tokens: 1000, messages: [user] }
  const tools = [{ name: 'weather', input_schema: weather }] as unknown as Anthropic.Tool[] // `required` is mutable there

  test('gets a message, the same whole and streamed, with the tokens it could have counted before', async () => {
    const whole = await client().messages.create(request)
    const streamed = await client().messages.stream(request).finalMessage()
    assert.deepEqual(streamed.content.map(textOf), whole.content.map(textOf))
    assert.match(whole.content.map(textOf).join(''), /“Weather in Oslo\?”/)
    assert.equal(streamed.usage.output_tokens, whole.usage.output_tokens)
    assert.equal(whole.stop_reason, 'end_turn')
    const counted = await client().messages.countTokens({ model: 'demo', messages: [user] })
    assert.equal(counted.input_tokens, whole.usage.input_tokens)
  })

  test('gets a use of its tool, whole and streamed, and words once the tool has answered', async () => {
    const whole = await client().messages.create({ ...request, tools })
    const streamed = await client()
      .messages.stream({ ...request, tools })
      .finalMessage()
    for (const message of [whole, streamed]) {
      assert.equal(message.stop_reason, 'tool_use')
      const [use] = message.content
      assert.ok(use?.type === 'tool_use')
      assert.deepEqual(use.input, weatherInOslo)
    }
    const [use] = whole.content
    assert.ok(use?.type === 'tool_use')
    const result = { type: 'tool_result', tool_use_id: use.id, content: 'rain' } as const
    const messages = [user, { role: 'assistant', content: [use] }, { role: 'user', content: [result] }] as const
    const last = await client().messages.create({
      ...request,
      tools,
      messages: [...messages] as Anthropic.MessageParam[],
    }) // readonly there
    assert.equal(last.stop_reason, 'end_turn')
  })

  test("lists models in Anthropic's shape", async () => {
    const models = await all(client().models.list())
    assert.ok(models.every(({ type, display_name }) => type === 'model' && display_name.startsWith('Postern')))
    assert.equal((await client().models.retrieve('demo')).id, 'demo')
  })

  test('raises its own error for each status, and for an error inside a stream', async () => {
    const errors = [
      ['demo-401', AuthenticationError, 'authentication_error'],
      ['demo-403', PermissionDeniedError, 'permission_error'],
      ['demo-404', NotFoundError, 'not_found_error'],
      ['demo-429', RateLimitError, 'rate_limit_error'],
      ['demo-500', InternalServerError, 'api_error'],
      ['demo-529', InternalServerError, 'overloaded_error'],
    ] as const
    for (const [model, kind, type] of errors) {
      const error: unknown = await client()
        .messages.create({ ...request, model })
        .catch((error: unknown) => error)
      assert.ok(error instanceof kind)
      assert.equal(error.type, type)
      assert.match(error.requestID ?? '', /^req_/)
    }
    const stream = client().messages.stream({ ...request, model: 'demo-error' })
    await assert.rejects(
      stream.finalMessage(),
      (error) => error instanceof APIError && error.type === 'overloaded_error',
    )
  })
})

function textOf(block: Anthropic.ContentBlock): string {
  return block.type === 'text' ? block.text : ''
}
