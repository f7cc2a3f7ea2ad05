/** The one line that the log has for each exchange. */
import type { LiveExchange } from '../exchange.ts'

/** Writes it: at `info`, or at `warn` where something went wrong on the gateway's side or the upstream's. */
export function logExchange(exchange: LiveExchange): void {
  const { gateway, facts, error, answeredBy } = exchange
  const level = error && exchange.status >= 500 ? 'warn' : 'info'
  // Nothing is gathered for a line that nobody writes.
  if (!gateway.log.isOn(level)) return
  const fields = {
    exchange: exchange.id,
    method: exchange.method,
    path: exchange.path,
    status: exchange.status,
    ms: Math.round((performance.now() - exchange.startedAt) * 10) / 10,
    client: exchange.client,
    provider: facts.provider?.name,
    operation: facts.claim?.operation,
    model: facts.model ?? undefined,
    stream: facts.stream ?? undefined,
    upstream: exchange.upstream?.name,
    attempts: exchange.attempt,
    answered_by: answeredBy ? `${answeredBy.plugin} in ${answeredBy.phase}` : undefined,
    bytes_out: exchange.sent,
    usage: facts.usage ?? undefined,
    remainder: exchange.remainder?.outcome ?? undefined,
    remainder_bytes: exchange.remainder?.bytes,
    error: error ? ('code' in error && String(error.code)) || error.name : undefined,
  }
  gateway.log[level](fields, 'exchange')
}
