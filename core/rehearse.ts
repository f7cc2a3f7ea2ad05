/** An exchange without a client and without an upstream: what the plugins make of a request, up to where it would be sent. */
import { Socket } from 'node:net'
import { overlayOf } from './body/body.ts'
import { takeBody } from './body/take.ts'
import type { LiveExchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { http } from './http.ts'
import type { Outgoing, Reply, Retry, Upstream } from './plugin.ts'
import type { AskedFor } from './testing/surface.ts'
import { parseTarget } from './target.ts'
import { requestHeaders } from './upstream/headers.ts'

/** How far it came. */
export interface Rehearsed {
  readonly exchange: LiveExchange
  /** What a plugin answered in place of an upstream; null where none did. */
  readonly answer: Reply | Retry | null
  /** Who could be asked, before any plugin has said a word. */
  readonly candidates: readonly Upstream[]
  /** Who would be asked, best first. */
  readonly ranking: readonly Upstream[]
  /** What the first of them would be sent; null where nobody would be asked. */
  readonly outgoing: Outgoing | null
  /** Its address; null where nobody would be asked. */
  readonly url: string | null
}

/** Lets a request into a gateway. Throws where its target is none. Whoever enters one lets it `leave`. */
export function enter(gateway: Gateway, asked: AskedFor): LiveExchange {
  const { method = asked.body === undefined ? 'GET' : 'POST', path, headers = {}, body, client = '127.0.0.1' } = asked
  const target = parseTarget(path, undefined)
  if (!target) throw new Error(`${JSON.stringify(path)} is no path that a gateway passes on`)
  const request = new http.IncomingMessage(new Socket())
  const bytes = body === undefined ? null : Buffer.from(body)
  Object.assign(request, { method, url: path })
  request.headers = {
    host: '127.0.0.1',
    ...(bytes ? { 'content-type': 'application/json', 'content-length': String(bytes.length) } : {}),
    ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
  }
  if (bytes) request.push(bytes)
  request.push(null)
  return gateway.enter({ request, response: new http.ServerResponse(request), id: 'rehearsal', client, ...target })
}

/**
 * Walks it down to the first upstream, and sends nothing. For a gateway that is only read: what plugins take for the exchange goes
 * with its store, and `onEnd` is not asked, since those who bill or capture would note what never happened.
 */
export async function rehearse(gateway: Gateway, asked: AskedFor): Promise<Rehearsed> {
  const exchange = enter(gateway, asked)
  try {
    return await walk(exchange, gateway)
  } finally {
    gateway.leave(exchange)
  }
}

async function walk(exchange: LiveExchange, gateway: Gateway): Promise<Rehearsed> {
  const { route, facts } = exchange
  const stopped = { exchange, candidates: [], ranking: [], outgoing: null, url: null }
  const early = route.onRequest && (await route.onRequest(exchange))
  if (early || !route.provider) return { ...stopped, answer: early ?? null }
  exchange.body = await takeBody(exchange)
  const informed = route.onBody && exchange.body.kind === 'json' && (await route.onBody(exchange))
  if (informed) return { ...stopped, answer: informed }
  const candidates = gateway.candidates(route.provider, facts.model)
  const ranking = route.rankUpstreams ? await route.rankUpstreams(exchange, candidates) : candidates
  const [upstream] = ranking
  if (!upstream) return { ...stopped, candidates, answer: null }
  exchange.attempt = 1
  exchange.upstream = upstream
  const { method, path, query, headers, body } = exchange
  const outgoing: Outgoing = { method, path, query, headers: requestHeaders(headers), body: overlayOf(body) }
  const instead = route.onUpstreamRequest && (await route.onUpstreamRequest(exchange, outgoing))
  const { pathOf } = await gateway.target(upstream, route.provider)
  const base = upstream.url ?? route.provider.url
  const url = `${base?.origin ?? ''}${pathOf(outgoing.path)}${outgoing.query}`
  return { exchange, candidates, ranking, outgoing, url, answer: instead || null }
}
