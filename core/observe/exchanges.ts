/** What the gateway itself counts of exchanges. Labels are bounded: names of mounts, upstreams and operations, classes of status. */
import type { LiveExchange } from '../exchange.ts'
import type { Result } from '../plugin.ts'
import type { Counter, Histogram, Labelled, Metrics } from './metrics.ts'

export interface ExchangeMetrics {
  ended(exchange: LiveExchange): void
  attempted(exchange: LiveExchange, result: Result): void
  /** A conversation was lost with its connection: what became of the turn that went on with it. */
  replayed(outcome: Replayed): void
}

/** Begun anew and answered; begun anew in vain; no longer known. */
export type Replayed = 'served' | 'failed' | 'forgotten'

/** Declares them once per process; a reload finds them again. */
export function exchangeMetrics(metrics: Metrics): ExchangeMetrics {
  const exchanges: Labelled<Counter, 'provider' | 'operation' | 'status'> = metrics.counter(
    'postern_exchanges_total',
    'Exchanges that have ended, by the class of what the client was told.',
    ['provider', 'operation', 'status'],
  )
  const seconds: Labelled<Histogram, 'provider' | 'operation'> = metrics.histogram(
    'postern_exchange_seconds',
    'From the request to the end of its answer.',
    ['provider', 'operation'],
  )
  const attempts: Labelled<Counter, 'upstream' | 'outcome'> = metrics.counter(
    'postern_attempts_total',
    'Upstreams asked, by the class of what they said.',
    ['upstream', 'outcome'],
  )
  const firstByte: Labelled<Histogram, 'upstream'> = metrics.histogram(
    'postern_upstream_first_content_seconds',
    'From the sending to the first content, or to the error.',
    ['upstream'],
  )
  const tokens: Labelled<Counter, 'provider' | 'kind'> = metrics.counter(
    'postern_tokens_total',
    'Tokens, as far as answers have told them and a plugin wanted to know.',
    ['provider', 'kind'],
  )
  const replays: Labelled<Counter, 'outcome'> = metrics.counter(
    'postern_turn_replays_total',
    'Turns whose conversation was lost with its connection, by what became of them.',
    ['outcome'],
  )
  return {
    ended({ facts, status, startedAt }) {
      const provider = facts.provider?.name ?? 'none'
      const operation = facts.claim?.operation ?? 'none'
      exchanges.with({ provider, operation, status: classes[Math.floor(status / 100)] ?? 'none' }).inc()
      seconds.with({ provider, operation }).observe((performance.now() - startedAt) / 1000)
      const { usage } = facts
      if (usage === null) return
      for (const kind of kinds) if (usage[kind] > 0) tokens.with({ provider, kind }).inc(usage[kind])
    },
    attempted({ upstream }, result) {
      const name = upstream?.name ?? 'none'
      const outcome = result.kind === 'failure' ? 'failure' : (classes[Math.floor(result.status / 100)] ?? 'none')
      attempts.with({ upstream: name, outcome }).inc()
      firstByte.with({ upstream: name }).observe(result.ms / 1000)
    },
    replayed: (outcome) => replays.with({ outcome }).inc(),
  }
}

const kinds = ['input', 'output', 'cacheRead', 'cacheWrite'] as const

/** By the first digit; `none` where the client was told nothing. */
const classes: readonly (string | undefined)[] = ['none', '1xx', '2xx', '3xx', '4xx', '5xx']
