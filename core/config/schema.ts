/** The keys of gateway.yaml that the gateway itself understands. What plugins understand is in their own schemas. */
import type { JSONSchema } from 'json-schema-to-ts'
import type { ConfigOf } from '../plugin.ts'
import { limits, on_disconnect } from './limits.ts'
import { timeouts } from './timeouts.ts'
import { listenerTls, upstreamTls } from './tls.ts'
import { websocket } from './websocket.ts'
import { workers } from './workers.ts'

const log = {
  type: 'object',
  description: 'What is written to the log.',
  additionalProperties: false,
  default: {},
  properties: {
    level: {
      enum: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      description: 'The least important kind of line that is still written.',
      default: 'info',
    },
    file: {
      type: 'string',
      minLength: 1,
      description:
        'The file that lines are appended to, relative to the working directory. SIGUSR2, or POST /log/reopen on the admin listener, opens ' +
        'it anew, for a rotation. Absent: the standard output.',
    },
  },
} as const satisfies JSONSchema

const upstream = {
  type: 'object',
  description: 'Somewhere an exchange can be sent: one credential at one provider.',
  additionalProperties: false,
  required: ['name', 'provider'],
  properties: {
    name: {
      type: 'string',
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$',
      description:
        'What logs and metrics call it. Letters, digits, ".", "_" and "-", a letter or a digit first; each name once.',
    },
    provider: {
      type: 'string',
      minLength: 1,
      description: 'The provider it belongs to, by the name under which it is mounted in plugins.',
    },
    url: { type: 'string', format: 'url', description: "Its base address, where it is not the provider's own." },
    key: {
      type: 'string',
      format: 'secret',
      description:
        'The credential: "${NAME}" or file:PATH. Absent: the client\'s own is passed on. Empty: it is left out.',
    },
    models: {
      type: 'array',
      items: { type: 'string', format: 'model-pattern' },
      description: 'The models it serves; * at the end of a name matches any rest. Absent: every model.',
    },
    priority: {
      type: 'integer',
      description:
        'Lower is asked first. Among equals failover chooses by load and health; without it the order of the list decides.',
      default: 100,
    },
    slots: {
      type: 'integer',
      minimum: 1,
      description: 'How many exchanges it may have at the same time; needs the plugin concurrency. Absent: no limit.',
    },
    websocket: {
      enum: [true, false, 'always'],
      description:
        'Whether turns of a WebSocket are asked over WebSocket, where its API has that; always: requests by HTTP too; ' +
        'false: all by HTTP. Absent: true.',
    },
    allow_private: {
      type: 'boolean',
      description:
        'Whether the name in its url may lead to this machine or a private network. An address in place of a name, or ' +
        'localhost, needs no permission; links and metadata services of clouds are never asked.',
      default: false,
    },
    tls: upstreamTls,
  },
} as const satisfies JSONSchema

const key = {
  type: 'object',
  description: 'Somebody who may call, where a plugin asks for keys.',
  additionalProperties: false,
  required: ['name', 'key'],
  properties: {
    name: {
      type: 'string',
      pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$',
      description: 'What logs and metrics call the caller. Letters, digits, ".", "_" and "-"; each name once.',
    },
    key: {
      type: 'string',
      format: 'secret',
      description: 'What the caller sends: "${NAME}" or file:PATH, 16 characters or more. Empty: it is left out.',
    },
    group: { type: 'string', minLength: 1, description: 'A name that callers have in common. Absent: none.' },
    concurrency: {
      type: 'integer',
      minimum: 1,
      description: 'How many exchanges it may have at the same time. Absent: what the plugin concurrency says.',
    },
    allow: {
      type: 'array',
      items: { type: 'string', format: 'address' },
      description: 'If not empty, the key is good from these addresses and ranges only.',
      default: [],
    },
    deny: {
      type: 'array',
      items: { type: 'string', format: 'address' },
      description: 'Addresses and ranges from which the key is no good.',
      default: [],
    },
    expires: {
      type: 'string',
      format: 'date',
      description: 'The day, or the moment, from which the key is no good any more. Absent: never.',
    },
  },
} as const satisfies JSONSchema

/** The schema of gateway.yaml, but for the configuration of its plugins. */
export const coreSchema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    listen: {
      type: 'string',
      format: 'listen',
      description:
        'Where clients find the gateway: HOST:PORT, :PORT for every address, "[::1]:PORT" or unix:/path; ' +
        'port 0 takes a free one. Changing it needs a restart.',
      default: '127.0.0.1:8787',
    },
    tls: listenerTls,
    admin: {
      description: 'The second listener, for operators; false: there is none. Changing it needs a restart.',
      anyOf: [
        {
          type: 'object',
          additionalProperties: false,
          properties: {
            listen: {
              type: 'string',
              format: 'listen',
              description: 'Where operators find health, metrics and what else the gateway tells of itself.',
              default: '127.0.0.1:8788',
            },
            tls: listenerTls,
            key: {
              type: 'string',
              format: 'secret',
              description:
                'What operators send as authorization: Bearer KEY: "${NAME}" or file:PATH, 16 characters or more. Needed for all but ' +
                '/healthz and /readyz where listen is no loopback address. Absent or empty: none.',
            },
            metrics_without_key: {
              type: 'boolean',
              description: 'Whether /metrics is told to those who do not send the key.',
              default: false,
            },
            hosts: {
              type: 'array',
              items: { type: 'string', pattern: '^[A-Za-z0-9.-]+$' },
              description:
                'Names by which this listener is asked without the key, beside its addresses and localhost. A browser may be ' +
                'talked into asking it by any other.',
              default: [],
            },
          },
        },
        { const: false },
      ],
      default: {},
    },
    workers,
    store: {
      type: 'string',
      format: 'store',
      description:
        'Where sidecars keep what they know together: memory (one sidecar, gone with it), or redis:// or rediss:// with ' +
        'host and port (Redis, Valkey; a cluster as redis+cluster://).',
      default: 'memory',
    },
    database: {
      type: 'string',
      format: 'database',
      description:
        'PostgreSQL, for plugins that need one: postgres://USER:PASSWORD@HOST/NAME; embedded, a real one as a child process, with ' +
        'its data in .postern/postgres (embedded:FOLDER elsewhere); none.',
      default: 'none',
    },
    migrate: {
      enum: ['auto', 'check'],
      description:
        "What happens to the database's schema at the start: auto brings it up to date, check only says what is missing " +
        '(`postern migrate up` is then for the operator to run).',
      default: 'auto',
    },
    log,
    limits,
    timeouts,
    transport: {
      enum: ['lean', 'undici'],
      description:
        "The client that speaks HTTP to upstreams: lean, the gateway's own; undici, Node's, which takes twice the CPU. After a change " +
        'exchanges that are under way end with the one they began with.',
      default: 'lean',
    },
    websocket,
    on_disconnect,
    trusted_proxies: {
      type: 'array',
      items: { type: 'string', format: 'address' },
      description: "Proxies in front of the gateway whose X-Forwarded-For is believed. Empty: nobody's is.",
      default: [],
    },
    keys: {
      type: 'array',
      items: key,
      description:
        'Who may call, where a plugin such as api-key-auth asks for keys; those of the database may call too.',
      default: [],
    },
    upstreams: {
      type: 'array',
      items: upstream,
      description: 'Where exchanges can be sent.',
      default: [],
    },
    plugins: {
      type: 'array',
      // `readPlugins` looks at the items itself: what a plugin may be given is for its own schema to say.
      items: {},
      description: 'What an exchange walks through: top to bottom towards the upstream, bottom to top on the way back.',
      default: [],
    },
  },
} as const satisfies JSONSchema

/** The whole file, but for the plugins. */
export type Core = ConfigOf<typeof coreSchema>

/** The gateway's own settings: defaults applied, durations in ms, sizes in bytes. */
export type Settings = Omit<Core, 'keys' | 'upstreams' | 'plugins'>

/** An upstream as gateway.yaml has it. */
export type UpstreamSettings = Core['upstreams'][number]

/** A key as gateway.yaml has it. */
export type KeySettings = Core['keys'][number]
