import type { JSONSchema } from 'json-schema-to-ts'

const text = (standard: string, description: string) => ({ type: 'string', default: standard, description }) as const

/** The options of security-headers. */
export const options = {
  type: 'object',
  description: 'Tells browsers what they may do with answers; pages get a policy with a fresh nonce.',
  additionalProperties: false,
  properties: {
    api_prefixes: {
      type: 'array',
      items: { type: 'string', pattern: '^/' },
      default: ['/v1/', '/v1beta/', '/antigravity/', '/sora/', '/responses'],
      description: "Paths that begin so are an API's: no page, no nonce. So is whatever a mounted provider claims.",
    },
    content_security_policy: text(
      "default-src 'self'; script-src 'self' __CSP_NONCE__; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'",
      "What pages may load. `__CSP_NONCE__` becomes 'nonce-…'; script-src is given one if need be. Empty: no policy.",
    ),
    nonce_in_pages: {
      type: 'boolean',
      default: true,
      description:
        'Whether `__CSP_NONCE__` becomes the nonce in the HTML that plugins answer with. False: only a plugin that reads the fact csp_nonce gets it.',
    },
    permissions_policy: text(
      'camera=(), geolocation=(), microphone=()',
      'Which abilities of the browser pages may use. Empty: not told.',
    ),
    cross_origin_opener_policy: text(
      'same-origin',
      'Which windows may keep a hold of a page that they opened. Empty: not told.',
    ),
    cross_origin_resource_policy: text(
      'same-origin',
      'Who may embed answers, those of APIs too: same-origin, same-site or cross-origin. Empty: not told.',
    ),
    hsts: text(
      '',
      'Strict-Transport-Security, such as max-age=63072000; includeSubDomains, if TLS ends before the gateway.',
    ),
  },
} as const satisfies JSONSchema
