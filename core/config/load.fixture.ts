/** Plugins and texts for the tests of this folder: no plugin of the house, so that none of them can break these tests. */
import type { Fact, Plugin } from '../plugin.ts'
import type { Dialect, Provider } from '../provider.ts'
import { parseConfig, type Config, type Loaded, type PluginSource } from './load.ts'
import { render } from './problems.ts'

/** Reads a text as if it were gateway.yaml, with the plugins below. */
export function parse(text: string, env: Record<string, string> = {}, plugins: PluginSource = source): Promise<Loaded> {
  return parseConfig(text, 'gateway.yaml', { plugins, env })
}

/** The same for a text that has no problem. */
export async function sound(text: string, env: Record<string, string> = {}): Promise<Config> {
  const { config, problems } = await parse(text, env)
  if (!config) throw new Error(problems.map((problem) => render(problem)).join('\n'))
  return config
}

/** What the first plugin of such a text is given. */
export async function optionsOf(text: string, env: Record<string, string> = {}): Promise<Record<string, unknown>> {
  const { plugins } = await sound(text, env)
  return { ...(plugins[0]?.config as Record<string, unknown>) } // plugins are given maps
}

/** A plugin without hooks. */
export function plugin(name: string, config: Plugin['config'], more: Partial<Plugin> = {}): Plugin {
  return { name, config, reads: [], mayRead: [], writes: [], setup: () => ({}), ...more }
}

/** A source of the plugins given and no others. */
export function sourceOf(plugins: readonly Plugin[]): PluginSource {
  return {
    names: plugins.map(({ name }) => name),
    load: async (name) => {
      const found = plugins.find((known) => known.name === name)
      if (!found) throw new Error(`nothing is installed under this name`)
      return found
    },
  }
}

const addresses = { type: 'array', items: { type: 'string', format: 'address' }, default: [] } as const

const ipRules = plugin('ip-rules', {
  type: 'object',
  description: 'Admits and refuses clients by their address.',
  properties: {
    allow: { ...addresses, description: 'Who is admitted.' },
    deny: { ...addresses, description: 'Who is refused.' },
  },
})

const apiKeys = plugin(
  'api-keys',
  {
    type: 'object',
    description: 'Knows clients by their key.',
    required: ['keys'],
    properties: {
      keys: {
        type: 'array',
        minItems: 1,
        description: 'The keys | who has them.',
        items: {
          type: 'object',
          additionalProperties: false,
          required: ['name', 'key'],
          properties: {
            name: { type: 'string', minLength: 1, description: 'Who it is.' },
            key: { type: 'string', format: 'secret', description: 'What they send.' },
          },
        },
      },
    },
  },
  { writes: ['usage'] },
)

const everything = plugin('everything', {
  type: 'object',
  description: 'Has one option of every kind.',
  properties: {
    attempts: { type: 'integer', minimum: 1, maximum: 10, default: 3, description: 'A number.' },
    factor: { type: 'number', exclusiveMinimum: 0, default: 1.5, description: 'Another.' },
    mode: { enum: ['fast', 'safe'], default: 'safe', description: 'A choice.' },
    strict: { type: 'boolean', default: true, description: 'A switch.' },
    label: { type: 'string', pattern: '^[a-z]+$', default: '', description: 'Small letters only.' },
    rest: {
      type: 'object',
      additionalProperties: false,
      default: {},
      description: 'A map.',
      properties: {
        min: { type: 'string', format: 'duration', default: '1s', description: 'The shortest.' },
        max: { type: 'string', format: 'duration', default: '1m', description: 'The longest.' },
      },
    },
    store: {
      description: 'One of several forms.',
      default: 'memory',
      anyOf: [
        { const: 'memory' },
        {
          type: 'object',
          additionalProperties: false,
          required: ['url'],
          properties: {
            url: { type: 'string', format: 'url', description: 'Where it is.' },
            password: { type: 'string', format: 'secret', description: 'What it asks for.' },
            ttl: { type: 'string', format: 'duration', default: '1h', description: 'How long it keeps.' },
          },
        },
      ],
    },
    set: { type: 'object', additionalProperties: true, default: {}, description: 'Anything.' },
    tags: { type: 'array', uniqueItems: true, items: { type: 'string' }, default: [], description: 'Each once.' },
    free: { description: 'Any value at all.', default: null },
  },
})

export const openai = plugin(
  'openai',
  {
    type: 'object',
    description: 'An API.',
    properties: {
      as: { type: 'string', pattern: '^[a-z][a-z0-9-]*$', default: '', description: 'Its name.' },
      prefix: { type: 'string', default: '', description: 'Its path.' },
    },
  },
  {
    writes: ['model'],
    mount: (config): readonly Provider[] => {
      const { as, prefix } = config as { as: string; prefix: string } // what the schema above says
      const url = new URL('https://api.example.com')
      return [{ name: as || 'openai', prefix, url, dialect: {} as Dialect, bodyLimit: null }] // never asked
    },
  },
)

const reader = (name: string, fact: Fact): Plugin =>
  plugin(name, { type: 'object', description: `Reads ${fact}.` }, { reads: [fact] })

/** All of them. */
export const plugins: readonly Plugin[] = [
  ipRules,
  apiKeys,
  everything,
  openai,
  reader('meter', 'usage'),
  reader('router', 'model'),
  reader('greeter', 'provider'),
  plugin('unmountable', { type: 'object' }, { mount: () => fail('its address is hunter2-hunter2') }),
  plugin('unusable', { type: 'object', properties: { a: { type: 'string', format: 'moon-phase' } } }),
]

export const source = sourceOf(plugins)

/** A configuration with nothing wrong and something of everything. */
export const example = `# a comment
listen: 127.0.0.1:0
admin: { listen: ":0" }
log: { level: debug }
limits: { body: 1MiB, drain: 1.5s }
trusted_proxies: [10.0.0.0/8, "::1"]
upstreams:
  - { name: a, provider: openai, key: "\${KEY:-sk-1}", models: [gpt-5*, o1], priority: 1 }
  - name: b
    provider: deepseek
    url: https://api.example.com/v1
plugins:
  - ip-rules: { deny: [203.0.113.0/24] }
  - api-keys:
      keys:
        - { name: team, key: sk-2 }
  - openai
  - openai: { as: deepseek, prefix: /deepseek }
  - router
  - everything: { store: { url: "http://127.0.0.1:6379" }, set: { n: 1 } }
`

function fail(message: string): never {
  throw new Error(message)
}

const times = {
  drain: 30_000,
  remainder_time: 300_000,
  head_time: 30_000,
  body_time: 30_000,
  read_time: 120_000,
  silence: 30_000,
}
const sizes = { body: 2 ** 25, upload: 2 ** 29, replay: 2 ** 26, remainder: 2 ** 25, header: 2 ** 15, url: 2 ** 13 }
const limits = { ...times, ...sizes, headers: 100, lag: 500 }
const timeouts = {
  connect: 10_000,
  headers: 600_000,
  idle: 180_000,
  hold: 5000,
  heartbeat: 10_000,
  first_message: 30_000,
  between_turns: 600_000,
}
const pool = { max: 128, min_idle: 0, max_idle: 12, max_age: 3_600_000, queue: 64, utilization: 0.7 }
const pings = { ping: 30_000, ping_timeout: 2000 }
const websocket = { message: 2 ** 24, ...pings, compress_clients: false, compress_upstreams: false, pool }
const admin = { listen: '127.0.0.1:8788', metrics_without_key: false, hosts: [] }

/** What settings are where the file says nothing of them. */
export const defaults = { admin, limits, timeouts, websocket }
