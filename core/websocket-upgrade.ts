/** An upgrade as the far side of its exchange: answered as any request until it is accepted; a session or a tunnel from then on. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Answer, Switch } from './ask.ts'
import { emptyBody } from './body/body.ts'
import type { FarSide } from './client.ts'
import { sendReply } from './deliver.ts'
import { fault, Refused } from './errors.ts'
import type { LiveExchange } from './exchange.ts'
import { http } from './http.ts'
import type { Body, Headers, Outgoing } from './plugin.ts'
import { refusalOfNetwork, render } from './refusal.ts'
import { SessionRelay } from './session.ts'
import { Tunnel } from './tunnel.ts'
import type { Answering } from './upstream/attempt.ts'
import type { Target } from './upstream/upstreams.ts'
import { SessionAttempt } from './upstream/ws-attempt-session.ts'
import type { WsConnection } from './upstream/ws-connection.ts'
import type { ClientSockets } from './websocket.ts'

export class Upgrade implements FarSide {
  readonly kind = 'session'
  readonly method = 'GET'
  readonly closed = null
  readonly headers: Headers
  readonly request: IncomingMessage
  readonly socket: Socket
  head: Buffer
  /** For as long as the upgrade is not accepted. */
  readonly response: ServerResponse
  readonly #sockets: ClientSockets

  constructor(sockets: ClientSockets, request: IncomingMessage, socket: Socket, head: Buffer) {
    this.#sockets = sockets
    this.headers = request.headers
    this.request = request
    this.socket = socket
    this.head = head
    this.response = new http.ServerResponse(request)
    this.response.shouldKeepAlive = false
    socket.on('error', () => socket.destroy())
  }

  /** The requests before it on its connection are answered: it can be, too. */
  begin(): void {
    this.response.assignSocket(this.socket)
    this.response.on('finish', () => this.socket.destroySoon())
  }

  take({ facts, route, query }: LiveExchange): Body | Switch {
    if (this.#sockets.isDraining) throw new Refused(fault('DRAINING'))
    if (this.headers['sec-websocket-version'] !== '13') {
      const cure = { upgrade: 'websocket', 'sec-websocket-version': '13' }
      throw new Refused(fault('UPGRADE_REQUIRED', 'of its versions this gateway speaks 13', cure))
    }
    if (!isHandshake(this.headers)) throw new Refused(fault('BAD_REQUEST', 'it is no WebSocket handshake'))
    const spoken = route.provider!.dialect.websocket
    if (facts.claim?.websocket === 'turns') {
      if (!spoken?.turns) throw new Refused(fault('NO_WEBSOCKET'))
      return { kind: 'switch' }
    }
    if (spoken?.modelParameter && facts.model === null) {
      facts.model = new URLSearchParams(query).get(spoken.modelParameter)
    }
    return emptyBody
  }

  async ask(exchange: LiveExchange, outgoing: Outgoing, target: Target): Promise<Answering> {
    const path = target.pathOf(outgoing.path) + outgoing.query
    const { dialect } = exchange.route.provider!
    if (exchange.facts.claim?.websocket !== 'session' || exchange.upstream!.websocket === false) {
      const tunnel = new Tunnel(dialect, { path, headers: outgoing.headers })
      exchange.underway = tunnel
      if (exchange.upstream!.websocket === false) tunnel.onError(new Refused(fault('NO_WEBSOCKET')))
      else target.connections.tunnel(this.request, exchange.response, this.#takeHead(), tunnel)
      return tunnel
    }
    dialect.websocket?.handshake?.(outgoing.headers)
    const { timeouts, websocket } = exchange.gateway.config.settings
    const attempt = new SessionAttempt(dialect, {
      id: exchange.id,
      url: target.websockets.url(path),
      dial: target.websockets.dial,
      headers: outgoing.headers,
      protocols: offered(outgoing.headers),
      timeout: timeouts.connect,
      maxPayload: websocket.message,
      isCompressed: websocket.compress_upstreams,
    })
    exchange.underway = attempt
    return attempt
  }

  async deliver(exchange: LiveExchange, answer: Answer | null): Promise<void> {
    const { response } = exchange
    if (answer?.kind === 'switch') return this.#takeTurns(exchange)
    if (answer?.kind === 'answer' && answer.attempt instanceof Tunnel && answer.attempt.hasBegun) {
      exchange.status = 101
      const { book } = this.#sockets
      const socket = { heard: 0, said: 0 }
      book.enter('tunnel', socket)
      return answer.attempt.ended.then(() => book.leave(socket))
    }
    if (answer?.kind === 'answer' && answer.attempt instanceof SessionAttempt && answer.attempt.connection) {
      return this.#takeSession(exchange, answer.attempt.connection)
    }
    if (answer === null || response.destroyed) this.cutOff()
    else if (answer.kind === 'reply') sendReply(exchange, answer)
    else if (answer.kind === 'refusal') sendReply(exchange, render(exchange, answer))
    else if (answer.result.kind === 'failure') {
      exchange.error ??= answer.result.error
      sendReply(exchange, render(exchange, refusalOfNetwork(answer.result.error)))
    } else {
      const { status, headers, body } = answer.result
      sendReply(exchange, { kind: 'reply', status, headers: endToEnd(headers), body: body ?? nothing })
    }
    await exchange.closed
  }

  /** What came behind the handshake goes into the socket again, once: another upstream finds it there. */
  #takeHead(): Buffer {
    const { head } = this
    this.head = nothing
    return head
  }

  cutOff(): void {
    this.socket.destroy()
  }

  /** Each turn is an exchange of its own from here on: this one has ended. */
  #takeTurns(exchange: LiveExchange): void {
    const connection = this.#sockets.accept(exchange, this, chosenOf(this.headers))
    if (connection) this.#sockets.takeTurns(exchange, connection)
    else this.cutOff()
  }

  async #takeSession(exchange: LiveExchange, upstream: WsConnection): Promise<void> {
    const client = this.#sockets.accept(exchange, this, upstream.protocol)
    if (!client) {
      upstream.terminate()
      return this.cutOff()
    }
    this.#sockets.book.enter('session', client)
    this.#sockets.watch(client)
    this.#sockets.watch(upstream)
    const session = new SessionRelay(exchange, client, upstream)
    exchange.underway = session
    if (exchange.gone) session.abort(exchange.gone)
    await session.ended
    this.#sockets.forget(client)
    this.#sockets.forget(upstream)
  }
}

function offered(headers: Headers): string[] {
  const names = headers['sec-websocket-protocol']
  return names === undefined
    ? []
    : String(names)
        .split(',')
        .map((name) => name.trim())
}

/** What ws would refuse without asking anybody (RFC 6455 §4.2.1). */
function isHandshake(headers: Headers): boolean {
  const names = offered(headers)
  return (
    /^[+/0-9A-Za-z]{22}==$/.test(String(headers['sec-websocket-key'])) &&
    new Set(names).size === names.length &&
    names.every((name) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name))
  )
}

/** The first subprotocol that is offered, but for those in which browsers send keys; none where none is offered. */
function chosenOf(headers: Headers): string {
  return offered(headers).find((name) => !name.includes('key')) ?? ''
}

/** The headers of an upstream's refusal that are for the client: its length is told anew. */
function endToEnd(headers: Headers): Headers {
  const sent: Headers = {}
  for (const name in headers) if (!ofTheHop.has(name)) sent[name] = headers[name]
  return sent
}
const ofTheHop = new Set(['connection', 'upgrade', 'keep-alive', 'transfer-encoding', 'content-length', 'trailer'])

const nothing = Buffer.alloc(0)
