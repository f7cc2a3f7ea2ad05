/** What this plugin counts. */
import type { Metrics } from 'postern/plugin'
import type { Members } from './members.ts'

export function metricsOf(metrics: Metrics) {
  return {
    rests: metrics.counter('postern_failover_rests_total', 'Rests that have begun, by why.', ['upstream', 'kind']),
    retries: metrics.counter('postern_failover_retries_total', 'Failed attempts that another one followed.', [
      'upstream',
    ]),
    resting: metrics.gauge('postern_failover_resting', '1 while the upstream rests as a whole.', ['upstream'], {
      across: 'most',
    }),
    errors: metrics.gauge('postern_failover_errors_ratio', 'The share of errors of late, a moving average.', [
      'upstream',
    ]),
  }
}

export type FailoverMetrics = ReturnType<typeof metricsOf>

/** Sets the gauges, at each look. */
export function tellMembers({ rests: begun, resting, errors }: FailoverMetrics, members: Members): void {
  const now = Date.now()
  const rests = new Map<string, boolean>()
  for (const member of members.all) {
    // One name may have had several keys: it rests while its latest one does.
    rests.set(member.name, member.whole.rest(now) !== null)
    errors.with({ upstream: member.name }).set(member.whole.health.errors(now))
    // Told as 0 until it is: Prometheus sees no increase in what begins at 1, and one refusal is enough to look at a key.
    begun.with({ upstream: member.name, kind: 'refused' })
  }
  for (const [upstream, isResting] of rests) resting.with({ upstream }).set(isResting ? 1 : 0)
}
