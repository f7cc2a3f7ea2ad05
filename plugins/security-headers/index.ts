import { randomBytes } from 'node:crypto'
import { definePlugin, type Headers } from 'postern/plugin'
import { options } from './options.ts'
import { compilePolicy } from './policy.ts'

// An import by name would load Node's fetch as well: 10 MiB.
const { validateHeaderValue } = process.getBuiltinModule('node:http')

declare module 'postern/plugin' {
  interface Facts {
    /** For the `nonce` of a page's own scripts, if the policy takes one. Empty where no randomness was to be had. */
    csp_nonce: string
  }
}

/** What browsers may do with an answer. Pages get a policy with a fresh nonce; an API's answers do not pay for one. */
export default definePlugin({
  name: 'security-headers',
  config: options,
  reads: ['provider'],
  writes: ['csp_nonce'],
  setup(context) {
    const { config, log } = context
    const policy = compilePolicy(config.content_security_policy)
    const onEveryAnswer = sendable({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'strict-origin-when-cross-origin',
      'cross-origin-resource-policy': config.cross_origin_resource_policy,
      'strict-transport-security': config.hsts,
    })
    const onPages = sendable({
      ...onEveryAnswer,
      'permissions-policy': config.permissions_policy,
      'cross-origin-opener-policy': config.cross_origin_opener_policy,
    })
    // A nonce can be sent wherever this can.
    sendable({ 'content-security-policy': policy?.withNonce('') ?? '' })

    const isPage = ({ path, facts }: { path: string; facts: { provider: object | null } }) =>
      facts.provider === null && !config.api_prefixes.some((prefix) => path.startsWith(prefix))

    /** 128 random bits, as CSP wants them at least; empty where the system has none. */
    function freshNonce(exchange: string): string {
      try {
        return randomBytes(16).toString('base64')
      } catch (error) {
        log.error({ exchange, err: error }, "no randomness for a nonce: the page's policy admits inline scripts")
        return ''
      }
    }

    const takesNonce = policy?.takesNonce ?? false
    return {
      // Early only for a plugin that writes it into its page; otherwise just the header needs it.
      onRequest:
        takesNonce && context.wants('csp_nonce')
          ? (exchange) => {
              if (isPage(exchange)) exchange.facts.csp_nonce = freshNonce(exchange.id)
            }
          : undefined,
      onResponse(exchange, head) {
        const { headers } = head
        if (!isPage(exchange)) return void Object.assign(headers, onEveryAnswer)
        Object.assign(headers, onPages)
        if (policy === null) return
        const nonce = takesNonce ? (exchange.facts.csp_nonce ??= freshNonce(exchange.id)) : ''
        headers['content-security-policy'] = policy.withNonce(nonce)
        if (takesNonce && config.nonce_in_pages && head.body?.includes(placeholder) && isHtml(headers))
          head.body = Buffer.from(head.body.toString('latin1').replaceAll(placeholder, nonce), 'latin1')
      },
    }
  },
})

/** Where a page wants its nonce. */
const placeholder = '__CSP_NONCE__'

function isHtml(headers: Headers): boolean {
  return headers['content-encoding'] === undefined && String(headers['content-type']).startsWith('text/html')
}

/** The headers that have a value. Throws where Node would refuse to send one: at a reload rather than at each answer. */
function sendable(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const set = Object.entries(headers).filter(([, value]) => value !== '')
  for (const [name, value] of set) validateHeaderValue(name, value)
  return Object.fromEntries(set)
}
