/** A request by HTTP that is asked over an upstream's WebSocket, as one turn of nobody's session. */
import { createHash } from 'node:crypto'
import { overlayOf } from './body/body.ts'
import type { LiveExchange } from './exchange.ts'
import type { Headers, Outgoing } from './plugin.ts'
import type { RequestDialect, WebSocketDialect } from './provider.ts'
import { DocumentAnswer, StreamAnswer } from './turn-answer.ts'
import type { Continuity, Wanting } from './turn-memory.ts'
import { askOverWebSocket } from './turn-upstream.ts'
import type { Answering, Watch } from './upstream/attempt.ts'
import type { HeldPool, Target } from './upstream/upstreams.ts'
import type { Lease } from './upstream/ws-member.ts'
import type { WsPool } from './upstream/ws-pool.ts'
import type { Asked } from './upstream/ws-waiter.ts'

/** Null: it is asked by HTTP after all. */
export async function askAsTurn(
  exchange: LiveExchange,
  outgoing: Outgoing,
  target: Target,
  watch: Watch,
): Promise<Answering | null> {
  const { dialect } = exchange.route.provider!
  const requests = dialect.websocket?.turns?.requests
  // A message is a copy of its own: by HTTP the body is asked as it came.
  const body = overlayOf(outgoing.body)
  const { message: longest } = exchange.gateway.config.settings.websocket
  if (!requests?.asMessage(body) || body.bytes.length > longest) return null
  const memory = new RequestMemory(exchange, dialect.websocket!, requests)
  const attempt = await askOverWebSocket(exchange, { ...outgoing, body }, target, watch, memory)
  if (attempt === null) return null
  const how = { dialect, requests, id: exchange.id, served: (last: Buffer) => memory.served(last) }
  return exchange.facts.stream ? new StreamAnswer(attempt, how) : new DocumentAnswer(attempt, how)
}

/** Connections that sessions of HTTP clients have as their own; the one longest unused is closed for one more. */
const mostSessions = 64

/** Responses of which it is known which connection made them; the oldest is forgotten for one more. */
const mostResponses = 10_000

/** What requests have left in the connections of one pool. */
class Places {
  readonly #connections = new Map<string, string>()
  readonly #sessions = new Set<string>()

  connectionOf(response: string): string | undefined {
    return this.#connections.get(response)
  }

  remember(response: string, connection: string): void {
    this.#connections.set(response, connection)
    if (this.#connections.size > mostResponses) this.#connections.delete(first(this.#connections.keys()))
  }

  /** A request of the session is under way: no socket will say when there are no more, so another session's does. */
  uses(session: string, pool: WsPool): void {
    this.#sessions.delete(session)
    this.#sessions.add(session)
    if (this.#sessions.size <= mostSessions) return
    const oldest = first(this.#sessions)
    this.#sessions.delete(oldest)
    pool.endSession(oldest)
  }
}

const places = new WeakMap<WsPool, Places>()

/**
 * A request has no session. What it goes on with where nothing is stored is in the connection that made it, which is asked for if
 * it is there and free; else the upstream says that it knows no such response, as it says by HTTP.
 */
class RequestMemory implements Continuity {
  readonly isPatient = false
  readonly kept: Headers = {}
  readonly conversation = null
  readonly #exchange: LiveExchange
  readonly #requests: RequestDialect
  readonly #websocket: WebSocketDialect
  #pool: WsPool | null = null
  #connection: string | null = null

  constructor(exchange: LiveExchange, websocket: WebSocketDialect, requests: RequestDialect) {
    this.#exchange = exchange
    this.#websocket = websocket
    this.#requests = requests
  }

  /** The exchange's own gateway holds it open for as long. */
  keep(held: HeldPool): WsPool {
    held.release()
    this.#pool = held.pool
    return held.pool
  }

  wanted({ spec, own, continued }: Wanting): Asked {
    const prefer = continued === null ? undefined : this.#places.connectionOf(this.#scoped(continued))
    const best = prefer === undefined ? {} : { prefer }
    const headers = sessionOf(own, this.#websocket.turnHeaders)
    if (headers === null) return best
    const id = this.#scoped(`${spec.key} ${JSON.stringify(headers)}`)
    this.#places.uses(id, this.#pool!)
    return { session: { id, headers }, ...best }
  }

  lent(lease: Lease, { stays }: Wanting): void {
    this.#connection = stays ? lease.id : null
  }

  served(last: Buffer): void {
    const response = this.#connection && this.#requests.responseOf(last)
    if (response) this.#places.remember(this.#scoped(response), this.#connection!)
  }

  get #places(): Places {
    const pool = this.#pool!
    const known = places.get(pool) ?? new Places()
    places.set(pool, known)
    return known
  }

  /** Nobody is led to what another caller has left, and no credential is kept. */
  #scoped(name: string): string {
    const { facts, headers, client } = this.#exchange
    const caller = facts.principal?.id ?? headers.authorization ?? headers['x-api-key'] ?? client
    return createHash('sha256')
      .update(JSON.stringify([caller, name]))
      .digest('base64url')
  }
}

/** The headers that a session is known by; null where the request has none. */
function sessionOf(own: Headers | undefined, passing: readonly string[] = []): Headers | null {
  const names = Object.keys(own ?? {}).filter((name) => !passing.includes(name))
  return names.length > 0 ? Object.fromEntries(names.map((name) => [name, own![name]])) : null
}

function first(names: Iterable<string>): string {
  const [one] = names
  return one!
}
