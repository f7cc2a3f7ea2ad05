/** What failover can be told. Whether something is done is said by `enabled`; no number means "off". */

const duration = (value: string, description: string) =>
  ({ type: 'string', format: 'duration', default: value, description }) as const

const enabled = (description: string) => ({ type: 'boolean', default: true, description }) as const

const map = <const P>(description: string, properties: P) =>
  ({ type: 'object', additionalProperties: false, default: {}, description, properties }) as const

export const config = {
  type: 'object',
  description: 'Chooses among upstreams, asks another one when one fails, and lets those rest that need it.',
  additionalProperties: false,
  properties: {
    attempts: {
      type: 'integer',
      minimum: 1,
      maximum: 8,
      default: 3,
      description: 'How many times upstreams are asked for one exchange at most, the first included.',
    },
    deadline: duration('60s', 'Counted from the first attempt: no other one begins later than this.'),
    statuses: {
      type: 'array',
      items: { type: 'integer', minimum: 400, maximum: 599 },
      default: [],
      description:
        'Statuses that lead to another attempt. Empty: those the provider knows as worth it (401, 402, 403, 408, 429, 5xx, and errors that tell of a limit or an overload). Network errors always do.',
    },
    same_upstream_retries: {
      type: 'integer',
      minimum: 0,
      maximum: 7,
      default: 1,
      description:
        'How often an upstream that broke off or answered 5xx is asked again where no other one is free. 0: never.',
    },
    same_upstream_delay: duration('500ms', 'How long to wait before that, give or take a fifth.'),
    budget: map('Keeps retries from multiplying the load when everything fails.', {
      enabled: enabled('Whether retries are limited to a share of the traffic.'),
      share: {
        type: 'number',
        minimum: 0,
        maximum: 1,
        default: 0.2,
        description: 'Retries per exchange, in the long run.',
      },
      floor: { type: 'number', minimum: 0, default: 10, description: 'Retries per second that are always allowed.' },
    }),
    rests: map('How long an upstream is left alone. What it says itself counts; these are for when it says nothing.', {
      enabled: enabled('Whether upstreams rest at all.'),
      limit: duration('10s', 'After a 429 without a time; doubled each time in a row.'),
      limit_longest: duration('5m', 'To what that grows. A time that the upstream names is believed up to seven days.'),
      overload: duration('2s', 'After 503, 529, or when the circuit opens; doubled each time in a row.'),
      overload_longest: duration('1m', 'To what that grows, and how long a Retry-After of a 5xx is believed.'),
      refused: duration('10m', 'After 401, 402 or 403: the credential is bad, unpaid, or not for this model.'),
      max_resting_share: {
        type: 'number',
        minimum: 0,
        maximum: 1,
        default: 0.5,
        description:
          'Where more than this share of the candidates rest for their health, they are asked after all, behind the healthy ones. Rate limits and refused credentials are always respected.',
      },
    }),
    circuit: map('Lets an upstream rest that fails too often, whatever its errors are.', {
      enabled: enabled('Whether there is a circuit.'),
      errors: {
        type: 'number',
        minimum: 0.05,
        maximum: 1,
        default: 0.5,
        description: 'The moving average of errors at which it opens.',
      },
      samples: { type: 'integer', minimum: 1, default: 5, description: 'How many results that takes at least.' },
    }),
    choose_from: {
      type: 'integer',
      minimum: 1,
      maximum: 100,
      default: 7,
      description: 'Among how many of the best upstreams of one priority the choice is made.',
    },
    encrypted_reasoning: {
      type: 'string',
      enum: ['strip', 'stay', 'pass'],
      default: 'strip',
      description:
        'Reasoning that only one account can read, when another one is asked: strip takes it out, stay does not ask another one, pass sends it as it is.',
    },
  },
} as const
