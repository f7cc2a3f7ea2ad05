/** WebSocket clients, as a listener knows them before there is one: what serves them is loaded for the first. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Gateway } from './gateway.ts'
import { ReplayBudget } from './turn-conversation.ts'
import { SocketBook } from './websocket-book.ts'
import type { Upgrade } from './websocket-upgrade.ts'
import type { ClientSockets } from './websocket.ts'

/**
 * Whether a request asks for WebSocket. Other upgrades (h2c) are no concern of ours: the request is served as it is. HTTP/1.0 has none
 * (RFC 9110 §7.8).
 */
export function asksForWebSocket({ method, headers, httpVersionMinor }: IncomingMessage): boolean {
  return method === 'GET' && httpVersionMinor > 0 && headers.upgrade?.toLowerCase() === 'websocket'
}

export class WebSocketClients {
  readonly book = new SocketBook()
  /** What is remembered of conversations that are stored nowhere. */
  readonly remembered = new ReplayBudget()
  readonly #current: () => Gateway
  #sockets: ClientSockets | null = null
  #isDraining = false
  #isOver = false

  /** `current` tells the gateway that exchanges enter. */
  constructor(current: () => Gateway) {
    this.#current = current
  }

  /** An upgrade is the far side of its exchange. The first of a process waits until the rest of this is loaded. */
  meet(request: IncomingMessage, socket: Socket, head: Buffer, met: (upgrade: Upgrade) => void): void {
    if (this.#sockets) return met(this.#sockets.meet(request, socket, head))
    // Node has taken its own listeners away.
    const broke = () => socket.destroy()
    socket.on('error', broke)
    const loaded = this.#load().then((sockets) => {
      if (this.#isOver) socket.destroy()
      if (socket.destroyed) return
      met(sockets.meet(request, socket, head))
      socket.off('error', broke)
    })
    // A defect: told as every promise that failed is.
    void loaded.catch((error: unknown) => {
      socket.destroy()
      throw error
    })
  }

  /** Takes no more sockets, and ends those that carry turns, each at the end of its turn. */
  drain(): void {
    this.#isDraining = true
    this.#sockets?.drain()
  }

  /** Breaks what is still open. */
  terminate(): void {
    this.#isOver = true
    this.#sockets?.terminate()
  }

  async #load(): Promise<ClientSockets> {
    const { ClientSockets } = await import('./websocket.ts')
    this.#sockets ??= new ClientSockets(this.#current, this.book, this.remembered)
    if (this.#isDraining) this.#sockets.drain()
    return this.#sockets
  }
}
