/** WebSocket clients: every socket that came of an upgrade, from the handshake's answer to its end. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocketServer, type ServerOptions } from 'ws'
import type { Settings } from './config/schema.ts'
import type { LiveExchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { http } from './http.ts'
import type { AnswerHead, Headers } from './plugin.ts'
import type { ReplayBudget } from './turn-conversation.ts'
import { TurnSocket } from './turn-socket.ts'
import { systemClock } from './upstream/ws-clock.ts'
import { WsConnection } from './upstream/ws-connection.ts'
import { acceptable, given as compression } from './upstream/ws-deflate.ts'
import type { SocketBook } from './websocket-book.ts'
import { Upgrade } from './websocket-upgrade.ts'

/** How long a client may take to answer a close frame, in ms. */
const closeTimeout = 2000

/** All WebSocket clients of a listener. */
export class ClientSockets {
  readonly #current: () => Gateway
  readonly #open = new Set<WsConnection>()
  readonly #turns = new Set<TurnSocket>()
  /** By the settings of the gateway that accepts: after a reload new connections are as the new ones say. */
  readonly #servers = new WeakMap<Settings['websocket'], WebSocketServer>()
  readonly book: SocketBook
  /** What is remembered of conversations that are stored nowhere. */
  readonly #remembered: ReplayBudget
  #sweep: NodeJS.Timeout | null = null
  isDraining = false

  /** `current` tells the gateway that exchanges enter. */
  constructor(current: () => Gateway, book: SocketBook, remembered: ReplayBudget) {
    this.#current = current
    this.book = book
    this.#remembered = remembered
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
    const settings = exchange.gateway.config.settings.websocket
    if (settings.compress_clients)
      request.headers['sec-websocket-extensions'] = acceptable(request.headers['sec-websocket-extensions'])
    switching.set(request, { protocol, lines: linesOf(answer.headers) })
    this.#serverOf(settings).handleUpgrade(request, socket, head, (ws) => {
      response.detachSocket(socket)
      connection = new WsConnection(exchange.id, ws, socket, request.headers, systemClock)
    })
    if (connection) exchange.status = 101
    return connection
  }

  takeTurns(exchange: LiveExchange, connection: WsConnection): void {
    const socket = new TurnSocket(connection, exchange, this.#current, this.#remembered, {
      onTurn: () => void this.book.turns++,
      onEnd: () => {
        this.#turns.delete(socket)
        this.forget(connection)
      },
    })
    this.#turns.add(socket)
    this.book.enter('turns', connection)
    this.watch(connection)
    if (this.isDraining) socket.drain()
  }

  /** From here on it is looked after: one whose other end has gone without a word is found out. */
  watch(connection: WsConnection): void {
    this.#open.add(connection)
    this.#sweep ??= this.#nextSweep()
  }

  forget(connection: WsConnection): void {
    this.book.leave(connection)
    this.#open.delete(connection)
    if (this.#open.size > 0 || !this.#sweep) return
    clearTimeout(this.#sweep)
    this.#sweep = null
  }

  #nextSweep(): NodeJS.Timeout {
    const { ping } = this.#current().config.settings.websocket
    return setTimeout(() => {
      this.#sweep = this.#nextSweep()
      for (const open of this.#open) if (!open.probe()) open.terminate()
    }, ping).unref()
  }

  #serverOf(settings: Settings['websocket']): WebSocketServer {
    const known = this.#servers.get(settings)
    if (known) return known
    // closeTimeout came to ws after its types were written.
    const given: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: settings.compress_clients ? compression : false,
      maxPayload: settings.message,
      closeTimeout,
      handleProtocols: (_offered, request) => switching.get(request)?.protocol || false,
    }
    const server = new WebSocketServer(given)
    server.on('headers', (lines, request) => lines.push(...(switching.get(request)?.lines ?? [])))
    this.#servers.set(settings, server)
    return server
  }
}

/** What the answer to a handshake under way says. */
const switching = new WeakMap<IncomingMessage, { readonly protocol: string; readonly lines: readonly string[] }>()

/** What ws writes as it is given: a header that could not be sent is left out. */
function linesOf(headers: Headers): string[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().flatMap((one) => {
      try {
        http.validateHeaderName(name)
        http.validateHeaderValue(name, one)
        return `${name}: ${one}`
      } catch {
        return []
      }
    }),
  )
}
