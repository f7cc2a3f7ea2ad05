/** The key `timeouts` of gateway.yaml: how long the gateway waits for an upstream. */
import type { JSONSchema } from 'json-schema-to-ts'

export const timeouts = {
  type: 'object',
  description: 'How long the gateway waits for an upstream, phase by phase.',
  additionalProperties: false,
  default: {},
  properties: {
    connect: {
      type: 'string',
      format: 'duration',
      description: 'For a connection, TLS included.',
      default: '10s',
    },
    headers: {
      type: 'string',
      format: 'duration',
      description: 'For the status and headers of the answer. Long, because a model may think before it answers.',
      default: '600s',
    },
    idle: {
      type: 'string',
      format: 'duration',
      description: 'For the next bytes of an answer that has begun.',
      default: '180s',
    },
    hold: {
      type: 'string',
      format: 'duration',
      description:
        'How long the start of an answer is held, where another upstream could still be asked, until it is known to be ' +
        'no error. A stream is let go with its first content.',
      default: '5s',
    },
    first_event: {
      type: 'string',
      format: 'duration',
      description:
        'For the first content of a stream, from its sending; then another upstream may be asked. Absent: no limit.',
    },
    heartbeat: {
      type: 'string',
      format: 'duration',
      description:
        'How long a client that waits for a stream hears nothing before it is sent a comment, which its parser skips. 0s: never.',
      default: '10s',
    },
    first_message: {
      type: 'string',
      format: 'duration',
      description: 'For the first message of a WebSocket whose messages are requests.',
      default: '30s',
    },
    between_turns: {
      type: 'string',
      format: 'duration',
      description: 'For the next request of a WebSocket whose messages are requests.',
      default: '10m',
    },
    total: {
      type: 'string',
      format: 'duration',
      description: 'For the whole exchange. Absent: no limit.',
    },
  },
} as const satisfies JSONSchema
