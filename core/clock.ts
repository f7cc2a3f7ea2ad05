/**
 * One clock per gateway instead of timers per exchange: four times a second it looks at every exchange for what has taken too long,
 * and tells clients that wait for a stream to go on waiting.
 */
import { sendEarlyHead } from './deliver.ts'
import { TimedOut } from './errors.ts'
import type { LiveExchange } from './exchange.ts'
import type { Settings } from './config/schema.ts'

/** Between two looks, in ms: what is limited here is limited to seconds. */
const period = 250

/** An SSE comment: a client's parser skips it, a proxy on the way sees that the connection lives. */
const comment = Buffer.from(': waiting\n\n')

/** Begins to look at a gateway's exchanges; returns what ends it. */
export function watchExchanges(exchanges: readonly LiveExchange[], { timeouts }: Settings): () => void {
  const total = timeouts.total ?? Infinity
  const mostQuiet = timeouts.heartbeat > 0 ? Math.max(1, Math.round(timeouts.heartbeat / period)) : Infinity
  const timer = setInterval(() => {
    const now = performance.now()
    // From the end: an exchange that leaves meanwhile puts the last one into its place.
    for (let at = exchanges.length - 1; at >= 0; at--) look(exchanges[at]!, now)
  }, period)
  timer.unref()
  return () => clearInterval(timer)

  function look(exchange: LiveExchange, now: number): void {
    exchange.underway?.tick?.(now)
    exchange.remainder?.tick(now)
    if (now - exchange.startedAt >= total) exchange.leave(new TimedOut())
    if (exchange.waits && ++exchange.quiet >= mostQuiet) keepWaiting(exchange)
  }
}

/** The comments commit the status line, not the answer: another upstream may still be asked, a refusal is an event then. */
function keepWaiting(exchange: LiveExchange): void {
  exchange.quiet = 0
  const { response, relay } = exchange
  if (response.destroyed || response.writableEnded) return
  if (relay) return relay.comment(comment)
  if (!response.headersSent) sendEarlyHead(exchange)
  response.write(comment)
}
