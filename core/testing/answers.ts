/** An ordinary answer in the words of the API that was asked: OpenAI's chat and responses, Anthropic's messages, Gemini's content. */
import type { Asked, Script } from './upstream.ts'

export interface Answering {
  /** Tokens the answer says it used. Default: 3 and 5. */
  readonly tokens?: { readonly input: number; readonly output: number }
  readonly headers?: Record<string, string>
}

/** Answers with a text, as a document or, where the request asks for one, as a stream with an event for each word. */
export function answer(text: string, { tokens = { input: 3, output: 5 }, headers = {} }: Answering = {}): Script {
  return async (asked, response) => {
    const { dialect, isStream, model } = read(asked)
    const words = text.split(/(?<= )/)
    const said = { text, words, model, ...tokens }
    if (!isStream) {
      response.writeHead(200, { 'content-type': 'application/json', ...headers })
      response.end(JSON.stringify(dialect.document(said)))
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', ...headers })
    for (const event of dialect.events(said)) {
      if (response.destroyed) return
      response.write(dialect.isNamed ? `event: ${typeOf(event)}\n${data(event)}` : data(event))
      await new Promise((resolve) => setImmediate(resolve))
    }
    response.end(dialect.last)
  }
}

interface Said {
  readonly text: string
  readonly words: readonly string[]
  readonly model: string
  readonly input: number
  readonly output: number
}

interface Dialect {
  readonly isNamed: boolean
  /** What ends a stream behind its last event. */
  readonly last: string
  document(said: Said): object
  events(said: Said): object[]
}

function read({ url, body }: Asked) {
  const [path = ''] = url.split('?')
  const asked = parsed(body)
  const [, model, verb] = /\/models\/([^/:]+):(\w+)$/.exec(path) ?? []
  if (verb !== undefined) return { dialect: gemini, isStream: verb.startsWith('stream'), model: model ?? '' }
  const isStream = asked['stream'] === true
  const named = typeof asked['model'] === 'string' ? asked['model'] : 'scripted'
  if (path.endsWith('/messages')) return { dialect: anthropic, isStream, model: named }
  return { dialect: path.endsWith('/responses') ? responses : chat, isStream, model: named }
}

function parsed(body: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {} // whatever it is, it has no model and asks for no stream
  }
}

const data = (event: object) => `data: ${JSON.stringify(event)}\n\n`
const typeOf = (event: object) => ('type' in event ? String(event.type) : 'message')

const chat: Dialect = {
  isNamed: false,
  last: 'data: [DONE]\n\n',
  document: ({ text, model, input, output }) => ({
    id: 'chatcmpl-scripted',
    object: 'chat.completion',
    created: 0,
    model,
    choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
    usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
  }),
  events({ words, model, input, output }) {
    const chunk = (delta: object, reason: string | null) => ({
      id: 'chatcmpl-scripted',
      object: 'chat.completion.chunk',
      created: 0,
      model,
      choices: [{ index: 0, delta, finish_reason: reason }],
    })
    const usage = { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
    return [
      chunk({ role: 'assistant', content: '' }, null),
      ...words.map((content) => chunk({ content }, null)),
      { ...chunk({}, 'stop'), usage },
    ]
  },
}

const responses: Dialect = {
  isNamed: true,
  last: '',
  document: ({ text, model, input, output }) => ({
    id: 'resp_scripted',
    object: 'response',
    created_at: 0,
    status: 'completed',
    model,
    output: [
      {
        type: 'message',
        id: 'msg_scripted',
        status: 'completed',
        role: 'assistant',
        content: [{ type: 'output_text', text, annotations: [] }],
      },
    ],
    usage: { input_tokens: input, output_tokens: output, total_tokens: input + output },
  }),
  events(said) {
    const place = { item_id: 'msg_scripted', output_index: 0, content_index: 0 }
    const whole = responses.document(said)
    return [
      { type: 'response.created', response: { ...whole, status: 'in_progress', output: [], usage: null } },
      ...said.words.map((delta) => ({ type: 'response.output_text.delta', ...place, delta })),
      { type: 'response.output_text.done', ...place, text: said.text },
      { type: 'response.completed', response: whole },
    ].map((event, at) => ({ ...event, sequence_number: at }))
  },
}

const anthropic: Dialect = {
  isNamed: true,
  last: '',
  document: ({ text, model, input, output }) => ({
    id: 'msg_scripted',
    type: 'message',
    role: 'assistant',
    model,
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: input, output_tokens: output },
  }),
  events(said) {
    const message = { ...anthropic.document(said), content: [], stop_reason: null }
    return [
      { type: 'message_start', message: { ...message, usage: { input_tokens: said.input, output_tokens: 0 } } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      ...said.words.map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
      { type: 'content_block_stop', index: 0 },
      {
        type: 'message_delta',
        delta: { stop_reason: 'end_turn', stop_sequence: null },
        usage: { output_tokens: said.output },
      },
      { type: 'message_stop' },
    ]
  },
}

const gemini: Dialect = {
  isNamed: false,
  last: '',
  document: ({ text, model, input, output }) => ({
    candidates: [{ content: { role: 'model', parts: [{ text }] }, finishReason: 'STOP', index: 0 }],
    usageMetadata: { promptTokenCount: input, candidatesTokenCount: output, totalTokenCount: input + output },
    modelVersion: model,
  }),
  events: (said) =>
    said.words.map((text, at) => {
      const isLast = at === said.words.length - 1
      const whole = { ...gemini.document({ ...said, text }) }
      return isLast ? whole : { ...whole, candidates: [{ content: { role: 'model', parts: [{ text }] }, index: 0 }] }
    }),
}
