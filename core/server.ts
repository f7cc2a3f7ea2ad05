/** Sockets in. Strict HTTP, the one pointer that a reload moves, and the drain. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { addressSet, clientAddress, type AddressSet } from './address.ts'
import { Clients } from './clients.ts'
import type { FarSide } from './client.ts'
import { DrainEnded, fault } from './errors.ts'
import type { Gateway } from './gateway.ts'
import { handle } from './handle.ts'
import { Listener } from './listener.ts'
import { refuse } from './reply.ts'
import { methodRefused, refusalOfHead } from './strict.ts'
import { parseTarget } from './target.ts'
import type { SocketBook } from './websocket-book.ts'
import { asksForWebSocket, WebSocketClients } from './websocket-clients.ts'

/** How long an exchange that was ended has to tell its client, in ms, and a connection that was broken to be gone. */
const leaving = 1000

/** The public listener of a process. */
export class Server {
  readonly #listener: Listener
  readonly #http: HttpServer
  readonly #clients: Clients
  #gateway: Gateway
  #trusted: AddressSet
  #draining = false
  readonly #sockets = new WebSocketClients(() => this.#gateway)

  constructor(gateway: Gateway) {
    this.#gateway = gateway
    this.#trusted = addressSet(gateway.config.settings.trusted_proxies)
    this.#clients = new Clients(
      () => this.#gateway.config.settings.limits,
      (address) => this.#trusted.has(address),
    )
    const { settings } = gateway.config
    const options = {
      // Bodies are watched by `Clients`: they may take as long as they need while they make some way.
      requestTimeout: 0,
      headersTimeout: settings.limits.head_time,
      connectionsCheckingInterval: 500,
      // Longer than the idle time of usual clients and load balancers (60 s), so that they close first.
      keepAliveTimeout: 75_000,
      maxHeaderSize: settings.limits.header,
      // `refusalOfHead` looks at Host itself.
      requireHostHeader: false,
      noDelay: true,
      shouldUpgradeCallback: asksForWebSocket,
    }
    this.#listener = new Listener(options, settings.tls)
    this.#http = this.#listener.http
    // Beyond its limit Node drops headers without a word, and those may be the ones that frame the body.
    this.#http.maxHeadersCount = 0
    // What has come and is not yet through its handshake could not be told anything.
    if (this.#listener.isSecure) this.#http.on('connection', (socket: Socket) => this.#clients.knock(socket))
    else this.#http.on('connection', (socket: Socket) => this.#clients.enter(socket))
    this.#http.on('request', (request, response) => this.#arrive(request, response))
    this.#http.on('checkContinue', (request, response) => this.#arrive(request, response))
    this.#http.on('checkExpectation', (request, response) => this.#arrive(request, response))
    this.#http.on('clientError', (error, socket) => this.#clients.broke(error, socket as Socket)) // an HTTP server has no other
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket as Socket, head)) // as above
    this.#http.on('connect', (_request, socket) => this.#refuseConnect(socket as Socket)) // as above
  }

  get gateway(): Gateway {
    return this.#gateway
  }

  /** Counts of the WebSockets of its clients. */
  get websockets(): SocketBook {
    return this.#sockets.book
  }

  /** Bytes of conversations that are remembered for WebSocket clients. */
  get remembered(): number {
    return this.#sockets.remembered.used
  }

  get isDraining(): boolean {
    return this.#draining
  }

  /** Begins to listen; resolves with the address, whose port matters where 0 was asked for. */
  listen(): Promise<string> {
    return this.#listener.listen(this.#gateway.config.settings.listen)
  }

  /** From now on exchanges enter this gateway. Returns the one before, which still has its own to finish. */
  replace(gateway: Gateway): Gateway {
    const before = this.#gateway
    this.#trusted = addressSet(gateway.config.settings.trusted_proxies)
    this.#gateway = gateway
    this.#http.headersTimeout = gateway.config.settings.limits.head_time
    this.#listener.renew(gateway.config.settings.tls)
    return before
  }

  /**
   * Takes no new connections; gives the exchanges that are under way `ms` to end, then ends them. Resolves when all have ended and
   * their connections are closed, two seconds after that at the latest: a plugin that does not come back keeps nothing else.
   */
  async drain(ms: number, retiring: ReadonlySet<Gateway>): Promise<void> {
    this.#draining = true
    this.#sockets.drain()
    let isClosed = false
    this.#http.close(() => (isClosed = true))
    const gateways = () => [this.#gateway, ...retiring]
    const over = Promise.withResolvers<void>()
    // Node closes connections that are idle now; those that become idle later, and those that never asked, are ours to close.
    const sweep = setInterval(() => {
      if (gateways().some(({ exchanges }) => exchanges.length > 0)) this.#http.closeIdleConnections()
      else if (isClosed) over.resolve()
      else this.#listener.closeAllConnections()
    }, 20)
    const late = new AbortController()
    const after = (wait: number) => sleep(wait, true, { signal: late.signal }).catch(() => false)
    const overdue = (async () => {
      if (!(await after(ms))) return
      for (const { exchanges } of gateways()) for (const exchange of exchanges) exchange.leave(new DrainEnded())
      if (!(await after(leaving))) return
      this.#listener.closeAllConnections()
      this.#sockets.terminate()
      await after(leaving)
    })()
    await Promise.race([over.promise, overdue])
    late.abort()
    clearInterval(sweep)
    this.#clients.close()
  }

  #arrive(request: IncomingMessage, response: ServerResponse): void {
    if (this.#draining) response.shouldKeepAlive = false
    this.#clients.arrive(request, response, () => this.#take(request, response))
  }

  /** Until it is accepted an upgrade is answered as any other request. */
  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#sockets.meet(request, socket, head, (upgrade) =>
      this.#clients.arrive(request, upgrade.response, () => {
        upgrade.begin()
        this.#take(request, upgrade.response, upgrade)
      }),
    )
  }

  /** Requests of one connection are taken one after the other. */
  #take(request: IncomingMessage, response: ServerResponse, far: FarSide | null = null): void {
    const { headers, socket } = request
    const { limits } = this.#gateway.config.settings
    const refusal = refusalOfHead(request, limits)
    if (refusal) return this.#clients.end(socket, refusal, request)
    const target = parseTarget(request.url ?? '/', headers.host)
    if (!target) return this.#clients.end(socket, fault('BAD_TARGET'), request)
    if (headers.expect !== undefined && request.httpVersionMinor > 0) {
      if (headers.expect.toLowerCase() !== '100-continue')
        return this.#clients.end(socket, refuse(417, 'EXPECTATION_REFUSED', 'No such expectation is met'), request)
      // Who is going to be refused by length alone is not asked to send.
      if (Number(headers['content-length'] ?? 0) <= this.#largestBody()) response.writeContinue()
    }
    const exchange = this.#gateway.enter({
      request,
      response,
      far,
      id: exchangeId(headers['x-request-id']),
      path: target.path,
      query: target.query,
      client: clientAddress(socket.remoteAddress, headers['x-forwarded-for'] as string | undefined, this.#trusted),
    })
    void handle(exchange)
  }

  #largestBody(): number {
    const { config, routes } = this.#gateway
    const { body, upload } = config.settings.limits
    return Math.max(body, upload, ...routes.map(({ provider }) => provider?.bodyLimit ?? 0))
  }

  /** Node has let go of the connection. */
  #refuseConnect(socket: Socket): void {
    socket.on('error', () => socket.destroy())
    this.#clients.end(socket, methodRefused)
    socket.resume()
  }
}

const wellFormedId = /^[\w.:+/=@-]{1,128}$/

/** The client's own id where it is fit to stand in a log and a header; else a new one. */
function exchangeId(given: string | string[] | undefined): string {
  const id = typeof given === 'string' ? given.trim() : ''
  return id !== '' && wellFormedId.test(id) ? id : randomUUID()
}
