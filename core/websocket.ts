/** WebSocket clients: every socket that came of an upgrade, from the handshake's answer to its end. */
import { validateHeaderName, validateHeaderValue, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocketServer, type ServerOptions } from 'ws'
import type { LiveExchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import type { AnswerHead, Headers } from './plugin.ts'
import { TurnSocket } from './turn-socket.ts'
import { systemClock } from './upstream/ws-clock.ts'
import { WsConnection } from './upstream/ws-connection.ts'
import { Upgrade } from './websocket-upgrade.ts'

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
  /** In bytes, on either side of a session. */
  readonly longestMessage = longestMessage

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

  /** Breaks what is still open. */
  terminate(): void {
    for (const open of this.#open) open.terminate()
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
