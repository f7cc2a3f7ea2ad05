/** The key `limits` of gateway.yaml: how much the gateway takes on, and how long it waits for a client; and the key `on_disconnect`. */
import type { JSONSchema } from 'json-schema-to-ts'

export const limits = {
  type: 'object',
  description: 'How much the gateway takes on.',
  additionalProperties: false,
  default: {},
  properties: {
    body: {
      type: 'string',
      format: 'size',
      description: 'The largest JSON request body. It is held in memory while the exchange lasts.',
      default: '32MiB',
    },
    upload: {
      type: 'string',
      format: 'size',
      description: 'The largest request body that streams through unread, such as a file.',
      default: '512MiB',
    },
    replay: {
      type: 'string',
      format: 'size',
      description:
        'How much is remembered, for all WebSocket clients together, of conversations that are stored nowhere, so that one goes on ' +
        'when its connection is lost; 8MiB of it for one client at the most. 0B: nothing.',
      default: '64MiB',
    },
    remainder: {
      type: 'string',
      format: 'size',
      description:
        'How much of an answer is still read when its client has left; then it is cut off. See on_disconnect.',
      default: '32MiB',
    },
    remainder_time: {
      type: 'string',
      format: 'duration',
      description: 'How long an answer is still waited for and read when its client has left. See on_disconnect.',
      default: '5m',
    },
    drain: {
      type: 'string',
      format: 'duration',
      description: 'How long exchanges may go on after their gateway was retired by a reload or a shutdown.',
      default: '30s',
    },
    header: {
      type: 'string',
      format: 'size',
      description: 'The largest request line and headers, together. Changing it needs a restart.',
      default: '32KiB',
    },
    headers: {
      type: 'integer',
      minimum: 1,
      description: 'The most headers a request may have; one with more is refused with 431.',
      default: 100,
    },
    url: {
      type: 'string',
      format: 'size',
      description: 'The longest request target, path and query together; a longer one is refused with 414.',
      default: '8KiB',
    },
    head_time: {
      type: 'string',
      format: 'duration',
      description: 'How long a client may take for the request line and headers; then it is told 408.',
      default: '30s',
    },
    body_time: {
      type: 'string',
      format: 'duration',
      description: 'How long a client may take for each 4 KiB of its body; then it is told 408.',
      default: '30s',
    },
    read_time: {
      type: 'string',
      format: 'duration',
      description: 'How long a client may read nothing of what waits for it; then its connection is cut.',
      default: '120s',
    },
    connections: {
      type: 'integer',
      minimum: 1,
      description:
        'The most connections that one address may have at the same time, trusted_proxies excepted; one more is answered ' +
        'with 503. Each of several workers counts its own. Absent: no limit.',
    },
    all_connections: {
      type: 'integer',
      minimum: 1,
      description:
        'The most connections that all clients together may have; one more is answered with 503. Absent: half of the files ' +
        'that the process may open, since an exchange has a second connection, to its upstream.',
    },
    memory: {
      type: 'string',
      format: 'size',
      description:
        'How much memory the process may use, its heap and its buffers together. From 80 % on exchanges of low priority are ' +
        'refused with 503, from 90 % on those of normal priority, then all. Absent: 80 % of what the machine or container has.',
    },
    lag: {
      type: 'string',
      format: 'duration',
      description:
        'How late the process may be with its work, three times in a row. From 80 % on exchanges of low priority are refused ' +
        'with 503, from 90 % on those of normal priority, then all.',
      default: '500ms',
    },
    silence: {
      type: 'string',
      format: 'duration',
      description:
        'How long one of several workers may say nothing before it is killed and another takes its place: a plugin that loops for ever ' +
        'would keep its clients waiting as long. At least 1s.',
      default: '30s',
    },
  },
} as const satisfies JSONSchema

/** What becomes of an answer whose client has left; `limits` say how far it goes on. */
export const on_disconnect = {
  enum: ['abort', 'drain'],
  description:
    'What becomes of an answer whose client has left. abort: the upstream is cut off at once. drain: once it was asked, its answer is ' +
    'waited for and read to its end, so that its usage is counted and billed, within limits.remainder and remainder_time; its slots ' +
    'are held as long. Absent: abort; a turn of a WebSocket whose answer has begun is drained, for 30s at the most.',
} as const satisfies JSONSchema
