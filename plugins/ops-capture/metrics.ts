/** What this plugin counts. */
import type { Metrics } from 'postern/plugin'

export function metricsOf(metrics: Metrics) {
  const lost = metrics.counter(
    'postern_captured_errors_lost_total',
    'Records that were not kept: the queue was full, or the sink failed.',
    ['why'],
  )
  // Told as 0 until one is: Prometheus sees no increase in what begins at 1.
  for (const why of ['dropped', 'unwritten']) lost.with({ why })
  return {
    captured: metrics.counter(
      'postern_captured_errors_total',
      'Failed exchanges kept, by where they failed and how bad it is.',
      ['phase', 'severity'],
    ),
    lost,
  }
}
