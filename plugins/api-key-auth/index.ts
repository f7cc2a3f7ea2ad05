import { definePlugin, refuse, reply } from 'postern/plugin'
import { challenge, guard } from 'postern/access'

/** Lets in who brings a key; errors are told in the API that is spoken. */
export default definePlugin({
  name: 'api-key-auth',
  config: {
    type: 'object',
    description: 'Lets in who brings a key of gateway.yaml or of the database.',
    additionalProperties: false,
    properties: {
      open: {
        type: 'array',
        items: { type: 'string' },
        default: ['media_signed'],
        description: 'Operations that need no key: what they allow is signed, or public.',
      },
      free: {
        type: 'array',
        items: { type: 'string', pattern: '^/' },
        default: ['/v1/usage', '/antigravity/v1/usage'],
        description: 'Paths that cost nothing: who has used up a balance or a limit may still ask there how much.',
      },
      errors: {
        enum: ['dialect', 'plain'],
        default: 'dialect',
        description:
          'How errors are told: dialect, as the API that is spoken tells them; plain, as {"code": …, "message": …}.',
      },
    },
  },
  reads: ['claim'],
  writes: ['principal'],
  async setup({ config, access }) {
    const verifier = await access()
    if (!verifier.hasKeys)
      throw new Error('it would admit nobody: add keys to gateway.yaml, or a database that has some')
    const open = new Set(config.open)
    const free = new Set(config.free)
    return guard(verifier, {
      places: ['authorization', 'x-api-key', 'x-goog-api-key'],
      refusedParameters: /[?&](?:api_)?key=/,
      isOpen: ({ facts }) => facts.claim !== null && open.has(facts.claim.operation),
      isFree: ({ path }) => free.has(path),
      refuse({ status, code, message }) {
        if (config.errors === 'dialect') return refuse(status, code, message, challenge(status))
        const headers = { 'content-type': 'application/json', 'cache-control': 'no-store', ...challenge(status) }
        return reply(status, JSON.stringify({ code: spelt(code), message }), headers)
      },
    })
  },
})

/** One of them has always been spelt in small letters, and clients look for it so. */
function spelt(code: string): string {
  return code === 'API_KEY_IN_QUERY_DEPRECATED' ? code.toLowerCase() : code
}
