/** The options, with what they are if nobody says otherwise. */
export const config = {
  type: 'object',
  description: 'Counts what exchanges use and cost, and bills it, each exchange once.',
  additionalProperties: false,
  properties: {
    prices: {
      type: 'string',
      default: '',
      description:
        'A file with the prices of models, in the shape of LiteLLM’s table. Relative to the working directory. Empty: the table that comes with this plugin.',
    },
    default_price: {
      type: 'string',
      default: '',
      description: 'The model of the table whose price counts for models without one. Empty: those cost nothing.',
    },
    reserve: {
      type: 'object',
      default: {},
      additionalProperties: false,
      description: 'What is promised to an exchange while it runs, so that nobody spends more than there is.',
      properties: {
        output: {
          type: 'integer',
          minimum: 0,
          maximum: 1_000_000,
          default: 8192,
          description: 'Tokens of output to count with where a request does not limit them.',
        },
        fixed: {
          type: 'string',
          pattern: '^\\d{1,6}(\\.\\d{1,10})?$',
          default: '0.01',
          description: 'For requests whose bodies are not held, in USD.',
        },
        most: {
          type: 'string',
          pattern: '^\\d{1,6}(\\.\\d{1,10})?$',
          default: '0',
          description: 'Never more than this, in USD; what an exchange costs beyond it may overdraw. 0: no limit.',
        },
      },
    },
    path: {
      type: 'string',
      pattern: '^(/[A-Za-z0-9._~-]+)*$',
      default: '/v1/usage',
      description: 'Where callers ask what they have used and have left. Empty: nowhere.',
    },
    queue: {
      type: 'integer',
      minimum: 1,
      maximum: 1_000_000,
      default: 10_000,
      description:
        'Rows that may wait in memory; the next ones are written before their exchanges end, or wait in the journal.',
    },
    batch: {
      type: 'integer',
      minimum: 1,
      maximum: 5000,
      default: 500,
      description: 'Rows that are billed in one transaction.',
    },
    journal: {
      type: 'string',
      default: 'data/usage',
      description:
        'The folder where rows stand until the database has them, so that a crash loses none. Relative to the working directory, for one database alone; made where there is a database. Empty: none.',
    },
    keep: {
      type: 'string',
      format: 'duration',
      default: '400d',
      description:
        'How long the database keeps a row, and remembers that it was billed: a week at least. A journal that was left for longer is billed again.',
    },
    file: {
      type: 'string',
      default: '',
      description: 'Without a database: the file that rows are appended to, one line of JSON each. Empty: none.',
    },
  },
} as const
