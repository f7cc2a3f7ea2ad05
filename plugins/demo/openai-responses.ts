/** POST /v1/responses, whole and streamed. */
import { isObject, lastSaid, listOf, objectOf, stringOf, tokensIn, type JsonObject } from './json.ts'
import type { Wish } from './knobs.ts'
import { speak, type Speech, type Tool, type Turn } from './speech.ts'
import { eventStream, jsonAnswer, modelOf, newId, sse, type Answer } from './voice.ts'

/** Answers a request of the Responses API. `failure` is the API's error body. */
export function responses(body: JsonObject, wish: Wish, failure: string): Answer {
  const blank = blankOf(body, modelOf(body))
  const speech = speak(turnOf(body), wish)
  const input = tokensIn(body.input, body.instructions, body.tools)
  if (body.stream !== true) {
    return jsonAnswer(JSON.stringify(finished(blank, itemOf(speech), speech, input)), failure)
  }
  return eventStream(frames(blank, speech, input), failedEvent)
}

const failedEvent = sse('error', {
  type: 'error',
  sequence_number: 0,
  code: 'server_error',
  message: 'The demo was asked to fail: the server had an error while answering.',
  param: null,
})

function turnOf(body: JsonObject): Turn {
  const items = typeof body.input === 'string' ? [{ role: 'user', content: body.input }] : listOf(body.input)
  const format = objectOf(objectOf(body.text).format)
  return {
    said: lastSaid(items.filter(isMessage), 'content'),
    tools: listOf(body.tools).flatMap(toolOf),
    choice: objectOf(items.at(-1)).type === 'function_call_output' ? 'none' : choiceOf(body.tool_choice),
    schema: format.type === 'json_schema' ? (format.schema ?? {}) : null,
    limit: typeof body.max_output_tokens === 'number' ? body.max_output_tokens : null,
  }
}

/** An input list holds calls and their outputs too; those have no role. */
function isMessage(item: unknown): boolean {
  return isObject(item) && typeof item.role === 'string'
}

function toolOf(tool: unknown): Tool[] {
  const { type, name, parameters } = objectOf(tool)
  return type === 'function' && typeof name === 'string' ? [{ name, parameters }] : []
}

function choiceOf(choice: unknown): Turn['choice'] {
  if (isObject(choice) && choice.type === 'function') return { name: stringOf(choice.name) }
  return choice === 'none' ? 'none' : null
}

type Blank = ReturnType<typeof blankOf>

/** The response before anything has been said: what the first events of a stream carry. */
function blankOf(body: JsonObject, model: string) {
  return {
    id: newId('resp_'),
    object: 'response',
    created_at: Math.floor(Date.now() / 1000),
    status: 'in_progress',
    background: false,
    error: null,
    incomplete_details: null as { reason: string } | null, // widened: a response that ends early has one
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    metadata: body.metadata ?? {},
    model,
    output: [] as readonly object[], // widened: a finished response has some
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: body.text ?? { format: { type: 'text' } },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: body.top_p ?? 1,
    truncation: body.truncation ?? 'disabled',
    usage: null as object | null, // widened: a finished response has it
    user: null,
  }
}

function isCut(speech: Speech): boolean {
  return speech.kind === 'text' && speech.cut
}

function finished(blank: Blank, item: object, speech: Speech, input: number): Blank {
  return {
    ...blank,
    status: isCut(speech) ? 'incomplete' : 'completed',
    incomplete_details: isCut(speech) ? { reason: 'max_output_tokens' } : null,
    output: [item],
    usage: {
      input_tokens: input,
      input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
      output_tokens: speech.tokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: input + speech.tokens,
    },
  }
}

function partOf(text: string): object {
  return { type: 'output_text', annotations: [], logprobs: [], text }
}

interface Item {
  readonly id: string
  readonly type: string
  readonly [field: string]: unknown
}

function itemOf(speech: Speech): Item {
  const status = isCut(speech) ? 'incomplete' : 'completed'
  const { text } = speech
  if (speech.kind === 'text') {
    return { id: newId('msg_'), type: 'message', status, content: [partOf(text)], role: 'assistant' }
  }
  const { name } = speech
  return { id: newId('fc_'), type: 'function_call', status, arguments: text, call_id: newId('call_'), name }
}

/** The whole sequence of a stream: created, in progress, the item and its parts, and the response again with usage. */
function* frames(blank: Blank, speech: Speech, input: number): Generator<string> {
  let number = 0
  const event: Event = (type, rest) => sse(type, { type, sequence_number: number++, ...rest })
  const item = itemOf(speech)

  yield event('response.created', { response: blank })
  yield event('response.in_progress', { response: blank })
  const opening = speech.kind === 'text' ? { content: [] } : { arguments: '' }
  yield event('response.output_item.added', { output_index: 0, item: { ...item, status: 'in_progress', ...opening } })
  yield* speech.kind === 'text' ? textFrames(event, item.id, speech) : argumentFrames(event, item.id, speech)
  yield event('response.output_item.done', { output_index: 0, item })
  const response = finished(blank, item, speech, input)
  yield event(isCut(speech) ? 'response.incomplete' : 'response.completed', { response })
}

type Event = (type: string, rest: object) => string

function* textFrames(event: Event, item_id: string, { pieces, text }: Speech): Generator<string> {
  const place = { item_id, output_index: 0, content_index: 0 }
  yield event('response.content_part.added', { ...place, part: partOf('') })
  for (const delta of pieces) yield event('response.output_text.delta', { ...place, delta, logprobs: [] })
  yield event('response.output_text.done', { ...place, text, logprobs: [] })
  yield event('response.content_part.done', { ...place, part: partOf(text) })
}

function* argumentFrames(event: Event, item_id: string, { pieces, text }: Speech): Generator<string> {
  const place = { item_id, output_index: 0 }
  for (const delta of pieces) yield event('response.function_call_arguments.delta', { ...place, delta })
  yield event('response.function_call_arguments.done', { ...place, arguments: text })
}
