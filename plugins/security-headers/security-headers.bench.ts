import { randomBytes } from 'node:crypto'
import type { AnswerHead, Exchange, Hooks, PluginContext } from 'postern/plugin'
import { bench } from '../../test/bench.ts'
import plugin from './index.ts'
import { options } from './options.ts'

const standard = options.properties
const config = Object.fromEntries(Object.entries(standard).map(([name, option]) => [name, option.default]))
const context = { config, wants: () => false } as unknown as PluginContext<unknown> // all that its setup takes
const hooks: Hooks = await plugin.setup(context)

// All that the hook looks at, for a path that no provider claims.
const exchange = (path: string) =>
  ({ id: 'x', path, facts: { provider: null, csp_nonce: null } }) as unknown as Exchange
const head = (): AnswerHead => ({
  status: 200,
  headers: { 'content-type': 'application/json', 'content-length': '2' },
  body: null,
})

/** The naive way: whatever is answered, the policy is completed and told with a nonce. */
function always(_exchange: Exchange, { headers }: AnswerHead): void {
  const nonce = randomBytes(16).toString('base64')
  headers['x-content-type-options'] = 'nosniff'
  headers['x-frame-options'] = 'DENY'
  headers['referrer-policy'] = 'strict-origin-when-cross-origin'
  headers['cross-origin-resource-policy'] = standard.cross_origin_resource_policy.default
  headers['permissions-policy'] = standard.permissions_policy.default
  headers['cross-origin-opener-policy'] = standard.cross_origin_opener_policy.default
  headers['content-security-policy'] = standard.content_security_policy.default.replaceAll(
    '__CSP_NONCE__',
    `'nonce-${nonce}'`,
  )
}

await bench(
  'an answer of an API, and a page',
  {
    'no nonce on the API': () => hooks.onResponse?.(exchange('/v1/messages'), head()),
    'a nonce on every answer': () => always(exchange('/v1/messages'), head()),
    'a page': () => hooks.onResponse?.(exchange('/console'), head()),
  },
  { 'a nonce on every answer': { atLeast: 2 } },
)
