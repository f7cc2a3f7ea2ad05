/** What sticky-session can be told. */

const flag = (value: boolean, description: string) => ({ type: 'boolean', default: value, description }) as const
const duration = (value: string, description: string) =>
  ({ type: 'string', format: 'duration', default: value, description }) as const

export const config = {
  type: 'object',
  description: 'Sends the turns of a conversation to the upstream that answered it before, where its prompt is cached.',
  additionalProperties: false,
  properties: {
    ttl: duration('1h', 'How long a session is held to its upstream after its last turn.'),
    response_ttl: duration(
      '24h',
      'How long the upstream of a stored response or conversation (previous_response_id, conversation) is known.',
    ),
    refresh: duration(
      '1m',
      'A turn that stays with its upstream puts the end of its session off at most this often. Half of ttl at most.',
    ),
    sources: {
      type: 'array',
      items: { type: 'string', pattern: '^(header:[A-Za-z0-9_-]+|body:[^\\s]+)$' },
      default: [],
      description:
        "Where clients of your own say which session it is, looked at first: header:NAME or body:FIELD, where a dot leads into an object. The APIs' own places follow.",
    },
    from_content: flag(
      true,
      'Whether a client that names no session is known by the opening of its conversation: the system text and the first message.',
    ),
    bind_responses: flag(
      true,
      'Whether the ids of stored responses are read from answers, so that previous_response_id leads back to the upstream that has them.',
    ),
    hard_fallback: flag(
      false,
      'Whether another upstream is asked where the only one that has a stored response cannot be. It will probably not find it.',
    ),
    across_priorities: flag(
      true,
      'Whether a session stays with an upstream although one of better priority could be asked. No: it returns from a fallback once it may.',
    ),
    session_hash_read_old_fallback: flag(
      true,
      'Whether a session that is not found is looked for under the key that the old system wrote. Goes off second.',
    ),
    session_hash_dual_write_old: flag(
      true,
      'Whether sessions are written under the key that the old system reads as well, for ten minutes at most. Goes off first.',
    ),
    legacy_group: {
      type: 'string',
      minLength: 1,
      default: '0',
      description: 'The group in old keys, for clients whose principal has none.',
    },
    legacy_accounts: {
      type: 'object',
      additionalProperties: { type: 'string' },
      default: {},
      description:
        "The old system's account ids, and the names of the upstreams that they are here. Others count as names.",
    },
  },
} as const
