/** OpenAI's SDK, unmodified, against the demo on a real socket. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import OpenAI, {
  APIError,
  AuthenticationError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
} from 'openai'
import { all, assertNear, running, texts, user, weather, weatherInOslo, type Running } from './raw-client.ts'

let demo: Running
before(async () => {
  demo = await running()
})
after(() => demo[Symbol.asyncDispose]())

describe("OpenAI's SDK, chat completions", () => {
  const client = () => new OpenAI({ baseURL: `${demo.origin}/v1`, apiKey: 'any', maxRetries: 0 })
  const tools = [{ type: 'function', function: { name: 'weather', parameters: weather } }] as const

  test('gets text that owns up to being a demo, repeats the user, and is the same every time', async () => {
    const say = () => client().chat.completions.create({ model: 'demo', messages: [user] })
    const [one, other] = [await say(), await say()]
    const text = one.choices[0]?.message.content ?? ''
    assert.match(text, /demo upstream.*“Weather in Oslo\?”/)
    assert.equal(other.choices[0]?.message.content, text)
    assert.notEqual(one.id, other.id)
    assert.equal(one.choices[0]?.finish_reason, 'stop')
    assert.equal(one.usage?.completion_tokens, Math.ceil(text.length / 4))
  })

  test('gets the same text streamed, and usage only if it asks for it', async () => {
    const request = { model: 'demo', messages: [user] }
    const whole = await client().chat.completions.create(request)
    for (const include_usage of [true, false]) {
      const stream = await client().chat.completions.create({
        ...request,
        stream: true,
        stream_options: { include_usage },
      })
      const chunks = await all(stream)
      const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')
      assert.equal(text, whole.choices[0]?.message.content)
      const usages = chunks.flatMap((chunk) => chunk.usage ?? [])
      assert.deepEqual(usages, include_usage ? [whole.usage] : [])
    }
  })

  test('gets a call of its tool, whole and streamed, and words once the tool has answered', async () => {
    const request = { model: 'demo', messages: [user], tools: [...tools] }
    const whole = await client().chat.completions.create(request)
    const streamed = await client().chat.completions.stream(request).finalChatCompletion()
    for (const { choices } of [whole, streamed]) {
      assert.equal(choices[0]?.finish_reason, 'tool_calls')
      const call = choices[0].message.tool_calls?.[0]
      assert.ok(call?.type === 'function')
      assert.equal(call.function.name, 'weather')
      assert.deepEqual(JSON.parse(call.function.arguments), weatherInOslo)
    }
    const called = whole.choices[0]?.message
    assert.ok(called)
    const result = { role: 'tool', tool_call_id: called.tool_calls?.[0]?.id ?? '', content: 'rain' } as const
    const last = await client().chat.completions.create({ ...request, messages: [user, called, result] })
    assert.equal(last.choices[0]?.finish_reason, 'stop')
  })

  test('gets JSON that fits the schema, and less of an answer where it asks for less', async () => {
    const json = await client().chat.completions.create({
      model: 'demo',
      messages: [user],
      response_format: { type: 'json_schema', json_schema: { name: 'weather', schema: weather } },
    })
    assert.deepEqual(JSON.parse(json.choices[0]?.message.content ?? ''), weatherInOslo)
    const short = await client().chat.completions.create({ model: 'demo', messages: [user], max_completion_tokens: 5 })
    assert.equal(short.choices[0]?.finish_reason, 'length')
    assert.equal(short.usage?.completion_tokens, 5)
  })
})

describe("OpenAI's SDK, the rest", () => {
  const client = () => new OpenAI({ baseURL: `${demo.origin}/v1`, apiKey: 'any', maxRetries: 0 })

  test('gets a response, whole and as the full sequence of events', async () => {
    const request = { model: 'demo', input: 'hello' }
    const whole = await client().responses.create(request)
    assert.match(whole.output_text, /“hello”/)
    const events = await all(await client().responses.create({ ...request, stream: true }))
    assert.deepEqual(
      events.map((event) => event.sequence_number),
      events.map((_, at) => at),
    )
    const kinds = events.map((event) => event.type).filter((type, at, types) => type !== types[at - 1])
    assert.deepEqual(kinds, [
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ])
    const streamed = await client().responses.stream(request).finalResponse()
    assert.equal(streamed.output_text, whole.output_text)
    assert.deepEqual(streamed.usage, whole.usage)
  })

  test('gets a response that calls its function, and an incomplete one', async () => {
    const tool = { type: 'function', name: 'weather', parameters: weather, strict: false } as const
    const request = { model: 'demo', input: user.content, tools: [tool] }
    const whole = await client().responses.create(request)
    const streamed = await client().responses.stream(request).finalResponse()
    for (const { output } of [whole, streamed]) {
      const [call] = output
      assert.ok(call?.type === 'function_call')
      assert.deepEqual(JSON.parse(call.arguments), weatherInOslo)
    }
    const short = await client()
      .responses.stream({ model: 'demo', input: 'hello', max_output_tokens: 16 })
      .finalResponse()
    assert.equal(short.status, 'incomplete')
    assert.equal(short.incomplete_details?.reason, 'max_output_tokens')
  })

  test('gets embeddings as floats and as base64: the same numbers, near where the texts are alike', async () => {
    const embed = async (encoding_format?: 'float') => {
      const { data } = await client().embeddings.create({
        model: 'demo',
        input: texts,
        dimensions: 64,
        encoding_format,
      })
      return data.map(({ embedding }) => embedding)
    }
    // Without a format the SDK asks for base64 and decodes it.
    const [floats, decoded] = [await embed('float'), await embed()]
    assert.deepEqual(
      decoded.map(([...numbers]) => numbers.map(Math.fround)),
      floats.map((it) => it.map(Math.fround)),
    )
    assertNear(floats)
  })

  test('lists models and finds one', async () => {
    const models = await all(client().models.list())
    assert.ok(models.some(({ id }) => id === 'demo-429'))
    assert.equal((await client().models.retrieve('demo')).id, 'demo')
    await assert.rejects(client().models.retrieve('gpt-0'), NotFoundError)
  })

  test('raises its own error for each status, and for an error inside a stream', async () => {
    const errors = [
      ['demo-401', AuthenticationError],
      ['demo-403', PermissionDeniedError],
      ['demo-404', NotFoundError],
      ['demo-429', RateLimitError],
      ['demo-500', InternalServerError],
      ['demo-503', InternalServerError],
    ] as const
    for (const [model, kind] of errors) {
      await assert.rejects(client().chat.completions.create({ model, messages: [user] }), kind)
      await assert.rejects(client().responses.create({ model, input: 'hello', stream: true }), kind)
      await assert.rejects(client().embeddings.create({ model, input: 'hello' }), kind)
    }
    const model = 'demo-error'
    const chat = await client().chat.completions.create({ model, messages: [user], stream: true })
    await assert.rejects(all(chat), APIError)
    await assert.rejects(client().responses.stream({ model, input: 'hello' }).finalResponse(), APIError)
  })
})
