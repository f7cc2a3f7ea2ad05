import { defineProvider, dropCredentials, jsonField, type Claim, type Dialect, type Usage } from 'postern/provider'
import { errorTypeOf, failure } from './errors.ts'
import { websocket, websocketAt } from './websocket.ts'

export default defineProvider({
  name: 'openai',
  description: "OpenAI's API, and every API that is compatible with it.",
  url: 'https://api.openai.com',
  dialect: () => dialect,
})

const dialect: Dialect = {
  claims: (method, path) => claim(method, path),
  fields: { model: 'model', stream: 'stream' },
  version: '/v1',
  authorize({ headers }, key) {
    if (key === null) return
    dropCredentials(headers)
    headers.authorization = `Bearer ${key}`
  },
  usage: addUsage,
  firstEvent: classify,
  websocket,
  models: {
    entry: (id) => ({ id, object: 'model', created: 0, owned_by: 'postern' }),
    list: (data) => ({ object: 'list', data }),
  },
  errorEvent,
  refusal: (status, code, message) => ({
    error: {
      message,
      type: errorTypeOf(status),
      param: null,
      code: code.toLowerCase(),
    },
  }),
}

/** What nobody but this API has; some clients leave the version out. */
const known =
  /^(?:\/v1)?\/(chat\/completions|completions|responses|embeddings|moderations|images|audio|realtime)(?:\/|$)/

function claim(method: string, path: string): Claim | null {
  const match = known.exec(path)
  if (match) {
    const operation = match[1]!.replace('/', '.')
    const canonical = path.startsWith('/v1/') ? path : `/v1${path}`
    const claimed = canonical === path ? { operation } : { operation, path: canonical }
    const served = method === 'GET' ? websocketAt(canonical) : null
    if (method === 'POST' && canonical === '/v1/responses') return { ...claimed, turn: true }
    return served ? { ...claimed, websocket: served } : claimed
  }
  if (path === '/v1/models') return { operation: 'models', weak: true }
  if (path.startsWith('/v1/models/'))
    return { operation: 'models', model: path.slice('/v1/models/'.length), weak: true }
  return path.startsWith('/v1/') ? { operation: 'other', weak: true } : null
}

/** Events of a response that announce what will come. */
const announcements = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'response.output_item.added',
  'response.content_part.added',
  'response.reasoning_summary_part.added',
])

function classify(data: Buffer): 'hold' | 'commit' | { status: number } {
  const type = jsonField(data, 'type')
  if (typeof type === 'string') {
    if (announcements.has(type)) return 'hold'
    if (type === 'error')
      return failure(jsonField(data, 'error') ?? { code: jsonField(data, 'code') }, jsonField(data, 'status'))
    if (type === 'response.failed') return failure(jsonField(data, 'response.error'))
    return 'commit'
  }
  if (!data.includes('"error"')) return announcesChat(data) ? 'hold' : 'commit'
  const error = jsonField(data, 'error')
  const failed =
    typeof error === 'object' &&
    error !== null &&
    (!data.includes('"object"') || jsonField(data, 'status') === 'failed')
  return failed ? failure(error) : 'commit'
}

/** The first chunk of a chat says who speaks, and nothing yet. */
function announcesChat(data: Buffer): boolean {
  if (data.length > 2048 || !data.includes('"chat.completion.chunk"')) return false
  const choices = jsonField(data, 'choices') as
    | { delta?: Record<string, unknown>; finish_reason?: unknown }[]
    | undefined // looked at before it counts
  if (!Array.isArray(choices) || choices.length === 0) return Array.isArray(choices)
  return choices.every(({ delta, finish_reason: reason }) => {
    if (reason !== null && reason !== undefined) return false
    return Object.entries(delta ?? {}).every(
      ([field, value]) =>
        field === 'role' || value === null || value === '' || (Array.isArray(value) && value.length === 0),
    )
  })
}

/** A response's errors are events of their own kind; a chat's stand in a chunk. */
function errorEvent(shape: object, operation: string): string {
  if (operation !== 'responses') return `data: ${JSON.stringify(shape)}\n\n`
  const { error } = shape as { error: { code?: string; message?: string; param?: null } } // what `refusal` makes, or the API said
  const { code, message, param = null } = error
  return `event: error\ndata: ${JSON.stringify({ type: 'error', sequence_number: 0, code, message, param, error })}\n\n`
}

interface Told {
  prompt_tokens?: number
  completion_tokens?: number
  input_tokens?: number
  output_tokens?: number
  prompt_tokens_details?: { cached_tokens?: number }
  input_tokens_details?: { cached_tokens?: number }
  /** As the Realtime API spells it. */
  input_token_details?: { cached_tokens?: number }
}

/** Chat completions and embeddings tell it at the top, a stream of responses inside its last event. */
function addUsage(data: Buffer, usage: Usage): void {
  if (!data.includes('"usage"')) return
  // A document from outside: every number is looked at before it counts.
  const told = (jsonField(data, 'usage') ?? jsonField(data, 'response.usage')) as Told | null | undefined
  if (typeof told !== 'object' || told === null) return
  const details = told.prompt_tokens_details ?? told.input_tokens_details ?? told.input_token_details
  const cached = details?.cached_tokens ?? 0
  const input = told.prompt_tokens ?? told.input_tokens ?? 0
  // OpenAI counts cached tokens as input too.
  usage.input = Math.max(0, input - cached)
  usage.cacheRead = cached
  usage.output = told.completion_tokens ?? told.output_tokens ?? 0
}
