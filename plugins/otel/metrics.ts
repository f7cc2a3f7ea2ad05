/** What this plugin counts. */
import type { Metrics } from 'postern/plugin'

/** The boundaries that the conventions give, in seconds and in tokens. */
const seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
const tokens = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864]

const names = ['provider', 'operation', 'model'] as const

export function metricsOf(metrics: Metrics) {
  const spans = metrics.counter('postern_otel_spans_total', 'Spans, by what became of them.', ['outcome'])
  // Told as 0 until there is one: Prometheus sees no increase in what begins at 1.
  for (const outcome of ['sent', 'dropped', 'refused', 'lost']) spans.with({ outcome })
  return {
    spans,
    batches: metrics.counter('postern_otel_metrics_total', 'Tellings of metrics, by what became of them.', ['outcome']),
    waiting: metrics.gauge('postern_otel_spans_waiting', 'Spans that wait to be sent.', [], { across: 'sum' }),
    duration: metrics.histogram(
      'postern_gen_ai_operation_seconds',
      'Attempts at upstreams, to the end of their answers; gen_ai.client.operation.duration. The model is told where it answered.',
      [...names, 'error'],
      { buckets: seconds },
    ),
    firstChunk: metrics.histogram(
      'postern_gen_ai_first_chunk_seconds',
      'From the sending to the first content of a stream; gen_ai.client.operation.time_to_first_chunk.',
      names,
      { buckets: seconds },
    ),
    tokens: metrics.histogram(
      'postern_gen_ai_tokens',
      'Tokens of an answer, by kind; gen_ai.client.token.usage.',
      [...names, 'kind'],
      { buckets: tokens },
    ),
  }
}

export type OtelMetrics = ReturnType<typeof metricsOf>
