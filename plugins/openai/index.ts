import { defineProvider, dropCredentials, jsonField, type Claim, type Dialect, type Usage } from 'postern/provider'

export default defineProvider({
  name: 'openai',
  description: "OpenAI's API, and every API that is compatible with it.",
  url: 'https://api.openai.com',
  dialect: () => dialect,
})

const dialect: Dialect = {
  claims: (_method, path) => claim(path),
  fields: { model: 'model', stream: 'stream' },
  version: '/v1',
  authorize({ headers }, key) {
    if (key === null) return
    dropCredentials(headers)
    headers.authorization = `Bearer ${key}`
  },
  usage: addUsage,
  refusal: (status, code, message) => ({
    error: {
      message,
      type: errorTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error'),
      param: null,
      code: code.toLowerCase(),
    },
  }),
}

/** What nobody but this API has; some clients leave the version out. */
const known =
  /^(?:\/v1)?\/(chat\/completions|completions|responses|embeddings|moderations|images|audio|realtime)(?:\/|$)/

function claim(path: string): Claim | null {
  const match = known.exec(path)
  if (match) {
    const operation = match[1]!.replace('/', '.')
    return path.startsWith('/v1/') ? { operation } : { operation, path: `/v1${path}` }
  }
  if (path === '/v1/models' || path.startsWith('/v1/models/')) return { operation: 'models', weak: true }
  return path.startsWith('/v1/') ? { operation: 'other', weak: true } : null
}

/** The names OpenAI's SDKs know, by status; an unreachable upstream is told as such. */
const errorTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  502: 'upstream_error',
  504: 'upstream_error',
}

interface Told {
  prompt_tokens?: number
  completion_tokens?: number
  input_tokens?: number
  output_tokens?: number
  prompt_tokens_details?: { cached_tokens?: number }
  input_tokens_details?: { cached_tokens?: number }
}

/** Chat completions and embeddings tell it at the top, a stream of responses inside its last event. */
function addUsage(data: Buffer, usage: Usage): void {
  if (!data.includes('"usage"')) return
  // A document from outside: every number is looked at before it counts.
  const told = (jsonField(data, 'usage') ?? jsonField(data, 'response.usage')) as Told | null | undefined
  if (typeof told !== 'object' || told === null) return
  const cached = told.prompt_tokens_details?.cached_tokens ?? told.input_tokens_details?.cached_tokens ?? 0
  const input = told.prompt_tokens ?? told.input_tokens ?? 0
  // OpenAI counts cached tokens as input too.
  usage.input = Math.max(0, input - cached)
  usage.cacheRead = cached
  usage.output = told.completion_tokens ?? told.output_tokens ?? 0
}
