/** What accounts can be told. */

const duration = (value: string, description: string) =>
  ({ type: 'string', format: 'duration', default: value, description }) as const

export const config = {
  type: 'object',
  description:
    'Upstreams from the accounts of the database, beside those of gateway.yaml; their health is written back.',
  additionalProperties: false,
  properties: {
    secrets: {
      type: 'array',
      items: { type: 'string', format: 'secret' },
      default: [],
      description:
        'What the keys are made of that seal credentials in the database, of 32 characters or more: the first seals, each of them opens. Empty: accounts that have credentials are not asked.',
    },
    providers: {
      type: 'object',
      additionalProperties: { type: 'string', minLength: 1 },
      default: {},
      description:
        'Platforms of accounts, and the names under which their providers are mounted. Without an entry it is the same name.',
    },
    refresh: duration(
      '30s',
      'How often all of them are read again. Changes are told by the database and count at once.',
    ),
    named_by: {
      type: 'string',
      enum: ['id', 'name'],
      default: 'id',
      description:
        'What they are called in logs, metrics and refusals: account:ID, or the name of the account where no upstream of gateway.yaml has it. Clients may see it in refusals.',
    },
    ungrouped: {
      type: 'string',
      enum: ['everyone', 'ungrouped'],
      default: 'everyone',
      description: 'Whom accounts without a group serve: everyone, or only callers without a group.',
    },
    allow_private: {
      type: 'boolean',
      default: false,
      description:
        "Whether accounts may have addresses of this machine or a private network, be it by name or literally. A cloud's metadata service is never one of them.",
    },
    health: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'What is written back to the database.',
      properties: {
        enabled: { type: 'boolean', default: true, description: 'Whether anything is written back at all.' },
        refused: {
          type: 'array',
          items: { type: 'integer', minimum: 400, maximum: 499 },
          default: [401, 402, 403],
          description:
            'Statuses after which an account is not asked until an operator enables it again, unless the answer says that it is only this request that is not permitted.',
        },
        limit: duration('10s', 'How long an account rests after a 429 that names no time.'),
        overload: duration('30s', 'How long it rests after a 529 that names no time.'),
        overload_longest: duration('10m', 'To what a time that comes with a 529 is believed.'),
        used_every: duration('30s', 'How often the last use of an account is written at most.'),
        delay: duration('250ms', 'How long changes are gathered before they are written together.'),
        queue: {
          type: 'integer',
          minimum: 1,
          default: 10000,
          description: 'Accounts whose changes may wait for the database; those of further ones are lost.',
        },
      },
    },
  },
} as const
