/** A turn asked over the pool: on the connection that its session used last, or on the one that is the session's own. */
import { overlayOf } from './body/body.ts'
import type { LiveExchange } from './exchange.ts'
import type { Headers, Outgoing } from './plugin.ts'
import type { WebSocketDialect } from './provider.ts'
import type { Answering, Watch } from './upstream/attempt.ts'
import type { HeldPool, Target } from './upstream/upstreams.ts'
import { WsAttempt } from './upstream/ws-attempt.ts'
import { UpgradeRefused } from './upstream/ws-errors.ts'
import { laneSpec, type LaneSpec } from './upstream/ws-lane-spec.ts'
import type { Lease } from './upstream/ws-member.ts'
import type { WsPool } from './upstream/ws-pool.ts'

/** For how long an upstream that refused the upgrade as a whole is asked by HTTP, in ms. */
const absence = 30_000

/** What the turns of one socket have in common. */
export class TurnMemory {
  readonly id: string
  /** The connection that served last. */
  last: string | undefined = undefined
  /** Whether a connection is this session's own. */
  isPinned = false
  /** What upstreams have said in a handshake, for those that follow. */
  readonly kept: Headers = {}
  readonly #held = new Map<WsPool, HeldPool>()
  #isOver = false

  constructor(id: string) {
    this.id = id
  }

  /** Keeps the pool open, whatever becomes of gateways, until the socket is closed. */
  keep(held: HeldPool): WsPool {
    if (this.#isOver || this.#held.has(held.pool)) held.release()
    else this.#held.set(held.pool, held)
    return held.pool
  }

  end(): void {
    this.#isOver = true
    for (const held of this.#held.values()) {
      held.pool.endSession(this.id)
      held.release()
    }
    this.#held.clear()
  }
}

/** Null: this upstream has no WebSocket, ask by HTTP. */
export async function askOverWebSocket(
  exchange: LiveExchange,
  outgoing: Outgoing,
  target: Target,
  watch: Watch,
  memory: TurnMemory,
): Promise<Answering | null> {
  const { dialect } = exchange.route.provider!
  const websocket = dialect.websocket!
  const turns = websocket.turns!
  const attempt = new WsAttempt({ dialect, turns, watch, timeouts: exchange.gateway.config.settings.timeouts })
  exchange.underway = attempt
  const pool = memory.keep(await target.websockets.hold())
  const { body } = outgoing
  const stays = turns.staysOnConnection(body)
  const { own, spec } = laneOf(exchange, outgoing, target, websocket, memory)
  // Of its own: where this comes to nothing, the request by HTTP knows nothing of it.
  const asked = overlayOf(body)
  turns.asMessage?.(asked, exchange.headers)
  const message = asked.bytes
  const force = stays && memory.isPinned && turns.continues(body) !== null
  const acquire = (prefer?: string): Promise<Lease> =>
    pool.acquire(spec, {
      signal: exchange.signal,
      session: { id: memory.id, headers: own },
      ...(prefer === undefined ? {} : { prefer }),
      ...(force ? { force } : {}),
    })
  const begin = (lease: Lease, again: (() => void) | null): void => {
    if (stays) {
      lease.pin(memory.id)
      memory.isPinned = true
    }
    memory.last = lease.id
    for (const name of websocket.keptHeaders ?? []) memory.kept[name] = lease.headers[name] ?? memory.kept[name]
    attempt.begin(lease, message, again)
  }
  const refused = (error: unknown) => attempt.refused(error instanceof Error ? error : new Error(String(error)))
  // A connection that was idle may have been closed in the very moment of the sending: that was no attempt.
  const again = force ? null : () => void acquire().then((lease) => begin(lease, null), refused)
  try {
    begin(await acquire(memory.last), again)
  } catch (error) {
    if (isWithout(error)) {
      target.websockets.absentUntil = performance.now() + absence
      return null
    }
    refused(error)
  }
  return attempt
}

/** An upstream that answers the upgrade as a server would that knows nothing of it. */
function isWithout(error: unknown): boolean {
  return error instanceof UpgradeRefused && (error.status < 400 || without.has(error.status))
}
const without = new Set([404, 405, 426, 501])

function laneOf(
  { upstream }: LiveExchange,
  outgoing: Outgoing,
  target: Target,
  websocket: WebSocketDialect,
  { kept }: TurnMemory,
): { readonly spec: LaneSpec; readonly own: Headers | undefined } {
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
  return { own, spec: laneSpec({ upstream: upstream!.name, url, dial, way, credential, headers }) }
}

/** Headers that say something of one request, not of a connection. */
const ofOneRequest =
  /^(?:accept|accept-encoding|content-.*|cookie|origin|pragma|cache-control|sec-.*|x-request-id|x-stainless-.*|traceparent|tracestate|x-forwarded-.*|forwarded|via)$/
