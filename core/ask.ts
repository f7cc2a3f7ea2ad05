/** One upstream asked once: what is sent, and what becomes of it. */
import { overlayOf } from './body/body.ts'
import { streamBody } from './body/read.ts'
import type { LiveExchange } from './exchange.ts'
import type { Body, Failure, Headers, Outgoing, Reply, Result, Retry, Upstream } from './plugin.ts'
import type * as TurnRequest from './turn-request.ts'
import { Attempt, type Answering } from './upstream/attempt.ts'
import { DialError } from './upstream/dial-errors.ts'
import { requestHeaders } from './upstream/headers.ts'
import { withoutKey } from './upstream/key-mask.ts'
import type { Target } from './upstream/upstreams.ts'

/** What the client is given: a reply of the gateway's own, or an upstream's result and the attempt that has its bytes. */
export type Answer =
  | Reply
  | { readonly kind: 'answer'; readonly result: Result; readonly attempt: Answering | null }
  | Switch

/** The protocol is switched before any upstream is asked. */
export interface Switch {
  readonly kind: 'switch'
}

/**
 * Asks. Rejects only with what a plugin threw, or because the client has gone. A Retry says that a plugin would not have this
 * upstream asked now: that was no attempt. `last` is kept until something is sent.
 */
export async function ask(exchange: LiveExchange, upstream: Upstream, last: Answer | null): Promise<Answer | Retry> {
  const { route, gateway, request, body, facts } = exchange
  if (exchange.gone) throw exchange.gone
  exchange.attempt++
  exchange.upstream = upstream
  const outgoing: Outgoing = {
    method: exchange.method,
    path: exchange.path,
    query: exchange.query,
    headers: requestHeaders(exchange.headers),
    body: overlayOf(body),
  }
  const instead = route.onUpstreamRequest && (await route.onUpstreamRequest(exchange, outgoing))
  // What is edited from here on no plugin has edited.
  exchange.hook = null
  if (instead?.kind === 'retry') exchange.attempt--
  if (instead) return instead
  const { headers } = outgoing
  // Compressed events cannot be read: whoever joins them pays with a few bytes more on the wire.
  const watch = route.watchOf(facts.stream === true)
  if (route.onEvent || route.editEvent || (facts.stream && watch.hold !== null)) headers['accept-encoding'] = 'identity'
  if (body.kind === 'stream') headers['content-length'] = plainly(request.headers['content-length'])

  const target = await gateway.target(upstream, route.provider!)
  discard(last)
  if (exchange.gone) throw exchange.gone
  if (exchange.far) {
    const attempt = await exchange.far.ask(exchange, outgoing, target, watch)
    exchange.asked = attempt
    return { kind: 'answer', result: told(exchange, await attempt.result, headers), attempt }
  }
  if (isTurn(exchange, upstream, target)) {
    const { askAsTurn } = await (turns ??= import('./turn-request.ts'))
    const attempt = await askAsTurn(exchange, outgoing, target, watch)
    exchange.asked = attempt
    if (attempt) return { kind: 'answer', result: told(exchange, await attempt.result, headers), attempt }
    if (exchange.gone) throw exchange.gone
  }
  const { connections, pathOf } = target
  const path = pathOf(outgoing.path) + outgoing.query
  const attempt = new Attempt(
    { method: outgoing.method, path, headers, body: bytesOf(exchange, outgoing.body) },
    route.provider!.dialect,
    watch,
  )
  exchange.underway = attempt
  exchange.asked = attempt
  // Each attempt adds listeners of the frame's to the response.
  if (exchange.attempt > 1) exchange.response.setMaxListeners(64)
  connections.send(request, exchange.response, attempt)
  return { kind: 'answer', result: told(exchange, await attempt.result, headers), attempt }
}

/** Loaded for the first request that is one. */
let turns: Promise<typeof TurnRequest> | null = null

/** Whether the upstream wants the request as a turn over WebSocket, and the API has a message for it. */
function isTurn({ facts, body }: LiveExchange, upstream: Upstream, target: Target): boolean {
  if (upstream.websocket !== 'always' || facts.claim?.turn !== true || body.kind !== 'json') return false
  return performance.now() >= target.websockets.absentUntil
}

/** Without the key it was sent. What only an operator can put right is told to the log, though another upstream may serve the exchange. */
function told({ log, upstream }: LiveExchange, result: Result, sent: Readonly<Headers>): Result {
  if (result.kind === 'failure' && result.error instanceof DialError)
    log.warn({ upstream: upstream!.name, error: result.error.code }, `${upstream!.name}: ${result.error.message}`)
  return withoutKey(result, sent)
}

/** A length as every server reads it: `007` is 7 to one and malformed to the next. */
function plainly(length: string | undefined): string | undefined {
  return length === undefined ? undefined : String(Number(length))
}

/** Puts a failed attempt on the exchange's list. */
export function remember(exchange: LiveExchange, result: Result): void {
  const failure: Failure = {
    upstream: exchange.upstream!,
    attempt: exchange.attempt,
    status: result.kind === 'response' ? result.status : null,
    error: result.kind === 'failure' ? (result.error.code ?? result.error.name) : null,
    judgement: result.judgement,
  }
  exchange.failures = [...exchange.failures, failure]
  exchange.asked = null
}

/** Waits as long as the plugin that wants a retry says, in ms, or until the client leaves. */
export async function pause(exchange: LiveExchange, ms: number): Promise<void> {
  if (ms <= 0) return
  const { underway } = exchange
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    exchange.underway = {
      abort() {
        clearTimeout(timer)
        resolve()
      },
    }
  })
  // The answer that is kept meanwhile has still to end with the exchange.
  exchange.underway = underway
}

/** Lets go of an answer that nobody will be given. */
export function discard(answer: Answer | null): void {
  if (answer?.kind === 'answer') answer.attempt?.discard()
}

function bytesOf({ request, gateway }: LiveExchange, body: Body): Buffer | AsyncIterable<Buffer> | null {
  if (body.kind === 'none') return null
  return body.kind === 'json' ? body.bytes : streamBody(request, gateway.config.settings.limits.upload)
}
