import { definePlugin } from 'postern/plugin'
import { Answer } from './answer.ts'
import { config } from './config.ts'
import { destinationOf } from './environment.ts'
import { openExport } from './export.ts'
import { metricsOf, type OtelMetrics } from './metrics.ts'
import { operationOf, providerOf } from './semantics.ts'
import { askedOf, errorOf, isServing, spansOf, type Asked, type Ended } from './spans.ts'
import { contextOf, newId, traceparentOf, type TraceContext } from './trace-context.ts'

declare module 'postern/plugin' {
  interface Facts {
    /** What the plugin otel notes of the exchange. */
    otel: Noted
  }
}

interface Noted {
  readonly context: TraceContext
  /** Of the attempt that is being made. */
  spanId: string
  asked: readonly Asked[]
  answer: Answer | null
}

/** Spans and metrics for OpenTelemetry collectors. On the path of a request it waits for nothing. */
export default definePlugin({
  name: 'otel',
  config,
  reads: ['provider', 'claim'],
  mayRead: ['model', 'stream', 'usage'],
  writes: ['otel'],
  setup(context) {
    const { config } = context
    const destination = destinationOf(config, process.env)
    const told = metricsOf(context.metrics)
    const traces = destination.isDisabled ? null : openExport(context, destination, told)

    function notedOf(exchange: Ended): Noted {
      const { headers, facts } = exchange
      return (facts.otel ??= {
        context: contextOf(headers['traceparent'], headers['tracestate'], config),
        spanId: '',
        asked: none,
        answer: null,
      })
    }

    return {
      onUpstreamRequest(exchange, { headers }) {
        const noted = notedOf(exchange)
        noted.spanId = newId(8)
        headers['traceparent'] = config.propagate ? traceparentOf(noted.context, noted.spanId) : undefined
        headers['tracestate'] = config.propagate ? (noted.context.state ?? undefined) : undefined
      },
      onUpstreamResult(exchange, result) {
        const noted = notedOf(exchange)
        if (exchange.upstream)
          noted.asked = [...noted.asked, askedOf(noted.spanId, exchange, exchange.upstream, result)]
      },
      onEvent: config.answers
        ? (exchange, data) => {
            const noted = notedOf(exchange)
            if (noted.context.isSampled) (noted.answer ??= new Answer()).see(data)
          }
        : undefined,
      onEnd(exchange) {
        const { context, asked, answer } = notedOf(exchange)
        count(told, exchange, asked)
        if (traces && context.isSampled) for (const span of spansOf(exchange, context, asked, answer)) traces.push(span)
      },
    }
  },
})

const none: readonly never[] = Object.freeze([])

/** What the attempts of an exchange that has ended add to the metrics. */
function count(told: OtelMetrics, exchange: Ended, attempts: readonly Asked[]): void {
  const { facts, error, kind } = exchange
  const endedAt = performance.now()
  for (const [index, asked] of attempts.entries()) {
    const isServed = index === attempts.length - 1 && isServing(asked)
    const provider = providerOf(asked.upstream.provider)
    const operation = operationOf(facts.claim?.operation ?? 'other')
    // Clients choose the names of models: only those that an upstream has answered for are told.
    const model = isServed && facts.model !== null ? facts.model : ''
    const failure = errorOf(asked, isServed ? error : null) ?? ''
    const until = isServed ? endedAt : asked.toldAt
    told.duration.with({ provider, operation, model, error: failure }).observe((until - asked.sentAt) / 1000)
    if (!isServed) continue
    if (facts.stream === true && kind !== 'session')
      told.firstChunk.with({ provider, operation, model }).observe((asked.toldAt - asked.sentAt) / 1000)
    const { usage } = facts
    if (usage === null) continue
    const input = usage.input + usage.cacheRead + usage.cacheWrite
    if (input > 0) told.tokens.with({ provider, operation, model, kind: 'input' }).observe(input)
    if (usage.output > 0) told.tokens.with({ provider, operation, model, kind: 'output' }).observe(usage.output)
  }
}
