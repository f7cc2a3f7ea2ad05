import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { redactJson, type Hooks, type Log, type PluginContext, type Queue, type Result } from 'postern/plugin'
import { JsonBody } from '../../core/body/body.ts'
import { openMetrics } from '../../core/observe/metrics.ts'
import { bench } from '../../test/bench.ts'
import capture from './index.ts'
import { errorInEvent } from './mid-stream.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'))
const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }
/** Records go nowhere: what is measured is what an exchange waits for. */
const queue = <T>(): Queue<T> => ({ push: () => true, length: 0 })
const config = {
  database: true,
  keep_for: 86_400_000,
  file: join(folder, 'errors.jsonl'),
  max_size: 1e6,
  keep: 1,
  queue: 1024,
  bodies: true,
  max_body: 10_240,
  recovered: true,
  mid_stream: true,
  ignore_client_gone: false,
  ignore_statuses: [],
  ignore_operations: [],
}
const context = {
  config,
  log: silent,
  signal: new AbortController().signal,
  queue,
  metrics: openMetrics(),
  database: null,
  shared: async (_key: string, open: () => unknown) => open(),
} as unknown as PluginContext<unknown> // what the plugin asks of it
const hooks: Hooks = await capture.setup(context)

const body = (size: number) =>
  new JsonBody(
    Buffer.from(
      JSON.stringify({
        model: 'gpt-4o',
        messages: Array.from({ length: size / 500 }, (_, at) => ({
          role: 'user',
          content: `${at} `.padEnd(460, 'so it is. '),
        })),
      }),
    ),
  )
const error = Buffer.from('{"error":{"type":"server_error","message":"The server had an error","code":null}}')
const results: Record<number, Result> = {
  200: { kind: 'response', status: 200, headers: {}, judgement: 'final', ms: 5, body: null },
  500: { kind: 'response', status: 500, headers: {}, judgement: 'elsewhere', ms: 5, body: error },
}
const upstream = { name: 'o', provider: 'openai', url: null, key: null, models: null, priority: 0, slots: null }

function exchangeOf(status: number, size: number) {
  return {
    id: 'x',
    method: 'POST',
    path: '/v1/chat/completions',
    client: '127.0.0.1',
    headers: {},
    body: body(size),
    facts: {
      ops_capture_began: null,
      ops_capture_sightings: null,
      model: 'gpt-4o',
      stream: false,
      provider: null,
      claim: null,
      principal: null,
    },
    attempt: 1,
    upstream,
    failures: [],
    passedOver: [],
    status,
    error: null,
  }
}

function walk(exchange: ReturnType<typeof exchangeOf>): void {
  exchange.facts.ops_capture_sightings = null
  const live = exchange as unknown as Parameters<NonNullable<Hooks['onEnd']>>[0] // what the plugin asks of it
  void hooks.onRequest?.(live)
  void hooks.onUpstreamResult?.(live, results[exchange.status]!)
  void hooks.onEnd?.(live)
}

/** The naive way: every body is parsed and kept in case it is needed. */
function copyAlways(exchange: ReturnType<typeof exchangeOf>): string {
  return JSON.stringify({ ...exchange, body: JSON.parse(exchange.body.bytes.toString()) as unknown })
}

/** The same care, taken inline: the whole body is redacted and spelt, although a part of it is kept. */
function redactWhole(exchange: ReturnType<typeof exchangeOf>): string {
  const clean: unknown = JSON.parse(redactJson(exchange.body.bytes).toString())
  return JSON.stringify({ ...exchange, body: clean }).slice(0, config.max_body)
}

/** What an exchange costs without the plugin: a look at its status. */
const without = (exchange: ReturnType<typeof exchangeOf>) => exchange.status >= 400

/** A thousand at once: one alone is shorter than the clock can tell. */
const thousand = (look: () => unknown) => () => {
  for (let times = 0; times < 1000; times++) look()
}

const [good, small, long] = [exchangeOf(200, 2000), exchangeOf(500, 2000), exchangeOf(500, 1_000_000)]
await bench(
  'a thousand exchanges that went well, with bodies of 2 KB',
  {
    'looked at': thousand(() => walk(good)),
    'without the plugin': thousand(() => without(good)),
    'body copied in case it is needed': thousand(() => copyAlways(good)),
  },
  { 'body copied in case it is needed': { atLeast: 10 } },
)
await bench('one exchange that failed, with a body of 2 KB', {
  'cut and redacted': () => walk(small),
  'parsed and spelt, neither': () => copyAlways(small),
  'redacted whole, inline': () => redactWhole(small),
})
await bench(
  'one exchange that failed, with a body of 1 MB',
  {
    'cut and redacted': () => walk(long),
    'parsed and spelt, neither': () => copyAlways(long),
    'redacted whole, inline': () => redactWhole(long),
  },
  { 'redacted whole, inline': { atLeast: 5 } },
)

const delta = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1,
    choices: [{ index: 0, delta: { content: ' so' } }],
  }),
)
await bench(
  'a thousand events of content, looked at for errors',
  {
    'their first bytes': thousand(() => errorInEvent(delta)),
    'all bytes': thousand(() => delta.includes('"error"')),
    parsed: thousand(() => 'error' in (JSON.parse(delta.toString()) as object)),
  },
  { parsed: { atLeast: 3 } },
)
rmSync(folder, { recursive: true })
