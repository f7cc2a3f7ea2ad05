import { definePlugin, reply, type Reply } from 'postern/plugin'
import { challenge, guard, type Denial, type DenialCode } from 'postern/access'

/** The same keys for clients of Google's APIs: where they put them, and errors as Google tells them. */
export default definePlugin({
  name: 'google-auth',
  config: {
    type: 'object',
    description: "Lets in who brings a key, on the paths of Google's APIs and in Google's words.",
    additionalProperties: false,
    properties: {
      prefixes: {
        type: 'array',
        items: { type: 'string', pattern: '^/' },
        default: ['/v1beta/', '/v1alpha/', '/upload/v1beta/', '/antigravity/v1beta/', '/antigravity/v1alpha/'],
        description: 'Beginnings of the paths that it guards; api-key-auth below it guards the others.',
      },
    },
  },
  reads: ['claim'],
  writes: ['principal'],
  async setup({ config, access }) {
    const verifier = await access()
    if (!verifier.hasKeys)
      throw new Error('it would admit nobody: add keys to gateway.yaml, or a database that has some')
    return guard(verifier, {
      places: ['x-goog-api-key', 'authorization', 'x-api-key'],
      refusedParameters: /[?&]api_key=/,
      isOpen: ({ path }) => !config.prefixes.some((prefix) => path.startsWith(prefix)),
      refuse: inGooglesWords,
    })
  },
})

/** Where Google's clients are told something else. */
const messages: Partial<Record<DenialCode, string>> = {
  API_KEY_IN_QUERY_DEPRECATED: 'Query parameter api_key is deprecated. Use Authorization header or key instead.',
  API_KEY_REQUIRED: 'API key is required',
}

/** https://cloud.google.com/apis/design/errors */
const statuses: Readonly<Record<number, string>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
}

function inGooglesWords({ status, code, message }: Denial): Reply {
  const error = { code: status, message: messages[code] ?? message, status: statuses[status] ?? 'UNKNOWN' }
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store', ...challenge(status) }
  return reply(status, JSON.stringify({ error }), headers)
}
