import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ServerResponse } from 'node:http'
import type { Script } from '../../test/fake-upstream.ts'
import { model, scene, until, type Row, type Scene } from './usage.fixture.ts'

/** How the upstream's stream ends, after its events: by itself, broken off, or because the client leaves. */
type End = 'end' | 'break' | 'leave'

/** What it is, the path, the events, the tokens, outcome and source, and how the stream ends: by itself, where that is not said. */
type Case = readonly [
  what: string,
  path: string,
  events: readonly (object | string)[],
  tokens: Tokens,
  told: `${string} ${string}`,
  more?: { readonly end?: End; readonly type?: string },
]
/** Input, output, cached, written to the cache for five minutes, and for an hour. */
type Tokens = readonly [input: number, output: number, read?: number, fiveMinutes?: number, hour?: number]

const chat = '/v1/chat/completions'
const responses = '/v1/responses'
const messages = '/v1/messages'
const gemini = `/v1beta/models/${model}:streamGenerateContent?alt=sse`
const none: Tokens = [0, 0]
const breaks = { end: 'break' } as const
const leaves = { end: 'leave' } as const

const delta = (content: string, finish: string | null = null) => ({
  object: 'chat.completion.chunk',
  model,
  choices: [{ index: 0, delta: { content }, finish_reason: finish }],
})
const [hi, stops, isLong, done] = [delta('Hi'), delta('', 'stop'), delta('', 'length'), '[DONE]']
const chatError = { error: { code: 'server_error', message: 'x' } }
const usage = { prompt_tokens: 120, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 20 } }
const chatUsage = { object: 'chat.completion.chunk', choices: [], usage }
const ofChat: Tokens = [100, 7, 20]

const response = (type: string, more: object = {}) => ({
  type: `response.${type}`,
  response: { id: 'r', model, ...more },
})
const created = response('created')
const spent = { usage: { input_tokens: 30, output_tokens: 4, input_tokens_details: { cached_tokens: 10 } } }
const responseError = { type: 'error', code: 'server_error', message: 'x' }
const ofResponse: Tokens = [20, 4, 10]

const written = { ephemeral_5m_input_tokens: 60, ephemeral_1h_input_tokens: 40 }
const inputs = {
  input_tokens: 50,
  cache_read_input_tokens: 5,
  cache_creation_input_tokens: 100,
  cache_creation: written,
}
const message = { id: 'msg_1', model, usage: { ...inputs, output_tokens: 1 } }
const start = { type: 'message_start', message }
const text = { type: 'content_block_delta', delta: { type: 'text_delta', text: 'Hi, "finish_reason": "length"' } }
const stop = (reason: string) => ({
  type: 'message_delta',
  delta: { stop_reason: reason },
  usage: { output_tokens: 9 },
})
const stopped = { type: 'message_stop' }
const overloaded = { type: 'error', error: { type: 'overloaded_error', message: 'x' } }
const ofMessage: Tokens = [50, 9, 5, 60, 40]
const ofStart: Tokens = [50, 1, 5, 60, 40]

const chunk = (candidatesTokenCount: number, finishReason?: string) => ({
  candidates: [{ content: { parts: [{ text: 'x' }] }, finishReason }],
  usageMetadata: { promptTokenCount: 40, candidatesTokenCount, thoughtsTokenCount: 2, cachedContentTokenCount: 8 },
  modelVersion: model,
})
const whole = (more: object) => ({ model, ...more })
const choices = (reason: string) => [{ finish_reason: reason }]

const streams: readonly Case[] = [
  ['a chat that is done', chat, [hi, stops, chatUsage, done], ofChat, 'completed final'],
  ['a chat that says no [DONE]', chat, [hi, delta('', 'tool_calls'), chatUsage], ofChat, 'completed final'],
  ['a chat at its limit', chat, [hi, isLong, chatUsage, done], ofChat, 'incomplete final'],
  ['a chat that was not asked for its tokens', chat, [hi, stops, done], none, 'completed none'],
  ['a chat with an error in it', chat, [hi, chatError], none, 'failed none'],
  ['a chat that breaks off', chat, [hi], none, 'cut none', breaks],
  ['a chat that breaks off behind its tokens', chat, [hi, stops, chatUsage], ofChat, 'cut partial', breaks],
  ['a chat that ends in the midst', chat, [hi], none, 'cut none'],
  ['a chat whose client leaves', chat, [hi], none, 'client_gone none', leaves],
  ['a chat whose client leaves behind its end', chat, [stops, chatUsage, done], ofChat, 'completed final', leaves],
  ['a stream that says nothing', chat, [], none, 'cut none'],
  ['a response that is done', responses, [created, response('completed', spent)], ofResponse, 'completed final'],
  ['a response at its limit', responses, [created, response('incomplete', spent)], ofResponse, 'incomplete final'],
  ['a response that has failed', responses, [created, response('failed', spent)], ofResponse, 'failed partial'],
  ['a response that was cancelled', responses, [created, response('cancelled', spent)], ofResponse, 'cancelled final'],
  ['a response with an error event', responses, [created, responseError], none, 'failed none'],
  ['a response that breaks off', responses, [created], none, 'cut none', breaks],
  ['a message that is done', messages, [start, text, stop('end_turn'), stopped], ofMessage, 'completed final'],
  ['a message at its limit', messages, [start, text, stop('max_tokens'), stopped], ofMessage, 'incomplete final'],
  ['a message that breaks off', messages, [start, text], ofStart, 'cut partial', breaks],
  ['a message whose client leaves', messages, [start, text, text, text], ofStart, 'client_gone partial', leaves],
  ['a message with an error event', messages, [start, text, overloaded], ofStart, 'failed partial'],
  ["Gemini's answer that is done", gemini, [chunk(1), chunk(6, 'STOP')], [32, 8, 8], 'completed final'],
  ["Gemini's answer at its limit", gemini, [chunk(1), chunk(6, 'MAX_TOKENS')], [32, 8, 8], 'incomplete final'],
  ["Gemini's answer that breaks off", gemini, [chunk(1)], [32, 3, 8], 'cut partial', breaks],
]

const failedResponse = { object: 'response', status: 'failed', error: { code: 'x' }, ...spent }
const documents: readonly Case[] = [
  ['a chat', chat, [whole({ choices: choices('stop'), usage })], ofChat, 'completed final'],
  ['a chat at its limit', chat, [whole({ choices: choices('length'), usage })], ofChat, 'incomplete final'],
  [
    'a response',
    responses,
    [whole({ object: 'response', status: 'completed', ...spent })],
    ofResponse,
    'completed final',
  ],
  [
    'a response at its limit',
    responses,
    [{ object: 'response', status: 'incomplete', ...spent }],
    ofResponse,
    'incomplete final',
  ],
  ['a response that was cancelled', responses, [{ object: 'response', status: 'cancelled' }], none, 'cancelled none'],
  ['a response that has failed', responses, [failedResponse], ofResponse, 'failed final'],
  ['a message', messages, [{ ...message, stop_reason: 'end_turn' }], ofStart, 'completed final'],
  ['an error inside a 200', messages, [overloaded], none, 'failed none'],
  ['a document that breaks off', chat, ['{"model":"gpt-test","usage":{'], none, 'cut none', breaks],
  ['embeddings', '/v1/embeddings', [whole({ object: 'list', usage: { prompt_tokens: 8 } })], [8, 0], 'completed final'],
  [
    'numbers that are none',
    chat,
    [whole({ usage: { prompt_tokens: 'many', completion_tokens: -4 } })],
    none,
    'completed none',
  ],
  ['nothing at all', chat, [], none, 'completed none'],
  ['a picture', '/v1/images/generations', ['\u0089PNG'], none, 'completed none', { type: 'image/png' }],
]

describe('every end of an answer', () => {
  let it: Scene
  before(async () => (it = await scene(answering('', [], 'end'))))
  after(() => it[Symbol.asyncDispose]())
  for (const one of streams) test(`in a stream: ${one[0]}`, () => check(it, one, 'text/event-stream'))
  for (const one of documents) test(`in a document: ${one[0]}`, () => check(it, one, 'application/json'))

  test('is of the attempt that has served, and not of those before it', async () => {
    let asked = 0
    await using it = await scene(
      (_asked, answer) => {
        const isFirst = asked++ === 0
        answer.writeHead(isFirst ? 529 : 200, { 'content-type': 'application/json' })
        answer.end(
          JSON.stringify(
            isFirst ? { ...message, error: { type: 'overloaded_error' } } : { ...message, stop_reason: 'end_turn' },
          ),
        )
      },
      { below: ['failover'] },
    )
    assert.equal((await it.ask(undefined, undefined, { path: messages })).status, 200)
    await until('a row', async () => (await it.rows()).length > 0)
    assert.equal(it.upstream.asked.length, 2)
    assert.deepEqual((await it.rows()).map(tokensOf), [[50, 1, 5, 60, 40]])
  })

  test('counts the same whether the provider stands above or below in the list', async () => {
    await using it = await scene(
      answering('text/event-stream', [response('created'), response('completed', spent)], 'end'),
      {
        above: ['openai'],
      },
    )
    await (await it.ask(undefined, undefined, { path: responses })).text()
    await until('a row', async () => (await it.rows()).length > 0)
    assert.deepEqual((await it.rows()).map(tokensOf), [[20, 4, 10, 0, 0]])
  })

  test('counts a stream whose client was told to go on waiting before it came', async () => {
    const late: Script = async (asked, answer, request) => {
      await new Promise((resolve) => setTimeout(resolve, 700))
      return answering('text/event-stream', [hi, stops, chatUsage, done], 'end')(asked, answer, request)
    }
    await using it = await scene(late, { gateway: { timeouts: { heartbeat: '250ms' } } })
    const answer = await it.ask(undefined, { model, max_tokens: 10, stream: true })
    assert.match(await answer.text(), /^:.*\[DONE\]/s)
    await until('a row', async () => (await it.rows()).length > 0)
    const rows = await it.rows()
    assert.deepEqual(
      rows.map((row) => [...tokensOf(row), row.outcome]),
      [[...ofChat, 0, 0, 'completed']],
    )
    assert.match(rows[0]!.request_id, /^postern-/)
  })

  test('no row is written for errors, for lists of models, and for what no upstream was asked', async () => {
    await using it = await scene((asked, answer) => {
      const isGood = asked.method === 'GET' || asked.url.includes('count_tokens') || asked.url.includes('embeddings')
      answer.writeHead(isGood ? 200 : 400, { 'content-type': 'application/json' })
      answer.end(asked.url.includes('embeddings') ? '{"usage":{"prompt_tokens":1}}' : '{"input_tokens":3}')
    })
    for (const init of [
      { method: 'GET', path: '/v1/models' },
      { path: '/v1/messages/count_tokens' },
      { path: chat },
      { path: '/nowhere' },
    ])
      await (await it.ask(undefined, undefined, init)).text()
    await (await it.ask(undefined, undefined, { path: '/v1/embeddings' })).text()
    await until('the last row', async () => (await it.rows()).length > 0)
    assert.deepEqual((await it.rows()).map(tokensOf), [[1, 0, 0, 0, 0]])
  })
})

async function check(it: Scene, one: Case, usualType: string): Promise<void> {
  const [, path, events, tokens, told, { end = 'end', type = usualType } = {}] = one
  await it.db.query('TRUNCATE usage_logs, usage_billing_dedup; UPDATE users SET balance = 10')
  it.upstream.script = answering(type, events, end)
  const leaving = new AbortController()
  const answer = await it.ask(undefined, undefined, { path, signal: leaving.signal })
  if (end === 'leave') await leave(answer, events.length, leaving)
  else await answer.text().catch(() => {})
  await until('a row', async () => (await it.rows()).length > 0)
  const [row, ...others] = await it.rows()
  assert.deepEqual(others, [])
  const [input, output, read = 0, fiveMinutes = 0, hour = 0] = tokens
  assert.deepEqual(tokensOf(row!), [input, output, read, fiveMinutes, hour])
  assert.equal(`${row!.outcome} ${row!.usage_source}`, told)
  const cost = input * 10_000 + output * 100_000 + read * 1000 + fiveMinutes * 12_500 + hour * 20_000
  assert.equal(row!.actual_cost, dollars(cost))
  assert.equal(await it.balanceOf(1), dollars(10 * 10 ** 10 - cost))
}

function tokensOf(row: Row): unknown[] {
  return [
    row.input_tokens,
    row.output_tokens,
    row.cache_read_tokens,
    row.cache_creation_5m_tokens,
    row.cache_creation_1h_tokens,
  ]
}

/** As PostgreSQL writes it. */
function dollars(units: number): string {
  const padded = String(units).padStart(11, '0')
  return `${padded.slice(0, -10)}.${padded.slice(-10)}`
}

function answering(type: string, events: Case[2], end: End): Script {
  return async (_asked, answer) => {
    answer.writeHead(200, { 'content-type': type })
    answer.flushHeaders()
    for (const event of events) {
      const data = typeof event === 'string' ? event : JSON.stringify(event)
      answer.write(type === 'text/event-stream' ? `data: ${data}\n\n` : data)
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (end === 'end') answer.end()
    else if (end === 'break') await broken(answer)
  }
}

/** What was written leaves first. */
async function broken(answer: ServerResponse): Promise<void> {
  await new Promise((resolve) => answer.write('\n', resolve))
  answer.socket?.destroySoon()
}

/** Once so many events have come. */
async function leave(answer: Response, events: number, leaving: AbortController): Promise<void> {
  let read = ''
  const decoder = new TextDecoder()
  for await (const bytes of answer.body!) {
    read += decoder.decode(bytes as Uint8Array) // a body's chunks are
    if (read.split('\n\n').length > events) break
  }
  leaving.abort()
}
