/** Anthropic's API: messages, counted tokens, models. */
import { isObject, lastSaid, listOf, objectOf, stringOf, tokensIn, type JsonObject } from './json.ts'
import { models } from './knobs.ts'
import { speak, type Speech, type Tool, type Turn } from './speech.ts'
import {
  born,
  Complaint,
  eventStream,
  jsonAnswer,
  modelOf,
  newId,
  sse,
  type Answer,
  type Ask,
  type Voice,
} from './voice.ts'

export const anthropic: Voice = {
  model: (ask) => stringOf(ask.body.model),

  answer(ask, wish) {
    switch (`${ask.method} ${ask.path}`) {
      case 'POST /v1/messages':
        return messages(ask, speak(turnOf(ask.body), wish))
      case 'POST /v1/messages/count_tokens':
        modelOf(ask.body)
        return jsonAnswer(JSON.stringify({ input_tokens: inputTokens(ask.body) }), failureOf(ask))
      case 'GET /v1/models':
        return jsonAnswer(JSON.stringify(modelList()), failureOf(ask))
    }
    const id = /^\/v1\/models\/([^/]+)$/.exec(ask.path)?.[1]
    if (ask.method !== 'GET' || id === undefined) throw new Complaint(404, `No such route: ${ask.method} ${ask.path}`)
    if (!models.includes(id)) throw new Complaint(404, `model: ${id}`)
    return jsonAnswer(JSON.stringify(describe(id)), failureOf(ask))
  },

  complain(status, message, id) {
    const type = kinds.get(status) ?? (status >= 500 ? 'api_error' : 'invalid_request_error')
    return JSON.stringify({ type: 'error', error: { type, message }, request_id: id })
  },

  headers: (id) => ({ 'request-id': id }),
}

const kinds = new Map([
  [401, 'authentication_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [504, 'timeout_error'],
  [529, 'overloaded_error'],
])

function failureOf(ask: Ask): string {
  return anthropic.complain(529, 'Overloaded: the demo was asked to fail.', ask.id)
}

function describe(id: string): object {
  return {
    type: 'model',
    id,
    display_name: `Postern ${id}`,
    created_at: born.toISOString(),
    max_input_tokens: 200_000,
    max_tokens: 64_000,
  }
}

function modelList(): object {
  return { data: models.map(describe), has_more: false, first_id: models[0], last_id: models.at(-1) }
}

function inputTokens(body: JsonObject): number {
  return tokensIn(body.messages, body.system, body.tools)
}

function turnOf(body: JsonObject): Turn {
  const messages = listOf(body.messages)
  const format = objectOf(objectOf(body.output_config).format)
  return {
    said: lastSaid(messages, 'content'),
    tools: listOf(body.tools).flatMap(toolOf),
    choice: hasResult(messages.at(-1)) ? 'none' : choiceOf(objectOf(body.tool_choice)),
    schema: format.type === 'json_schema' ? (format.schema ?? {}) : null,
    limit: typeof body.max_tokens === 'number' ? body.max_tokens : null,
  }
}

/** The client's own tools; the ones that Anthropic's servers run have no schema. */
function toolOf(tool: unknown): Tool[] {
  const { name, input_schema: parameters } = objectOf(tool)
  return typeof name === 'string' && isObject(parameters) ? [{ name, parameters }] : []
}

function hasResult(message: unknown): boolean {
  return listOf(objectOf(message).content).some((block) => objectOf(block).type === 'tool_result')
}

function choiceOf(choice: JsonObject): Turn['choice'] {
  if (choice.type === 'tool') return { name: stringOf(choice.name) }
  return choice.type === 'none' ? 'none' : null
}

function messages(ask: Ask, speech: Speech): Answer {
  const { body } = ask
  const usage = {
    input_tokens: inputTokens(body),
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: speech.tokens,
    service_tier: 'standard',
  }
  const message: Message = {
    id: newId('msg_'),
    type: 'message',
    role: 'assistant',
    model: modelOf(body),
    content: [blockOf(speech)],
    stop_reason: stopOf(speech),
    stop_sequence: null,
    usage,
  }
  if (body.stream !== true) return jsonAnswer(JSON.stringify(message), failureOf(ask))
  return eventStream(frames(message, speech), sse('error', objectOf(JSON.parse(failureOf(ask)))))
}

interface Message {
  readonly id: string
  readonly type: 'message'
  readonly role: 'assistant'
  readonly model: string
  readonly content: readonly object[]
  readonly stop_reason: string | null
  readonly stop_sequence: null
  readonly usage: { readonly output_tokens: number }
}

function blockOf(speech: Speech): object {
  if (speech.kind === 'text') return { type: 'text', text: speech.text }
  return { type: 'tool_use', id: newId('toolu_'), name: speech.name, input: speech.input }
}

function stopOf(speech: Speech): string {
  if (speech.kind === 'call') return 'tool_use'
  return speech.cut ? 'max_tokens' : 'end_turn'
}

function* frames(message: Message, speech: Speech): Generator<string> {
  const event = (type: string, rest: object = {}) => sse(type, { type, ...rest })
  const { stop_reason, stop_sequence, usage, content } = message
  const opening = { ...message, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } }
  const blank = speech.kind === 'text' ? { text: '' } : { input: {} }

  yield event('message_start', { message: opening })
  yield event('content_block_start', { index: 0, content_block: { ...content[0], ...blank } })
  yield event('ping')
  for (const piece of speech.pieces) {
    const text = { type: 'text_delta', text: piece }
    const json = { type: 'input_json_delta', partial_json: piece }
    yield event('content_block_delta', { index: 0, delta: speech.kind === 'text' ? text : json })
  }
  yield event('content_block_stop', { index: 0 })
  yield event('message_delta', {
    delta: { stop_reason, stop_sequence },
    usage: { output_tokens: usage.output_tokens },
  })
  yield event('message_stop')
}
