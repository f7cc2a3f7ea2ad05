import { addressSet, definePlugin, isAddressPattern, refuse, type AddressSet } from 'postern/plugin'

const patterns = (description: string) =>
  ({ type: 'array', items: { type: 'string', format: 'address' }, default: [], description }) as const

const lists = {
  deny: patterns('Addresses and ranges that are refused.'),
  allow: patterns('If not empty, only these addresses and ranges are admitted.'),
} as const

/** Who may come in, by address. Deny wins over allow; an address that cannot be read is refused where any rule holds. */
export default definePlugin({
  name: 'ip-rules',
  config: {
    type: 'object',
    description: 'Admits and refuses clients by their address.',
    additionalProperties: false,
    properties: {
      ...lists,
      routes: {
        type: 'array',
        default: [],
        description: 'Further lists for some paths; a client has to pass every one that holds for its path.',
        items: {
          type: 'object',
          additionalProperties: false,
          required: ['path'],
          properties: {
            path: {
              type: 'string',
              pattern: '^/[^*]*\\*?$',
              description: 'A path, or the beginning of paths with a * behind it.',
            },
            ...lists,
          },
        },
      },
    },
  },
  setup({ config, log }) {
    const rules = [compileRule(null, config), ...config.routes.map((route) => compileRule(route.path, route))].filter(
      ({ denied, allowed }) => denied.size + allowed.size > 0,
    )
    // The client is told no more than this; the log says which rule it was.
    const refusal = refuse(403, 'ACCESS_DENIED', 'Access denied')
    if (rules.length === 0) return {}
    return {
      onRequest({ id, client, path }) {
        for (const rule of rules) {
          const list = rule.covers(path) ? refusingList(rule, client) : null
          if (list === null) continue
          log.warn({ exchange: id, client, rule: list, route: rule.path }, 'refused by its address')
          return refusal
        }
        return undefined
      },
    }
  },
})

interface Rule {
  /** As it was written; null for the rule of every path. */
  readonly path: string | null
  readonly covers: (path: string) => boolean
  readonly denied: AddressSet
  readonly allowed: AddressSet
}

function compileRule(
  path: string | null,
  { deny, allow }: { deny: readonly string[]; allow: readonly string[] },
): Rule {
  return { path, covers: compilePath(path), denied: addressSet(deny), allowed: addressSet(allow) }
}

function compilePath(pattern: string | null): (path: string) => boolean {
  if (pattern === null) return () => true
  if (!pattern.endsWith('*')) return (path) => path === pattern
  const start = pattern.slice(0, -1)
  return (path) => path.startsWith(start)
}

/** The list that keeps the client out, or null. */
function refusingList({ denied, allowed }: Rule, client: string): 'deny' | 'allow' | null {
  if (denied.size > 0 && (denied.has(client) || !isAddressPattern(client))) return 'deny'
  return allowed.size > 0 && !allowed.has(client) ? 'allow' : null
}
