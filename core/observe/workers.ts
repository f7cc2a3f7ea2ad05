/** The workers of a supervisor, as metrics. */
import type { Metrics } from './metrics.ts'

/** Declares them once per process. */
export function workerMetrics(metrics: Metrics) {
  return {
    serving: metrics.gauge(
      'postern_workers_serving',
      'Workers that serve; with one process there is no such metric.',
      [],
      {
        across: 'sum',
      },
    ),
    ends: metrics.counter('postern_worker_ends_total', 'Workers that have ended without having been told to.'),
  }
}
