import { defineProvider, dropCredentials, jsonField, type Claim, type Dialect, type Usage } from 'postern/provider'

export default defineProvider({
  name: 'anthropic',
  description: "Anthropic's API, and those that are compatible with it.",
  url: 'https://api.anthropic.com',
  options: {
    credential: {
      type: 'string',
      enum: ['x-api-key', 'bearer'],
      default: 'x-api-key',
      description: "Where the upstream's key goes: x-api-key for API keys, bearer for OAuth tokens.",
    },
  },
  dialect: ({ credential }) => ({
    ...dialect,
    authorize({ headers }, key) {
      headers['anthropic-version'] ??= '2023-06-01'
      if (key === null) return
      dropCredentials(headers)
      if (credential === 'bearer') headers.authorization = `Bearer ${key}`
      else headers['x-api-key'] = key
    },
  }),
})

const dialect: Omit<Dialect, 'authorize'> = {
  claims: (_method, path, headers) => claim(path, headers['anthropic-version'] !== undefined),
  fields: { model: 'model', stream: 'stream' },
  usage: addUsage,
  firstEvent: classify,
  models: {
    entry: (id) => ({ type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' }),
    list: (data) => ({ data, has_more: false, first_id: idOf(data.at(0)), last_id: idOf(data.at(-1)) }),
  },
  errorEvent: (error) => `event: error\ndata: ${JSON.stringify(error)}\n\n`,
  refusal: (status, _code, message) => ({
    type: 'error',
    error: { type: errorTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error'), message },
  }),
}

function claim(path: string, saysSo: boolean): Claim | null {
  if (path === '/v1/messages') return { operation: 'messages' }
  if (path === '/v1/messages/count_tokens') return { operation: 'count_tokens' }
  if (path.startsWith('/v1/messages/')) return { operation: 'batches' }
  if (!saysSo || !path.startsWith('/v1/')) return null
  if (path === '/v1/models') return { operation: 'models' }
  return path.startsWith('/v1/models/')
    ? { operation: 'models', model: path.slice('/v1/models/'.length) }
    : { operation: 'other' }
}

function idOf(entry: object | undefined): unknown {
  return entry && 'id' in entry ? entry.id : null
}

/** https://docs.anthropic.com/en/api/errors; an unreachable upstream is told as such. */
const errorTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  502: 'upstream_error',
  504: 'upstream_error',
  529: 'overloaded_error',
}

/** Announcements: what has a content still to come behind it. */
const announcements = new Set(['message_start', 'ping', 'content_block_start'])

/** The statuses of the error types, where one is told inside a 200. */
const statuses: Readonly<Record<string, number>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  timeout_error: 504,
  overloaded_error: 529,
}

function classify(data: Buffer): 'hold' | 'commit' | { status: number } {
  const type = jsonField(data, 'type')
  if (type === 'error') return { status: statuses[String(jsonField(data, 'error.type'))] ?? 500 }
  return typeof type === 'string' && announcements.has(type) ? 'hold' : 'commit'
}

interface Told {
  input_tokens?: number
  output_tokens?: number
  cache_read_input_tokens?: number | null
  cache_creation_input_tokens?: number | null
}

/** A stream tells the input in `message_start` and the output, as it grows, in each `message_delta`. */
function addUsage(data: Buffer, usage: Usage): void {
  if (!data.includes('"usage"')) return
  // A document from outside: every number is looked at before it counts.
  const told = (jsonField(data, 'usage') ?? jsonField(data, 'message.usage')) as Told | null | undefined
  if (typeof told !== 'object' || told === null) return
  usage.input = told.input_tokens ?? usage.input
  usage.output = told.output_tokens ?? usage.output
  usage.cacheRead = told.cache_read_input_tokens ?? usage.cacheRead
  usage.cacheWrite = told.cache_creation_input_tokens ?? usage.cacheWrite
}
