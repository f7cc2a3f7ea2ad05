/** Everything on its way to the collector: spans in batches, metrics now and then, and both once more when the gateway ends. */
import { randomUUID } from 'node:crypto'
import type { PluginContext } from 'postern/plugin'
import type { Destination } from './environment.ts'
import type { OtelMetrics } from './metrics.ts'
import { metricsRequest, tracesRequest, type Resource, type Span } from './otlp.ts'
import { Outbox } from './outbox.ts'
import { Collector } from './post.ts'

type Context = PluginContext<{
  readonly traces: boolean
  readonly metrics: boolean
  readonly queue: number
  readonly batch: number
  /** Times are in ms. */
  readonly interval: number
  readonly metrics_interval: number
  readonly timeout: number
  readonly flush: number
  readonly compression: 'none' | 'gzip'
}>

/** One for a process: what is restarted is another. */
const instance = randomUUID()

/** Opens it; null where no spans are sent. What waits when the gateway ends has `flush` ms to be sent. */
export function openExport(context: Context, destination: Destination, told: OtelMetrics): Outbox<Span> | null {
  const { config, log, signal } = context
  const resource: Resource = {
    'service.instance.id': instance,
    'telemetry.sdk.name': 'postern',
    'telemetry.sdk.language': 'nodejs',
    ...destination.resource,
  }
  const collector = new Collector({ ...config, headers: destination.headers })
  const traces = config.traces
    ? new Outbox<Span>({
        capacity: config.queue,
        batch: config.batch,
        flush: config.flush,
        send: (spans, over) => collector.post(destination.traces, tracesRequest(resource, spans), over),
        count: (outcome, spans) => told.spans.with({ outcome }).inc(spans),
        log,
        signal,
      })
    : null
  if (traces) {
    context.every(config.interval, () => traces.send())
    const stopTelling = context.metrics.onRender(() => told.waiting.set(traces.length))
    signal.addEventListener('abort', stopTelling, { once: true })
  }

  /** Sums are told since the start: what the collector does not take now it is told the next time. */
  async function sendMetrics(over: AbortSignal): Promise<void> {
    const times = { startedAt: performance.timeOrigin, now: Date.now() }
    const outcome = await collector.post(
      destination.metrics,
      metricsRequest(resource, context.metrics.read(), times),
      over,
    )
    told.batches.with({ outcome: outcome.kind === 'taken' ? 'sent' : 'lost' }).inc()
    if (outcome.kind !== 'taken') log.debug({ reason: outcome.reason }, 'the collector did not take the metrics')
  }
  if (config.metrics) context.every(config.metrics_interval, () => sendMetrics(signal))

  const last = context.queue<null>({ capacity: 1 }, async () => {
    const over = AbortSignal.timeout(config.flush)
    await Promise.all([traces?.end(), config.metrics ? sendMetrics(over) : undefined])
    collector.close()
  })
  signal.addEventListener('abort', () => last.push(null), { once: true })
  return traces
}
