/** What body-patch can be told. */

const edits = {
  set: {
    type: 'object',
    additionalProperties: true,
    default: {},
    description: 'Fields and the values they get, whatever was there. A dot leads into an object.',
  },
  default: {
    type: 'object',
    additionalProperties: true,
    default: {},
    description: 'Fields and the values they get where the request has none.',
  },
  rename: {
    type: 'object',
    additionalProperties: { type: 'string' },
    default: {},
    description: 'Fields and their new names; where the new one is there already, the old one goes.',
  },
  delete: { type: 'array', items: { type: 'string' }, default: [], description: 'Fields that go.' },
  models: {
    type: 'object',
    additionalProperties: { type: 'string' },
    default: {},
    description:
      "Model names, or beginnings with a * behind them (the longest counts), and the model that is asked instead. The answer says the client's own name.",
  },
} as const

const patterns = (what: string) =>
  ({
    type: 'array',
    items: { type: 'string' },
    default: [],
    description: `${what}; a * at the end stands for any rest.`,
  }) as const

const condition = (description: string) =>
  ({
    type: 'object',
    description,
    additionalProperties: false,
    default: {},
    properties: {
      provider: patterns('Names of mounted providers'),
      operation: patterns('Operations, as the log tells them'),
      path: patterns('Paths'),
      model: patterns('Models, as the client asked for them'),
      upstream: patterns('Names of upstreams: the rule then holds for each attempt by itself'),
      header: {
        type: 'object',
        additionalProperties: { type: 'string' },
        default: {},
        description: "Names of the client's headers, and what they say; a * at the end stands for any rest.",
      },
      field: {
        type: 'object',
        additionalProperties: true,
        default: {},
        description: 'Fields of the body, and the value they have; null where they are not there.',
      },
    },
  }) as const

export const config = {
  type: 'object',
  description: 'Sets, defaults, renames and deletes fields of JSON request bodies, and maps models.',
  additionalProperties: false,
  properties: {
    ...edits,
    rules: {
      type: 'array',
      default: [],
      description: 'Further edits, each under its condition, in their order, after those above.',
      items: {
        type: 'object',
        additionalProperties: false,
        properties: {
          when: condition('All of it must hold. Empty: always.'),
          unless: condition('Where all of it holds, the rule does not. Empty: never.'),
          ...edits,
        },
      },
    },
  },
} as const
