/** The connections of clients: one request after the other, each in time, and how a connection is ended with a word. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Settings } from './config/schema.ts'
import { mostConnections } from './overload.ts'
import { refuse, type Refusal } from './reply.ts'
import { plainAnswer, refusalOfParser } from './strict.ts'

type Limits = Settings['limits']

/** Requests that may wait behind the one that is being answered; the connection ends with the last of them. */
const mostWaiting = 32

/** After its last answer a connection is read on this long, in ms: what is unread when it is closed would reset it. */
const lingering = 2000

/** A body has to make this much way, in bytes, in each `limits.body_time`. */
const leastProgress = 4096

/** How often slow connections are looked for, in ms. */
const sweepInterval = 500

/** For all clients together, where `limits.all_connections` is absent. */
const ofProcess = mostConnections()

/** What is known of a connection. */
interface Client {
  readonly socket: Socket
  readonly address: string
  /** The answer that is being given, or waits for its turn. */
  current: ServerResponse | null
  /** Requests that wait for those before them. */
  waiting: number
  /** No further request is taken: whatever follows is never read as one (RFC 9112 §9.6). */
  isLast: boolean
  /** It has been told no, once and for all. */
  isRefused: boolean
  /** The last answer was given before its request had come whole. */
  isAhead: boolean
  /** Bytes that had come, and when, the last time a body had made way. */
  read: number
  readAt: number
  /** Bytes that had left, and when, the last time any did. */
  sent: number
  sentAt: number
}

export class Clients {
  readonly #open = new Map<Socket, Client>()
  readonly #byAddress = new Map<string, number>()
  #connections = 0
  readonly #limits: () => Limits
  readonly #isTrusted: (address: string) => boolean
  readonly #sweep: NodeJS.Timeout

  /** `limits` are asked for each time, because a reload changes them; trusted addresses speak for many clients. */
  constructor(limits: () => Limits, isTrusted: (address: string) => boolean) {
    this.#limits = limits
    this.#isTrusted = isTrusted
    this.#sweep = setInterval(() => this.#endSlow(performance.now()), sweepInterval).unref()
  }

  /** A connection has come. It is turned away where its address has as many as it may. */
  enter(socket: Socket): void {
    const whose = this.#tooMany(socket)
    if (whose === null) return
    this.end(socket, refuse(503, 'TOO_MANY_CONNECTIONS', `${whose} has too many connections`, { 'retry-after': '1' }))
  }

  /** A connection has come that has TLS to do first. Where there are as many as there may be, it is cut without a word. */
  knock(socket: Socket): void {
    if (this.#tooMany(socket) !== null) socket.destroy()
  }

  /**
   * A request has come. `take` is called when those before it on its connection have been answered, at once in the usual case;
   * never where the connection ends with one of them.
   */
  arrive(request: IncomingMessage, response: ServerResponse, take: () => void): void {
    const client = this.#of(request.socket)
    if (client.isLast) return
    // What follows an Upgrade that is not taken up is in nobody's protocol.
    client.isLast = !response.shouldKeepAlive || request.headers.upgrade !== undefined
    const before = client.current
    client.current = response
    client.isAhead = false
    client.read = client.socket.bytesRead
    client.readAt = performance.now()
    response.on('close', () => {
      client.isAhead = !request.complete
      if (client.current === response) client.current = null
    })
    if (before !== null && ++client.waiting === mostWaiting) client.isLast = true
    if (client.isLast) response.shouldKeepAlive = false
    if (before === null) return take()
    before.on('close', () => {
      client.waiting--
      if (!client.socket.destroyed && client.socket.writable) take()
    })
  }

  /** Answers a connection and ends it; what the client still sends is read for a while and thrown away. */
  end(socket: Socket, refusal: Refusal, request: IncomingMessage | null = null): void {
    const client = this.#of(socket)
    if (client.isRefused) return
    client.isLast = true
    client.isRefused = true
    if (!socket.writable) return void socket.destroy()
    socket.end(plainAnswer(refusal, request?.method))
    request?.resume()
    const timer = setTimeout(() => socket.destroy(), lingering).unref()
    socket.on('close', () => clearTimeout(timer))
  }

  /** Node's parser gave the connection up: it is told why, behind the answers that it is still owed. */
  broke(error: NodeJS.ErrnoException, socket: Socket): void {
    const client = this.#of(socket)
    const refusal = refusalOfParser(error)
    const { current } = client
    if (refusal === null || client.isAhead) return void socket.destroy()
    if (client.isRefused) return
    if (current === null) {
      if (!client.isLast) this.end(socket, refusal)
      return
    }
    if (current.req.complete) {
      if (client.isLast) return
      client.isLast = true
      current.on('close', () => this.end(socket, refusal))
    } else if (current.headersSent || client.waiting > 0) socket.destroy()
    else this.end(socket, refusal)
  }

  close(): void {
    clearInterval(this.#sweep)
  }

  #of(socket: Socket): Client {
    const known = this.#open.get(socket)
    if (known) return known
    const address = socket.remoteAddress ?? ''
    const now = performance.now()
    const client: Client = {
      socket,
      address,
      current: null,
      waiting: 0,
      isLast: false,
      isRefused: false,
      isAhead: false,
      read: 0,
      readAt: now,
      sent: 0,
      sentAt: now,
    }
    this.#open.set(socket, client)
    socket.on('close', () => this.#open.delete(socket))
    return client
  }

  /** Counts a connection, once, as long as it is open. */
  /** Counts it; says whose limit it is that it exceeds. */
  #tooMany(socket: Socket): string | null {
    const address = socket.remoteAddress ?? ''
    const { connections, all_connections: all = ofProcess } = this.#limits()
    this.#connections++
    const count = (this.#byAddress.get(address) ?? 0) + 1
    this.#byAddress.set(address, count)
    socket.on('close', () => {
      this.#connections--
      const left = this.#byAddress.get(address)! - 1
      if (left > 0) this.#byAddress.set(address, left)
      else this.#byAddress.delete(address)
    })
    if (this.#connections > all) return 'This gateway'
    // A Unix socket has no addresses.
    const isWithin = connections === undefined || count <= connections || address === '' || this.#isTrusted(address)
    return isWithin ? null : 'This address'
  }

  #endSlow(now: number): void {
    const limits = this.#limits()
    for (const client of this.#open.values()) {
      if (client.current && isSlowToSend(client, client.current.req, now, limits)) this.#endSlowBody(client)
      else if (isSlowToRead(client, now, limits)) client.socket.destroy()
    }
  }

  #endSlowBody({ socket, current, waiting }: Client): void {
    if (!current?.headersSent && waiting === 0 && socket.writable)
      socket.end(plainAnswer(refuse(408, 'BODY_TIMEOUT', 'The request body did not come in time')))
    socket.destroySoon()
  }
}

/** Only a silence of the client counts: a body that waits in our own buffer waits for the upstream. */
function isSlowToSend(client: Client, request: IncomingMessage, now: number, { body_time: most }: Limits): boolean {
  const { bytesRead } = client.socket
  if (request.complete || request.readableLength > 0 || bytesRead - client.read >= leastProgress) {
    client.read = bytesRead
    client.readAt = now
  }
  return now - client.readAt >= most
}

/** Nothing of what waits for the client has left. */
function isSlowToRead(client: Client, now: number, { read_time: most }: Limits): boolean {
  const { writableLength, bytesWritten } = client.socket
  const sent = bytesWritten - writableLength
  if (writableLength === 0 || sent !== client.sent) {
    client.sent = sent
    client.sentAt = now
  }
  return now - client.sentAt >= most
}
