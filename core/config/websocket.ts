/** The key `websocket` of gateway.yaml: messages, pings, compression, and the connections that turns are asked over. */
import type { JSONSchema } from 'json-schema-to-ts'
import type { Draft } from './check.ts'

const pool = {
  type: 'object',
  description:
    'The connections over which turns are asked. Those that are alike (one upstream, one credential) are kept together; each ' +
    'number is for them.',
  additionalProperties: false,
  default: {},
  properties: {
    max: {
      type: 'integer',
      minimum: 1,
      description: 'The most connections, in use or idle.',
      default: 128,
    },
    min_idle: {
      type: 'integer',
      minimum: 0,
      description:
        'Connections that each turn sees to, in use or idle: those that are missing are opened before anyone asks for them.',
      default: 0,
    },
    max_idle: {
      type: 'integer',
      minimum: 0,
      description: 'More idle ones than these are closed within 30s.',
      default: 12,
    },
    max_age: {
      type: 'string',
      format: 'duration',
      description: 'How old a connection may become; it is closed when it is idle. OpenAI ends its own after an hour.',
      default: '60m',
    },
    queue: {
      type: 'integer',
      minimum: 0,
      description: 'How many turns may wait where every connection is in use; one more is refused with 1013.',
      default: 64,
    },
    utilization: {
      type: 'number',
      exclusiveMinimum: 0,
      maximum: 1,
      description:
        'The share of connections that should be in use: at 0.7 ten are open while seven are; 1 opens none in advance.',
      default: 0.7,
    },
  },
} as const satisfies JSONSchema

export const websocket = {
  type: 'object',
  description: 'WebSocket connections, of clients and to upstreams. A reload changes those that are opened after it.',
  additionalProperties: false,
  default: {},
  properties: {
    message: {
      type: 'string',
      format: 'size',
      description: 'The longest message, from either side, as it is when inflated; a longer one ends with 1009.',
      default: '16MiB',
    },
    ping: {
      type: 'string',
      format: 'duration',
      description:
        'How often connections are asked whether the other end is still there. One in use that says nothing from one time to ' +
        'the next is cut off.',
      default: '30s',
    },
    ping_timeout: {
      type: 'string',
      format: 'duration',
      description: 'How long an idle connection to an upstream may take to answer that.',
      default: '2s',
    },
    compress_clients: {
      type: 'boolean',
      description:
        'Whether clients that offer permessage-deflate are given it: messages of 1 KiB and more, each on its own. It costs CPU, and ' +
        'up to 128 KiB for each connection.',
      default: false,
    },
    compress_upstreams: {
      type: 'boolean',
      description: 'Whether permessage-deflate is offered to upstreams, at the same price.',
      default: false,
    },
    pool,
  },
} as const satisfies JSONSchema

/** Numbers that are fine by themselves, and not together. */
export function checkWebsocket({ yaml, report }: Draft, settings: WebsocketSettings): void {
  const { min_idle: least, max_idle: idle, max } = settings.pool
  const wrong = (path: readonly string[], message: string, cure: string) =>
    report.add(yaml.offset([...path]), message, cure)
  if (least > max)
    wrong(['websocket', 'pool', 'min_idle'], 'websocket.pool.min_idle is more than max', `Write ${max} or less`)
  else if (least > idle)
    wrong(
      ['websocket', 'pool', 'min_idle'],
      'websocket.pool.min_idle is more than max_idle, which would close them again',
      `Write ${idle} or less, or raise max_idle`,
    )
  if (settings.ping < leastPing)
    wrong(['websocket', 'ping'], 'websocket.ping must be at least 100ms', 'Write 30s; 24d is as good as never')
  if (settings.message < 1 || settings.message > mostBytes)
    wrong(['websocket', 'message'], 'websocket.message must be from 1B to 1GiB', 'Write 16MiB')
}

/** Every sweep looks at every connection, in ms. */
const leastPing = 100

/** A message is one buffer, and `ws` counts its bytes in 31 bits. */
const mostBytes = 2 ** 30

interface WebsocketSettings {
  readonly message: number
  readonly ping: number
  readonly pool: { readonly max: number; readonly min_idle: number; readonly max_idle: number }
}
