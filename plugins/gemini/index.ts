import { defineProvider, dropCredentials, jsonField, type Claim, type Dialect, type Usage } from 'postern/provider'

export default defineProvider({
  name: 'gemini',
  description: "Google's Gemini API.",
  url: 'https://generativelanguage.googleapis.com',
  dialect: () => dialect,
})

const dialect: Dialect = {
  claims: (method, path, headers) =>
    live(method, path) ??
    claim(
      path,
      saysSo.some((name) => headers[name] !== undefined),
    ),
  fields: {},
  keyParameter: { name: 'key', header: 'x-goog-api-key' },
  authorize({ headers }, key) {
    if (key === null) return
    dropCredentials(headers)
    headers['x-goog-api-key'] = key
  },
  usage: addUsage,
  firstEvent: classify,
  models: {
    entry: (id) => ({
      name: `models/${id}`,
      displayName: id,
      supportedGenerationMethods: ['generateContent', 'countTokens'],
    }),
    list: (models) => ({ models }),
  },
  streamsEvents: (query) => /[?&]alt=sse(&|$)/.test(query),
  refusal: (status, _code, message) => ({
    error: { code: status, message, status: statusNames[status] ?? (status < 500 ? 'UNKNOWN' : 'INTERNAL') },
  }),
}

/** `/v1beta/models/{model}:{action}`; some clients write a slash for the colon. */
const modelPath = /^\/(v1beta|v1alpha|v1)\/((?:tuned)?[Mm]odels)\/([^/:]+)(?:([:/])([A-Za-z]+))?$/
const listPath = /^\/v1(?:beta|alpha)?\/models\/?$/
/** Nobody else has /upload/v1, so it needs no header that says whose it is. */
const versions = /^\/(?:upload\/v1(?:beta|alpha)?|v1(?:beta|alpha))(?:\/|$)/

/** What Google's SDKs send: tells their `/v1/models` from OpenAI's. */
const saysSo = ['x-goog-api-key', 'x-goog-api-client']

/** The Live API: one service, in several versions. Google's SDK puts a second slash behind its base address. */
function live(method: string, path: string): Claim | null {
  const canonical = path.startsWith('//') ? path.slice(1) : path
  if (!livePath.test(canonical)) return null
  const claimed: Claim = canonical === path ? { operation: 'live' } : { operation: 'live', path: canonical }
  return method === 'GET' ? { ...claimed, websocket: 'session' } : claimed
}
const livePath =
  /^\/ws\/google\.ai\.generativelanguage\.v1(?:alpha|beta)?\.GenerativeService\.BidiGenerateContent(?:Constrained)?$/

function claim(path: string, isGoogles: boolean): Claim | null {
  const match = modelPath.exec(path)
  if (match) {
    const [, version, kind, model, separator, action] = match
    // OpenAI has /v1/models/{id} too.
    if (action === undefined) return version === 'v1' && !isGoogles ? null : { operation: 'models', model }
    const stream = action === 'streamGenerateContent'
    const canonical = separator === '/' ? { path: `/${version}/${kind}/${model}:${action}` } : {}
    return { operation: operations.has(action) ? action : 'other', model, stream, ...canonical }
  }
  if (!versions.test(path) && !(isGoogles && path.startsWith('/v1/'))) return null
  if (uploadPath.test(path)) return { operation: 'upload', file: true }
  return { operation: listPath.test(path) ? 'models' : 'other' }
}

/** Google's SDK says of each piece of a file that it is JSON. */
const uploadPath = /^\/upload\/v1(?:beta|alpha)?\/(?:files|fileSearchStores\/[^/:]+:uploadToFileSearchStore)$/

const operations = new Set([
  'generateContent',
  'streamGenerateContent',
  'countTokens',
  'embedContent',
  'batchEmbedContents',
  'predict',
  'predictLongRunning',
])

/** https://cloud.google.com/apis/design/errors */
const statusNames: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
}

/** Every chunk holds content, but for one that holds an error. */
function classify(data: Buffer): 'commit' | { status: number } {
  if (!data.includes('"error"')) return 'commit'
  const error = jsonField(data, 'error')
  if (typeof error !== 'object' || error === null) return 'commit'
  const code = 'code' in error ? Number(error.code) : 500
  return { status: code >= 400 && code < 600 ? code : 500 }
}

interface Told {
  promptTokenCount?: number
  candidatesTokenCount?: number
  thoughtsTokenCount?: number
  cachedContentTokenCount?: number
}

/** Each chunk tells the sums so far. A stream without `alt=sse` is one JSON array: its last element counts. */
function addUsage(data: Buffer, usage: Usage): void {
  const at = data.lastIndexOf('"usageMetadata"')
  if (at === -1) return
  // A document from outside: every number is looked at before it counts.
  const told = (data[0] === 0x5b ? lastMetadata(data, at) : jsonField(data, 'usageMetadata')) as Told | null | undefined
  if (typeof told !== 'object' || told === null) return
  const cached = told.cachedContentTokenCount ?? 0
  usage.input = Math.max(0, (told.promptTokenCount ?? 0) - cached)
  usage.cacheRead = cached
  usage.output = (told.candidatesTokenCount ?? 0) + (told.thoughtsTokenCount ?? 0)
}

/** The object behind the last `"usageMetadata"`: its flat lists of numbers and details hold no quotes that could mislead. */
function lastMetadata(data: Buffer, at: number): unknown {
  const start = data.indexOf('{', at)
  let depth = 0
  for (let end = start; end < data.length && start !== -1; end++) {
    if (data[end] === 0x7b) depth++
    else if (data[end] === 0x7d && --depth === 0) {
      try {
        return JSON.parse(data.toString('utf8', start, end + 1))
      } catch {
        return null
      }
    }
  }
  return null
}
