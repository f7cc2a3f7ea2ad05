/** The options, with what they are if nobody says otherwise. */
export const config = {
  type: 'object',
  description:
    'Shows operators what happens, on a page of the admin listener, and keeps the decision trail of each exchange.',
  additionalProperties: false,
  properties: {
    path: {
      type: 'string',
      pattern: '^(/[A-Za-z0-9._~-]+)+$',
      default: '/console',
      description: 'Where the page is on the admin listener.',
    },
    keep: {
      type: 'integer',
      minimum: 10,
      maximum: 100_000,
      default: 1000,
      description: 'How many exchanges are kept, in memory, after their end. About 1 KB each.',
    },
    errors: {
      type: 'string',
      default: 'data/errors.jsonl',
      description:
        'The file of ops-capture, which is shown beside what the database has. Relative to the working directory. Empty: none.',
    },
  },
} as const
