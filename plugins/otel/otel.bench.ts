/**
 * One exchange with one attempt, from nothing to the bytes that are sent: our two spans against the official SDK's. The rival is no
 * dependency: `OTEL_SDK=FOLDER node plugins/otel/otel.bench.ts`, where FOLDER has @opentelemetry/sdk-trace and
 * @opentelemetry/otlp-transformer installed; without it our own figure stands alone.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Bench } from 'tinybench'
import type { Upstream } from 'postern/plugin'
import { tracesRequest, type Span } from './otlp.ts'
import { askedOf, spansOf, type Ended } from './spans.ts'
import { contextOf, newId } from './trace-context.ts'

const batch = 512
const upstream: Upstream = {
  name: 'claude-a',
  provider: 'anthropic',
  url: new URL('https://api.example.com'),
  key: null,
  models: null,
  priority: 1,
  slots: null,
}
const exchange = {
  id: '0b0e7a52-4c5c-4a55-9d0c-1a2b3c4d5e6f',
  kind: 'http',
  method: 'POST',
  path: '/v1/messages',
  client: '10.0.0.7',
  startedAt: performance.now(),
  attempt: 1,
  status: 200,
  error: null,
  passedOver: [],
  headers: { 'user-agent': 'anthropic-sdk/1.11' },
  facts: {
    claim: { operation: 'messages' },
    model: 'claude-opus',
    stream: true,
    provider: { name: 'anthropic', url: null },
    usage: { input: 10, output: 500, cacheRead: 2000, cacheWrite: 0 },
  },
} as unknown as Ended // as much of one as is looked at
const result = {
  kind: 'response',
  status: 200,
  headers: { 'request-id': 'req_1' },
  judgement: 'final',
  ms: 400,
  body: null,
} as const

function ours(): number {
  const spans: Span[] = []
  for (let at = 0; at < batch; at += 2) {
    const context = contextOf(undefined, undefined, { follow_parent: true, sample_ratio: 1 })
    spans.push(...spansOf(exchange, context, [askedOf(newId(8), exchange, upstream, result)], null))
  }
  return Buffer.byteLength(tracesRequest({ 'service.name': 'postern' }, spans))
}

/** As much of the SDK as is called here. */
interface Sdk {
  readonly sdk: {
    TracerProvider: new (options: object) => { getTracer(name: string): Tracer }
  }
  readonly transformer: { JsonTraceSerializer: { serializeRequest(spans: readonly unknown[]): Uint8Array } }
  readonly api: { trace: { setSpan(context: unknown, span: unknown): unknown }; ROOT_CONTEXT: unknown }
}
interface Tracer {
  startSpan(name: string, options: object, context?: unknown): { end(): void; setAttributes(attributes: object): void }
}

function theirs({ sdk, transformer, api }: Sdk): () => number {
  let ended: unknown[] = []
  const processor = {
    onStart() {},
    onEnd: (span: unknown) => void ended.push(span),
    shutdown: () => Promise.resolve(),
    forceFlush: () => Promise.resolve(),
  }
  const tracer = new sdk.TracerProvider({ spanProcessors: [processor] }).getTracer('postern')
  // The same attributes that ours have, so that only the making differs.
  const context = contextOf(undefined, undefined, { follow_parent: true, sample_ratio: 1 })
  const made = spansOf(exchange, context, [askedOf(newId(8), exchange, upstream, result)], null)
  const [server, client] = made.map(({ attributes }) =>
    Object.fromEntries(
      attributes.map(({ key, value }) => {
        const [plain] = Object.values(value) as unknown[] // one member
        return [key, typeof plain === 'object' ? ['x'] : plain]
      }),
    ),
  )
  return () => {
    ended = []
    for (let at = 0; at < batch; at += 2) {
      const parent = tracer.startSpan('POST messages', { kind: 1 })
      const child = tracer.startSpan('chat claude-opus', { kind: 2 }, api.trace.setSpan(api.ROOT_CONTEXT, parent))
      child.setAttributes(client!)
      child.end()
      parent.setAttributes(server!)
      parent.end()
    }
    return transformer.JsonTraceSerializer.serializeRequest(ended).length
  }
}

const folder = process.env.OTEL_SDK
const bench = new Bench({ time: 1000, warmupTime: 300 }).add('ours', ours)
if (folder) {
  const load = createRequire(join(folder, 'package.json'))
  const rival = theirs({
    sdk: load('@opentelemetry/sdk-trace') as Sdk['sdk'], // by its own types
    transformer: load('@opentelemetry/otlp-transformer') as Sdk['transformer'], // the same
    api: load('@opentelemetry/api') as Sdk['api'], // the same
  })
  process.stdout.write(`bytes of ${batch} spans: ours ${ours()}, the SDK's ${rival()}\n`)
  bench.add('sdk', rival)
}
await bench.run()
const perExchange = bench.tasks.map((task) => {
  const state = task.result as unknown as { latency?: { p50: number } } // of a run that has ended
  return { name: task.name, us: ((state.latency?.p50 ?? 0) * 1000) / (batch / 2) }
})
for (const { name, us } of perExchange) process.stdout.write(`${name}: ${us.toFixed(2)} µs per exchange\n`)
if (perExchange.length === 2)
  process.stdout.write(`ours / sdk: ${(perExchange[0]!.us / perExchange[1]!.us).toFixed(2)}\n`)
