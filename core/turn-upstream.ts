/** A turn asked over the pool: on the connection that serves it best, and on another where that one turns out to be lost. */
import { overlayOf } from './body/body.ts'
import type { LiveExchange } from './exchange.ts'
import type { Headers, Outgoing, Result } from './plugin.ts'
import type { WebSocketDialect } from './provider.ts'
import type { Continuity, Wanting } from './turn-memory.ts'
import type { Watch } from './upstream/attempt.ts'
import type { Target } from './upstream/upstreams.ts'
import { WsAttempt } from './upstream/ws-attempt.ts'
import { UpgradeRefused, WsError, type WsErrorCode } from './upstream/ws-errors.ts'
import { laneSpec } from './upstream/ws-lane-spec.ts'
import type { Lease } from './upstream/ws-member.ts'
import type { WsPool } from './upstream/ws-pool.ts'
import type { Asked } from './upstream/ws-waiter.ts'

/** For how long an upstream that refused the upgrade as a whole is asked by HTTP, in ms. */
const absence = 30_000

/** Null: this upstream has no WebSocket, ask by HTTP. */
export async function askOverWebSocket(
  exchange: LiveExchange,
  outgoing: Outgoing,
  target: Target,
  watch: Watch,
  memory: Continuity,
): Promise<WsAttempt | null> {
  const { dialect } = exchange.route.provider!
  const websocket = dialect.websocket!
  const turns = websocket.turns!
  const attempt = new WsAttempt({ dialect, turns, watch, timeouts: exchange.gateway.config.settings.timeouts })
  exchange.underway = attempt
  const pool = memory.keep(await target.websockets.hold())
  const { body } = outgoing
  const wanting: Wanting = {
    ...laneOf(exchange, outgoing, target, websocket, memory),
    stays: turns.staysOnConnection(body),
    continued: turns.continues(body),
  }
  // Of its own: where this comes to nothing, the request by HTTP knows nothing of it.
  const asked = overlayOf(body)
  turns.asMessage?.(asked, exchange.headers)
  const turn = new PooledTurn(exchange, attempt, pool, memory, wanting, asked.bytes)
  try {
    await turn.begin()
  } catch (error) {
    if (isWithout(error)) {
      target.websockets.absentUntil = performance.now() + absence
      return null
    }
    if (!memory.isPatient && isTaken(error)) return null
    turn.refused(error)
  }
  return attempt
}

/** What became of a turn whose conversation was begun anew. */
export function countReplay({ gateway }: LiveExchange, result: Promise<Result>): void {
  void result.then((told) => {
    gateway.metrics.replayed(told.kind === 'response' && told.status < 400 ? 'served' : 'failed')
  })
}

/** One turn, until a connection has its message. */
class PooledTurn {
  readonly #exchange: LiveExchange
  readonly #attempt: WsAttempt
  readonly #pool: WsPool
  readonly #memory: Continuity
  readonly #wanting: Wanting
  readonly #message: Buffer
  readonly #wanted: Asked
  /** It goes on with what its connection alone knows. */
  readonly #isAnchored: boolean
  /** It goes on with what is remembered here as well. */
  readonly #isKnown: boolean

  constructor(
    exchange: LiveExchange,
    attempt: WsAttempt,
    pool: WsPool,
    memory: Continuity,
    wanting: Wanting,
    message: Buffer,
  ) {
    this.#exchange = exchange
    this.#attempt = attempt
    this.#pool = pool
    this.#memory = memory
    this.#wanting = wanting
    this.#message = message
    this.#wanted = memory.wanted(wanting)
    const { stays, continued } = wanting
    this.#isAnchored = stays && continued !== null && memory.conversation !== null
    this.#isKnown = this.#isAnchored && memory.conversation!.knows(continued!)
  }

  /** Rejects where there is no connection to be had. */
  async begin(): Promise<void> {
    // What was answered by HTTP is in no connection.
    if (this.#isKnown && !this.#wanted.force) return this.#anew()
    let lease: Lease
    try {
      lease = await this.#acquire(this.#wanted)
    } catch (error) {
      const renew = error instanceof WsError && error.code === 'CONNECTION_UNAVAILABLE' ? this.#lost('response') : null
      if (renew === null) throw error
      return renew()
    }
    // A connection that was idle may have been closed in the very moment of the sending: that was no attempt.
    const again = this.#isKnown ? this.#anew : this.#wanted.force ? null : this.#onAnother
    this.#send(lease, this.#message, {
      again: again && (() => this.#run(again)),
      lost: (what) => {
        const renew = this.#lost(what)
        return renew && (() => this.#run(renew))
      },
    })
  }

  refused(error: unknown): void {
    this.#attempt.refused(error instanceof Error ? error : new Error(String(error)))
  }

  /** What can still be done for it; null: nothing, and its client is told so. */
  #lost(what: 'connection' | 'response'): (() => Promise<void>) | null {
    if (this.#isKnown) return this.#anew
    if (this.#isAnchored) this.#exchange.gateway.metrics.replayed('forgotten')
    return what === 'connection' && !this.#isAnchored ? this.#onAnother : null
  }

  readonly #onAnother = async (): Promise<void> => {
    this.#send(await this.#acquire(elsewhere(this.#wanted)), this.#message, null)
  }

  /** Once: what is lost again is told. */
  readonly #anew = async (): Promise<void> => {
    const lease = await this.#acquire(elsewhere(this.#wanted))
    const { replay } = this.#exchange.route.provider!.dialect.websocket!.turns!
    const message = this.#memory.conversation!.anew(replay!, this.#message, this.#wanting.spec.upstream)
    countReplay(this.#exchange, this.#attempt.result)
    this.#send(lease, message, null)
  }

  #acquire(asked: Asked): Promise<Lease> {
    return this.#pool.acquire(this.#wanting.spec, { ...asked, signal: this.#exchange.signal })
  }

  #send(lease: Lease, message: Buffer, recovery: Parameters<WsAttempt['begin']>[2]): void {
    const { route, gateway } = this.#exchange
    const { turns, keptHeaders = [] } = route.provider!.dialect.websocket!
    const { conversation, kept } = this.#memory
    this.#memory.lent(lease, this.#wanting)
    for (const name of keptHeaders) kept[name] = lease.headers[name] ?? kept[name]
    const { stays, continued, spec } = this.#wanting
    // Of a conversation that is begun anew too: what was said before is known, and need not be remembered twice.
    if (stays && turns!.replay)
      conversation?.asks(turns!.replay, this.#message, continued, spec.upstream, gateway.config.settings.limits.replay)
    else conversation?.passes()
    this.#attempt.begin(lease, message, recovery)
  }

  #run(renew: () => Promise<void>): void {
    void renew().catch((error: unknown) => this.refused(error))
  }
}

/** On any other connection than the one that was wanted. */
function elsewhere({ prefer: _gone, force: _only, ...asked }: Asked): Asked {
  return asked
}

/** An upstream that answers the upgrade as a server would that knows nothing of it. */
function isWithout(error: unknown): boolean {
  return error instanceof UpgradeRefused && (error.status < 400 || without.has(error.status))
}
const without = new Set([404, 405, 426, 501])

/** As many connections as may be are in use. */
function isTaken(error: unknown): boolean {
  return error instanceof WsError && taken.has(error.code)
}
const taken = new Set<WsErrorCode>(['QUEUE_FULL', 'ACQUIRE_TIMEOUT', 'TOO_MANY_LANES'])

function laneOf(
  { upstream }: LiveExchange,
  outgoing: Outgoing,
  target: Target,
  websocket: WebSocketDialect,
  { kept }: Continuity,
): Pick<Wanting, 'spec' | 'own'> {
  const headers: Headers = {}
  let own: Headers | undefined
  for (const name in outgoing.headers) {
    const value = outgoing.headers[name]
    if (value === undefined || ofOneRequest.test(name)) continue
    if (websocket.ownHeaders?.includes(name)) (own ??= {})[name] = value
    else headers[name] = value
  }
  for (const name in kept) if (kept[name] !== undefined) own = { [name]: kept[name], ...own }
  websocket.handshake?.(headers)
  const url = target.websockets.url(target.pathOf(outgoing.path) + outgoing.query)
  const { dial, way } = target.websockets
  const credential = upstream!.key?.reveal() ?? String(headers.authorization ?? '')
  const { limits } = target.websockets
  return { own, spec: laneSpec({ upstream: upstream!.name, url, dial, way, credential, headers, limits }) }
}

/** Headers that say something of one request, not of a connection. */
const ofOneRequest =
  /^(?:accept|accept-encoding|content-.*|cookie|origin|referer|priority|pragma|cache-control|range|if-.*|sec-.*|idempotency-key|x-request-id|x-client-request-id|x-stainless-.*|traceparent|tracestate|baggage|b3|x-b3-.*|x-amzn-trace-id|x-cloud-trace-context|x-real-ip|x-forwarded-.*|forwarded|via)$/
