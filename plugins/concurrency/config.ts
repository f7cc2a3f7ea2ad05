/** What concurrency can be told. */

const duration = (value: string, description: string) =>
  ({ type: 'string', format: 'duration', default: value, description }) as const

const count = (value: number, description: string) =>
  ({ type: 'integer', minimum: 0, default: value, description }) as const

export const config = {
  type: 'object',
  description: 'Limits how many exchanges run at the same time, for each upstream and for each caller.',
  additionalProperties: false,
  properties: {
    per_principal: count(
      0,
      'How many exchanges a principal may have at the same time, where it has no limit of its own. 0: as many as come.',
    ),
    per_client: count(
      0,
      'How many exchanges a client address without a principal may have at the same time. 0: as many as come.',
    ),
    ttl: duration(
      '60s',
      'How long a slot outlives a process that has died. A living one renews what it holds every third of it.',
    ),
    wait: {
      type: 'object',
      description: 'How long an exchange waits for a slot at most.',
      additionalProperties: false,
      default: {},
      properties: {
        principal: duration('30s', "For one of its principal's or its client's."),
        upstream: duration('30s', "For one of an upstream's, where no other upstream has one free."),
        pinned: duration('120s', 'The same, where its session is pinned to the upstream.'),
      },
    },
    waiters: {
      type: 'object',
      description: 'How many exchanges of one sidecar wait for the same slots at most; more are refused.',
      additionalProperties: false,
      default: {},
      properties: {
        principal: count(20, 'For those of a principal or client, beyond as many as it may have running.'),
        upstream: count(100, 'For those of an upstream.'),
        pinned: count(3, 'For those of an upstream to which the session is pinned: beyond it, the pin is let go.'),
      },
    },
  },
} as const
