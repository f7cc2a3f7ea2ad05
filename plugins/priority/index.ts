import { definePlugin, type Exchange } from 'postern/plugin'

const level = (description: string) => ({ type: 'string', enum: ['low', 'normal', 'high'], description }) as const

const texts = (description: string, pattern = '.') =>
  ({ type: 'array', minItems: 1, items: { type: 'string', pattern }, description }) as const

const rules = {
  type: 'array',
  default: [],
  description: 'From top to bottom; the first whose every condition holds decides.',
  items: {
    type: 'object',
    additionalProperties: false,
    required: ['level'],
    minProperties: 2,
    properties: {
      level: level('The priority of the exchanges it covers.'),
      header: {
        type: 'object',
        description: 'A header that the client sends. Absent: whatever it sends.',
        additionalProperties: false,
        required: ['name'],
        properties: {
          name: { type: 'string', pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", description: 'Its name.' },
          value: { type: 'string', description: 'Its value. Absent: any.' },
        },
      },
      keys: texts('Names of keys. Absent: any key, and none.'),
      groups: texts('Groups of keys. Absent: any group, and none.'),
      paths: texts('Paths, or beginnings of paths with a * behind them. Absent: every path.', '^/[^*]*\\*?$'),
    },
  },
} as const

/** Who is turned away first when there is too much to do. */
export default definePlugin({
  name: 'priority',
  config: {
    type: 'object',
    description: 'Says which exchanges are turned away first when there is too much to do.',
    additionalProperties: false,
    properties: {
      default: { ...level('The priority where no rule holds.'), default: 'normal' },
      rules,
    },
  },
  mayRead: ['principal'],
  writes: ['priority'],
  setup({ config }) {
    const compiled = config.rules.map(({ level: of, ...conditions }) => ({ of, holds: compileRule(conditions) }))
    return {
      onRequest(exchange) {
        exchange.facts.priority = compiled.find(({ holds }) => holds(exchange))?.of ?? config.default
      },
    }
  },
})

type Asking = Exchange<'principal', 'priority'>
type Holds = (exchange: Asking) => boolean

interface Conditions {
  readonly header?: { readonly name: string; readonly value?: string }
  readonly keys?: readonly string[]
  readonly groups?: readonly string[]
  readonly paths?: readonly string[]
}

function compileRule({ header, keys, groups, paths }: Conditions): Holds {
  const conditions: Holds[] = []
  if (header) {
    const { value } = header
    const name = header.name.toLowerCase()
    conditions.push(({ headers }) => (value === undefined ? headers[name] !== undefined : headers[name] === value))
  }
  if (keys) {
    const names = new Set(keys)
    conditions.push(({ facts }) => facts.principal !== null && names.has(facts.principal.name))
  }
  if (groups) {
    const names = new Set(groups)
    conditions.push(({ facts }) => facts.principal?.group != null && names.has(facts.principal.group))
  }
  if (paths) {
    const exact = new Set(paths.filter((path) => !path.endsWith('*')))
    const beginnings = paths.filter((path) => path.endsWith('*')).map((path) => path.slice(0, -1))
    conditions.push(({ path }) => exact.has(path) || beginnings.some((beginning) => path.startsWith(beginning)))
  }
  return (exchange) => conditions.every((holds) => holds(exchange))
}
