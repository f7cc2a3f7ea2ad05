/** What this plugin counts. */
import type { Metrics } from 'postern/plugin'

export function metricsOf(metrics: Metrics) {
  return {
    cost: metrics.counter('postern_usage_cost_usd_total', 'What exchanges have cost, in US dollars, by list price.', [
      'provider',
    ]),
    rows: metrics.counter('postern_usage_rows_total', 'Exchanges counted, by whether their model has a price.', [
      'priced',
    ]),
    waiting: metrics.gauge('postern_usage_rows_waiting', 'Rows of usage that wait in memory to be written.', [], {
      across: 'sum',
    }),
  }
}
