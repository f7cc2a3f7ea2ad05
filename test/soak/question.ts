/** What a client asks of the upstream of these programs, and the one answer that is right: both sides make it from the same words. */

export type Api = 'chat' | 'messages' | 'gemini' | 'upload' | 'turn'

/** What goes wrong with an answer: before its head, with its head, or in its midst. */
export type Fault = 'reset' | 'busy' | 'limited' | 'nonsense' | 'cut' | 'torn' | 'told'

export interface Question {
  /** Of one request of one client; nobody else has it. */
  readonly id: string
  readonly api: Api
  readonly stream: boolean
  readonly model: string
  /** Pieces of content, the time between two of them in ms, and the length of each. */
  readonly pieces: number
  readonly pause: number
  readonly size: number
  readonly input: number
  readonly output: number
  /** Null: nothing goes wrong. */
  readonly fault: Fault | null
}

/** Who has answered, and what the answer is called. */
export interface Origin {
  readonly from: string
  readonly name: string
}

export const paths: Readonly<Record<Api, (question: Question) => string>> = {
  chat: () => '/v1/chat/completions',
  messages: () => '/v1/messages',
  gemini: ({ model }) => `/v1beta/models/${model}:generateContent`,
  upload: () => '/v1/audio/transcriptions',
  turn: () => '/v1/responses',
}

/** The body of a request; the question stands in it whole. `padding` bytes make it longer. */
export function bodyOf(question: Question, padding = 0): string {
  const text = 'x'.repeat(padding)
  const { model, stream, output: max_tokens } = question
  if (question.api === 'gemini') return JSON.stringify({ soak: question, contents: [{ parts: [{ text }] }] })
  if (question.api === 'turn') return JSON.stringify({ type: 'response.create', model, soak: question, input: text })
  return JSON.stringify({ model, stream, max_tokens, soak: question, messages: [{ role: 'user', content: text }] })
}

/** The pieces of the whole answer, as they are sent: events of a stream, messages of a turn, or one document. */
export function answerOf(question: Question, origin: Origin, about = ''): readonly string[] {
  const { api, stream } = question
  if (api === 'turn') return turnOf(question, origin)
  if (!stream)
    return [JSON.stringify({ soak: markOf(question, origin, 0), about, ...documents[api](question, origin) })]
  return api === 'messages' ? messagesOf(question, origin) : chunksOf(question, origin)
}

/** Which answer this is: who gave it, what it is called, who asked, and which piece. It stands in every piece. */
function markOf({ id }: Question, { from, name }: Origin, at: number): string {
  return [from, name, id, at].join(' ')
}

const documents: Readonly<Record<Exclude<Api, 'turn'>, (question: Question, origin: Origin) => object>> = {
  chat: ({ model, input, output, size }, { name: id }) => ({
    id,
    model,
    choices: [{ index: 0, message: { role: 'assistant', content: 'y'.repeat(size) }, finish_reason: 'stop' }],
    usage: { prompt_tokens: input, completion_tokens: output },
  }),
  messages: ({ model, input, output, size }, { name: id }) => ({
    type: 'message',
    id,
    model,
    content: [{ type: 'text', text: 'y'.repeat(size) }],
    usage: { input_tokens: input, output_tokens: output },
  }),
  gemini: ({ model: modelVersion, input, output, size }, { name: responseId }) => ({
    responseId,
    modelVersion,
    candidates: [{ content: { parts: [{ text: 'y'.repeat(size) }] }, finishReason: 'STOP' }],
    usageMetadata: { promptTokenCount: input, candidatesTokenCount: output },
  }),
  upload: ({ input, output }, { name: id }) => ({
    id,
    text: 'heard',
    usage: { type: 'tokens', input_tokens: input, output_tokens: output },
  }),
}

function chunksOf(question: Question, origin: Origin): string[] {
  const { model, pieces, size, input, output } = question
  const chunk = (at: number, more: object) =>
    `data: ${JSON.stringify({ soak: markOf(question, origin, at), id: origin.name, model, ...more })}\n\n`
  const content = 'y'.repeat(size)
  return [
    ...Array.from({ length: pieces }, (_, at) => chunk(at, { choices: [{ index: 0, delta: { content } }] })),
    chunk(pieces, { choices: [], usage: { prompt_tokens: input, completion_tokens: output } }),
    'data: [DONE]\n\n',
  ]
}

function messagesOf(question: Question, origin: Origin): string[] {
  const { model, pieces, size, input, output } = question
  let at = 0
  const event = (type: string, more: object) =>
    `event: ${type}\ndata: ${JSON.stringify({ type, soak: markOf(question, origin, at++), ...more })}\n\n`
  const message = { id: origin.name, model, usage: { input_tokens: input, output_tokens: 1 } }
  const delta = { type: 'text_delta', text: 'y'.repeat(size) }
  return [
    event('message_start', { message }),
    ...Array.from({ length: pieces }, () => event('content_block_delta', { index: 0, delta })),
    event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: output } }),
    event('message_stop', {}),
  ]
}

function turnOf(question: Question, origin: Origin): string[] {
  const { model, pieces, size, input, output } = question
  let at = 0
  const event = (type: string, more: object) => JSON.stringify({ type, soak: markOf(question, origin, at++), ...more })
  const usage = { input_tokens: input, output_tokens: output }
  return [
    event('response.created', { response: { id: origin.name, model, status: 'in_progress' } }),
    ...Array.from({ length: pieces }, () => event('response.output_text.delta', { delta: 'y'.repeat(size) })),
    event('response.completed', { response: { id: origin.name, model, status: 'completed', output: [], usage } }),
  ]
}
