/** From what went wrong to what the client is told: the refusal, and its bytes in the words of the API the client speaks. */
import { HookError } from './chain.ts'
import { ClientGone, DrainEnded, fault, Refused, TimedOut } from './errors.ts'
import type { LiveExchange } from './exchange.ts'
import type { Upstream } from './plugin.ts'
import { DialError } from './upstream/dial-errors.ts'
import type { Refusal, StraightReply } from './reply.ts'

/** The refusal for whatever ended a walk; null where nobody is left to be told. */
export function refusalOf(exchange: LiveExchange, error: unknown): Refusal | null {
  const reason = error instanceof HookError ? error.cause : error
  if (reason instanceof Refused) return reason.refusal
  if (exchange.gone instanceof ClientGone) return null
  if (exchange.gone instanceof DrainEnded) return fault('DRAINING')
  if (exchange.gone instanceof TimedOut) return fault('TIMEOUT')
  exchange.error = error instanceof Error ? error : new Error(String(error))
  exchange.log.error({ err: error }, exchange.error.message)
  return fault('INTERNAL')
}

/**
 * Nobody can be asked, or asked any more: says why, upstream by upstream, and when to come again. 429 where limits on the rate
 * of requests are all that stands in the way, 503 otherwise.
 */
export function refuseForWantOfUpstream(exchange: LiveExchange, candidates: readonly Upstream[]): Refusal {
  const { facts, failures, route, gateway } = exchange
  // What was said of an upstream last is what counts.
  const passedOver = [...new Map(exchange.passedOver.map((one) => [one.upstream, one])).values()]
  const unexplained = candidates.filter(
    (candidate) =>
      !failures.some(({ upstream }) => upstream === candidate) &&
      !passedOver.some(({ upstream }) => upstream === candidate),
  )
  const reasons = [
    ...failures.map(
      ({ upstream, status, error }) => `${upstream.name} ${status ? `answered ${status}` : `failed (${error})`}`,
    ),
    ...passedOver.map(({ upstream, reason }) => `${upstream.name} ${reason}`),
    // A plugin that says nothing of an upstream may have its reasons: it may be somebody else's.
    ...(unexplained.length > 0 ? [`${unexplained.length} more may not be asked`] : []),
  ]
  if (reasons.length > 0) {
    const isLimited = unexplained.length === 0 && passedOver.length > 0 && passedOver.every((one) => one.isLimited)
    const waits = passedOver.flatMap(({ wait }) => wait ?? [])
    const headers = waits.length > 0 ? { 'retry-after': String(Math.ceil(Math.min(...waits) / 1000)) } : {}
    return fault(isLimited ? 'UPSTREAMS_LIMITED' : 'NO_UPSTREAM', reasons.join(', '), headers)
  }
  const serves = gateway.candidates(route.provider!, null).length > 0
  if (serves) return fault('NO_MODEL', JSON.stringify(facts.model))
  return fault('NO_UPSTREAM', `none is configured for ${route.provider!.name}`)
}

const timeouts = new Set([
  'CONNECT_TIMEOUT',
  'HEADERS_TIMEOUT',
  'IDLE_TIMEOUT',
  'FIRST_EVENT_TIMEOUT',
  'MESSAGE_TIMEOUT',
  'HANDSHAKE_TIMEOUT',
  'ETIMEDOUT',
])
const unreachable =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|ERR_TLS|ERR_SSL|CERT|DEPTH|SELF|UNABLE)/

/** What the client is told of a network error: its class. The socket's own words are for the log. */
export function refusalOfNetwork(error: NodeJS.ErrnoException): Refusal {
  if (error instanceof Refused) return error.refusal
  if (error instanceof HookError) return fault('INTERNAL')
  if (error instanceof DrainEnded) return fault('DRAINING')
  if (error instanceof TimedOut) return fault('TIMEOUT')
  if (error instanceof DialError) return fault(error.code, error.told)
  const code = error.code ?? ''
  if (timeouts.has(code)) return fault('UPSTREAM_TIMEOUT')
  return fault(unreachable.test(code) ? 'UPSTREAM_UNREACHABLE' : 'UPSTREAM_BROKEN')
}

/**
 * The event that tells a streaming client of an error: of the gateway's own, or what the upstream said in `body`, which is in the
 * dialect already.
 */
export function errorEvent({ route, facts }: LiveExchange, refusal: Refusal, body: Buffer | null = null): string {
  const dialect = route.provider!.dialect
  const { status, code, message } = refusal
  const error = (body && shapeOf(body)) ?? dialect.refusal(status, code, message)
  const operation = facts.claim?.operation ?? 'other'
  return dialect.errorEvent?.(error, operation) ?? `data: ${JSON.stringify(error)}\n\n`
}

/** What an error's body says, where it is JSON that tells of one. */
export function shapeOf(body: Buffer): object | null {
  try {
    const told: unknown = JSON.parse(body.toString())
    return typeof told === 'object' && told !== null && 'error' in told ? told : null
  } catch {
    return null
  }
}

/** The refusal's bytes. A path that no provider claims is answered in the commonest shape, `{"error": {…}}`. */
export function render(exchange: LiveExchange, { status, code, message, headers }: Refusal): StraightReply {
  const shape = exchange.route.provider?.dialect.refusal(status, code, message) ?? {
    error: { type: code.toLowerCase(), code, message },
  }
  return {
    kind: 'reply',
    status,
    headers: { ...headers, 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: Buffer.from(JSON.stringify(shape)),
  }
}
