/** WebSocket clients: the upgrade as an exchange, and every socket that came of one. */
import { ServerResponse, validateHeaderName, validateHeaderValue, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocketServer, type ServerOptions } from 'ws'
import type { Answer, Switch } from './ask.ts'
import { emptyBody } from './body/body.ts'
import type { FarSide } from './client.ts'
import { sendReply } from './deliver.ts'
import { fault, Refused } from './errors.ts'
import type { LiveExchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import type { AnswerHead, Body, Headers, Outgoing } from './plugin.ts'
import { refusalOfNetwork, render } from './refusal.ts'
import { SessionRelay } from './session.ts'
import { TurnSocket } from './turn-socket.ts'
import { Tunnel } from './tunnel.ts'
import type { Answering } from './upstream/attempt.ts'
import type { Target } from './upstream/upstreams.ts'
import { SessionAttempt } from './upstream/ws-attempt-session.ts'
import { systemClock } from './upstream/ws-clock.ts'
import { WsConnection } from './upstream/ws-connection.ts'

/** Bytes of the longest message. */
const longestMessage = 16 * 1024 * 1024

/** Between two looks for clients that are gone without a word, in ms: one that is silent at two of them is cut off. */
const pingEvery = 30_000

/** How long a client may take to answer a close frame, in ms. */
const closeTimeout = 2000

/** Whether a request asks for WebSocket. Other upgrades (h2c) are no concern of ours: the request is served as it is. */
export function asksForWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}

/** All WebSocket clients of a listener. */
export class ClientSockets {
  readonly #current: () => Gateway
  readonly #open = new Set<WsConnection>()
  readonly #turns = new Set<TurnSocket>()
  readonly #server: WebSocketServer
  readonly #pingEvery: number
  #sweep: NodeJS.Timeout | null = null
  isDraining = false

  /** `current` tells the gateway that exchanges enter. */
  constructor(current: () => Gateway, options: { readonly pingEvery?: number } = {}) {
    this.#current = current
    this.#pingEvery = options.pingEvery ?? pingEvery
    // closeTimeout came to ws after its types were written.
    const given: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: longestMessage,
      closeTimeout,
      handleProtocols: (_offered, request) => switching.get(request)?.protocol || false,
    }
    this.#server = new WebSocketServer(given)
    this.#server.on('headers', (lines, request) => lines.push(...(switching.get(request)?.lines ?? [])))
  }

  /** An upgrade: the far side of its exchange. */
  meet(request: IncomingMessage, socket: Socket, head: Buffer): Upgrade {
    return new Upgrade(this, request, socket, head)
  }

  /** Takes no more sockets, and ends those that carry turns, each at the end of its turn. */
  drain(): void {
    this.isDraining = true
    for (const socket of this.#turns) socket.drain()
  }

  /** Switches the protocol. Null where the client has gone meanwhile. */
  accept(exchange: LiveExchange, { request, socket, head }: Upgrade, protocol: string): WsConnection | null {
    const { response } = exchange
    const answer: AnswerHead = {
      status: 101,
      headers: { 'x-request-id': exchange.id, 'x-postern-exchange': exchange.id },
      body: null,
    }
    exchange.route.onResponse?.(exchange, answer)
    let connection: WsConnection | null = null
    switching.set(request, { protocol, lines: linesOf(answer.headers) })
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      response.detachSocket(socket)
      connection = new WsConnection(exchange.id, ws, socket, request.headers, systemClock)
    })
    if (connection) exchange.status = 101
    return connection
  }

  takeTurns(exchange: LiveExchange, connection: WsConnection): void {
    const socket = new TurnSocket(connection, exchange, this.#current, () => {
      this.#turns.delete(socket)
      this.forget(connection)
    })
    this.#turns.add(socket)
    this.watch(connection)
    if (this.isDraining) socket.drain()
  }

  /** From here on it is looked after: a client that has gone without a word is found out. */
  watch(connection: WsConnection): void {
    this.#open.add(connection)
    this.#sweep ??= setInterval(() => {
      for (const open of this.#open) if (!open.probe()) open.terminate()
    }, this.#pingEvery).unref()
  }

  forget(connection: WsConnection): void {
    this.#open.delete(connection)
    if (this.#open.size > 0 || !this.#sweep) return
    clearInterval(this.#sweep)
    this.#sweep = null
  }
}

/** What the answer to a handshake under way says. */
const switching = new WeakMap<IncomingMessage, { readonly protocol: string; readonly lines: readonly string[] }>()

/** What ws writes as it is given: a header that could not be sent is left out. */
function linesOf(headers: Headers): string[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().flatMap((one) => {
      try {
        validateHeaderName(name)
        validateHeaderValue(name, one)
        return `${name}: ${one}`
      } catch {
        return []
      }
    }),
  )
}

/** The far side of an upgrade. */
export class Upgrade implements FarSide {
  readonly kind = 'session'
  readonly method = 'GET'
  readonly closed = null
  readonly headers: Headers
  readonly request: IncomingMessage
  readonly socket: Socket
  readonly head: Buffer
  /** For as long as the upgrade is not accepted. */
  readonly response: ServerResponse
  readonly #sockets: ClientSockets

  constructor(sockets: ClientSockets, request: IncomingMessage, socket: Socket, head: Buffer) {
    this.#sockets = sockets
    this.headers = request.headers
    this.request = request
    this.socket = socket
    this.head = head
    this.response = new ServerResponse(request)
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
    if (!isHandshake(this.headers)) {
      throw new Refused(fault('BAD_REQUEST', 'it is no WebSocket handshake', { 'sec-websocket-version': '13' }))
    }
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
    if (exchange.facts.claim?.websocket !== 'session') {
      const tunnel = new Tunnel(dialect, { path, headers: outgoing.headers })
      exchange.underway = tunnel
      target.connections.tunnel(this.request, exchange.response, this.head, tunnel)
      return tunnel
    }
    dialect.websocket?.handshake?.(outgoing.headers)
    const attempt = new SessionAttempt(dialect, {
      id: exchange.id,
      url: target.websockets.url(path),
      headers: outgoing.headers,
      protocols: offered(outgoing.headers),
      timeout: exchange.gateway.config.settings.timeouts.connect,
      maxPayload: longestMessage,
    })
    exchange.underway = attempt
    return attempt
  }

  async deliver(exchange: LiveExchange, answer: Answer | null): Promise<void> {
    const { response } = exchange
    if (answer?.kind === 'switch') return this.#takeTurns(exchange)
    if (answer?.kind === 'answer' && answer.attempt instanceof Tunnel && answer.attempt.hasBegun) {
      exchange.status = 101
      return answer.attempt.ended
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
      sendReply(exchange, { kind: 'reply', status, headers: endToEnd(headers), body: body ?? Buffer.alloc(0) })
    }
    await exchange.closed
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
  const names = String(headers['sec-websocket-protocol'] ?? '').split(',')
  return names.map((name) => name.trim()).filter((name) => name !== '')
}

/** What ws would refuse without asking anybody (RFC 6455 §4.2.1). */
function isHandshake(headers: Headers): boolean {
  if (headers['sec-websocket-version'] !== '13' || !/^[+/0-9A-Za-z]{22}==$/.test(String(headers['sec-websocket-key'])))
    return false
  const names = offered(headers)
  if (headers['sec-websocket-protocol'] !== undefined && names.length === 0) return false
  return new Set(names).size === names.length && names.every((name) => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name))
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
