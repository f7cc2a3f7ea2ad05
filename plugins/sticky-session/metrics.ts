/** What this plugin counts for operators; the gates of the compatibility switches count the same by day, in the store. */
import type { Metrics } from 'postern/plugin'

export function metricsOf(metrics: Metrics) {
  const events = metrics.counter(
    'postern_sticky_events_total',
    'Look-ups of sessions (sticky_reads), those that found one (hits), old keys asked for (fallback_total) and found (fallback_hit), and what was written, moved or failed.',
    ['event'],
  )
  // Told as 0 until there is one, so that shares can be told from the first look-up on.
  for (const event of ['sticky_reads', 'hits', 'fallback_total', 'fallback_hit']) events.with({ event })
  return events
}
