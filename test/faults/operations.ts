/** One exchange of each operation, written out as its API writes it: answers, their pieces, errors, and the gateway's own words. */

export interface Operation {
  readonly name: string
  readonly provider: string
  request(model: string, isStream: boolean): { readonly path: string; readonly body: object }
  /** A whole answer that is no stream. `from` says who answers. */
  document(from: string): string
  /** A stream: what announces, what is content, what ends it. */
  opening(from: string): string
  content(from: string): string
  ending(from: string): string
  /** An overload that is told inside a 200: as an event, as a document, and the status that it stands for. */
  readonly overload: { readonly event: string; readonly document: string; readonly status: number }
  /** An error of the upstream's, with these words. */
  error(status: number, message: string): string
  /** What the gateway says itself, before an answer and in the midst of a stream. */
  refusal(status: number, code: string, message: string): string
  told(status: number, code: string, message: string): string
}

const data = (value: object) => `data: ${JSON.stringify(value)}\n\n`
const event = (name: string, value: object) => `event: ${name}\n${data({ type: name, ...value })}`

const user = [{ role: 'user', content: 'x' }]

const openaiTypes: Readonly<Record<number, string>> = {
  429: 'rate_limit_error',
  502: 'upstream_error',
  503: 'api_error',
  504: 'upstream_error',
}
const openaiError = (status: number, code: string, message: string) => ({
  error: { message, type: openaiTypes[status], param: null, code: code.toLowerCase() },
})

const chunk = (from: string, delta: object, reason: string | null = null) =>
  data({ id: from, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: reason }] })

const chat: Operation = {
  name: 'chat',
  provider: 'openai',
  request: (model, stream) => ({ path: '/v1/chat/completions', body: { model, stream, messages: user } }),
  document: (from) =>
    JSON.stringify({
      id: from,
      object: 'chat.completion',
      choices: [{ message: { role: 'assistant', content: 'hi' } }],
    }),
  opening: (from) => chunk(from, { role: 'assistant', content: '' }),
  content: (from) => chunk(from, { content: 'hi' }),
  ending: (from) => `${chunk(from, {}, 'stop')}data: [DONE]\n\n`,
  overload: {
    event: data({ error: { message: 'Overloaded', type: 'server_error', code: 'server_is_overloaded' } }),
    document: JSON.stringify({ error: { message: 'Overloaded', type: 'server_error', code: 'server_is_overloaded' } }),
    status: 503,
  },
  error: (_status, message) => JSON.stringify({ error: { message, type: 'whatever', param: null, code: null } }),
  refusal: (status, code, message) => JSON.stringify(openaiError(status, code, message)),
  told: (status, code, message) => data(openaiError(status, code, message)),
}

const responses: Operation = {
  name: 'responses',
  provider: 'openai',
  request: (model, stream) => ({ path: '/v1/responses', body: { model, stream, input: 'x' } }),
  document: (id) => JSON.stringify({ id, object: 'response', status: 'completed', error: null, output: [] }),
  opening: (id) => event('response.created', { response: { id, status: 'in_progress', error: null } }),
  content: (id) => event('response.output_text.delta', { item_id: id, delta: 'hi' }),
  ending: (id) => event('response.completed', { response: { id, status: 'completed', error: null } }),
  overload: {
    event: event('response.failed', {
      response: { id: 'r', status: 'failed', error: { code: 'server_is_overloaded', message: 'busy' } },
    }),
    document: JSON.stringify({
      id: 'r',
      object: 'response',
      status: 'failed',
      error: { code: 'server_is_overloaded', message: 'busy' },
    }),
    status: 503,
  },
  error: (status, message) => chat.error(status, message),
  refusal: (status, code, message) => chat.refusal(status, code, message),
  told(status, code, message) {
    const { error } = openaiError(status, code, message)
    return event('error', { sequence_number: 0, code: error.code, message, param: null, error })
  },
}

const anthropicTypes: Readonly<Record<number, string>> = {
  429: 'rate_limit_error',
  502: 'upstream_error',
  503: 'api_error',
  504: 'upstream_error',
}
const anthropicError = (status: number, message: string) => ({
  type: 'error',
  error: { type: anthropicTypes[status], message },
})

const messages: Operation = {
  name: 'messages',
  provider: 'anthropic',
  request: (model, stream) => ({ path: '/v1/messages', body: { model, stream, max_tokens: 9, messages: user } }),
  document: (id) => JSON.stringify({ id, type: 'message', role: 'assistant', content: [{ type: 'text', text: 'hi' }] }),
  opening: (id) =>
    event('message_start', { message: { id, usage: { input_tokens: 1 } } }) +
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }) +
    event('ping', {}),
  content: () => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'hi' } }),
  ending: () => event('content_block_stop', { index: 0 }) + event('message_stop', {}),
  overload: {
    event: event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }),
    document: JSON.stringify({ type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }),
    status: 529,
  },
  error: (_status, message) => JSON.stringify({ type: 'error', error: { type: 'whatever_error', message } }),
  refusal: (status, _code, message) => JSON.stringify(anthropicError(status, message)),
  told: (status, _code, message) => `event: error\n${data(anthropicError(status, message))}`,
}

const geminiStatuses: Readonly<Record<number, string>> = { 429: 'RESOURCE_EXHAUSTED' }
const geminiError = (code: number, message: string) => ({
  error: { code, message, status: geminiStatuses[code] ?? 'INTERNAL' },
})
const candidate = (responseId: string, more: object) =>
  data({ candidates: [{ content: { parts: [{ text: 'hi' }], role: 'model' }, ...more }], responseId })

const gemini: Operation = {
  name: 'gemini',
  provider: 'gemini',
  request: (model, isStream) => ({
    path: `/v1beta/models/${model}:${isStream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
    body: { contents: [{ role: 'user', parts: [{ text: 'x' }] }] },
  }),
  document: (responseId) => JSON.stringify({ candidates: [{ content: { parts: [{ text: 'hi' }] } }], responseId }),
  // Nothing is announced: every chunk holds content.
  opening: () => '',
  content: (from) => candidate(from, {}),
  ending: (from) => candidate(from, { finishReason: 'STOP' }),
  overload: {
    event: data({ error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }),
    document: JSON.stringify({ error: { code: 503, message: 'The model is overloaded.', status: 'UNAVAILABLE' } }),
    status: 503,
  },
  error: (code, message) => JSON.stringify({ error: { code, message, status: 'WHATEVER' } }),
  refusal: (status, _code, message) => JSON.stringify(geminiError(status, message)),
  told: (status, _code, message) => data(geminiError(status, message)),
}

export const operations: readonly Operation[] = [chat, responses, messages, gemini]
