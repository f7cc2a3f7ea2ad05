/** POST /v1/chat/completions, whole and streamed. */
import { isObject, lastSaid, listOf, objectOf, stringOf, tokensIn, type JsonObject } from './json.ts'
import type { Wish } from './knobs.ts'
import { speak, type Speech, type Tool, type Turn } from './speech.ts'
import { eventStream, jsonAnswer, modelOf, newId, type Answer } from './voice.ts'

/** Answers a chat completion. `failure` is the API's error body. */
export function chat(body: JsonObject, wish: Wish, failure: string): Answer {
  const model = modelOf(body)
  const speech = speak(turnOf(body), wish)
  const usage = usageOf(tokensIn(body.messages, body.tools), speech.tokens)
  const head = { id: newId('chatcmpl-'), created: Math.floor(Date.now() / 1000), model }
  if (body.stream === true) {
    const told = objectOf(body.stream_options).include_usage === true ? usage : null
    return eventStream(frames(head, speech, told), `data: ${failure}\n\n`)
  }
  const choice = { index: 0, message: messageOf(speech), logprobs: null, finish_reason: finishOf(speech) }
  const { id, created } = head
  const answer = { id, object: 'chat.completion', created, model, choices: [choice], usage, ...constants }
  return jsonAnswer(JSON.stringify(answer), failure)
}

interface Head {
  readonly id: string
  readonly created: number
  readonly model: string
}

const constants = { service_tier: 'default', system_fingerprint: 'fp_postern_demo' }

function turnOf(body: JsonObject): Turn {
  const messages = listOf(body.messages)
  const limit = body.max_completion_tokens ?? body.max_tokens
  return {
    said: lastSaid(messages, 'content'),
    tools: listOf(body.tools).flatMap(toolOf),
    choice: objectOf(messages.at(-1)).role === 'tool' ? 'none' : choiceOf(body.tool_choice),
    schema: schemaOf(objectOf(body.response_format)),
    limit: typeof limit === 'number' ? limit : null,
  }
}

function toolOf(tool: unknown): Tool[] {
  const { name, parameters } = objectOf(objectOf(tool).function)
  return typeof name === 'string' ? [{ name, parameters }] : []
}

function choiceOf(choice: unknown): Turn['choice'] {
  if (isObject(choice)) return { name: stringOf(objectOf(choice.function).name) }
  return choice === 'none' ? 'none' : null
}

function schemaOf(format: JsonObject): unknown {
  if (format.type === 'json_schema') return objectOf(format.json_schema).schema ?? {}
  return format.type === 'json_object' ? { type: 'object', properties: { demo: { type: 'string' } } } : null
}

function usageOf(input: number, output: number): object {
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}

function finishOf(speech: Speech): string {
  if (speech.kind === 'call') return 'tool_calls'
  return speech.cut ? 'length' : 'stop'
}

function messageOf(speech: Speech): object {
  const message = { role: 'assistant', refusal: null, annotations: [] }
  if (speech.kind === 'text') return { ...message, content: speech.text }
  const call = { id: newId('call_'), type: 'function', function: { name: speech.name, arguments: speech.text } }
  return { ...message, content: null, tool_calls: [call] }
}

/** `usage` is told in a chunk of its own, without choices; every other chunk then says that it has none. */
function* frames({ id, created, model }: Head, speech: Speech, usage: object | null): Generator<string> {
  const told = usage === null ? undefined : null
  const chunk = (choices: readonly object[], usage?: object | null) =>
    `data: ${JSON.stringify({ id, object: 'chat.completion.chunk', created, model, ...constants, choices, usage })}\n\n`
  const delta = (delta: object, finish: string | null = null) =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: finish }], told)

  yield delta(openingOf(speech))
  for (const piece of speech.pieces) {
    if (speech.kind === 'text') yield delta({ content: piece })
    else yield delta({ tool_calls: [{ index: 0, function: { arguments: piece } }] })
  }
  yield delta({}, finishOf(speech))
  if (usage !== null) yield chunk([], usage)
  yield 'data: [DONE]\n\n'
}

function openingOf(speech: Speech): object {
  const opening = { role: 'assistant', refusal: null }
  if (speech.kind === 'text') return { ...opening, content: '' }
  const call = { index: 0, id: newId('call_'), type: 'function', function: { name: speech.name, arguments: '' } }
  return { ...opening, content: null, tool_calls: [call] }
}
