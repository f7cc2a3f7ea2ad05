/** Sockets in. Strict HTTP, the one pointer that a reload moves, and the drain. */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { addressSet, clientAddress, type AddressSet } from './address.ts'
import { parseListen } from './config/formats.ts'
import type { Config } from './config/load.ts'
import { DrainEnded, fault, type ErrorCode } from './errors.ts'
import type { Gateway } from './gateway.ts'
import { handle } from './handle.ts'
import { parseTarget } from './target.ts'

/** The public listener of a process. */
export class Server {
  readonly #http: HttpServer
  #gateway: Gateway
  #trusted: AddressSet
  #draining = false

  constructor(gateway: Gateway) {
    this.#gateway = gateway
    this.#trusted = addressSet(gateway.config.settings.trusted_proxies)
    this.#http = createServer(
      {
        // The head of a request has to come within this time; bodies may take as long as they need.
        headersTimeout: 30_000,
        requestTimeout: 0,
        // Longer than the idle time of usual clients and load balancers (60 s), so that they close first.
        keepAliveTimeout: 75_000,
        maxHeaderSize: gateway.config.settings.limits.header,
        noDelay: true,
      },
      (request, response) => this.#arrive(request, response),
    )
    this.#http.on('clientError', refuseBrokenRequest)
  }

  get gateway(): Gateway {
    return this.#gateway
  }

  get isDraining(): boolean {
    return this.#draining
  }

  /** Begins to listen; resolves with the address, whose port matters where 0 was asked for. */
  listen(): Promise<string> {
    return listen(this.#http, this.#gateway.config.settings.listen)
  }

  /** From now on exchanges enter this gateway. Returns the one before, which still has its own to finish. */
  replace(gateway: Gateway): Gateway {
    const before = this.#gateway
    this.#trusted = addressSet(gateway.config.settings.trusted_proxies)
    this.#gateway = gateway
    return before
  }

  /** Takes no new connections; gives the exchanges that are under way `ms` to end, then ends them. */
  async drain(ms: number, retiring: ReadonlySet<Gateway>): Promise<void> {
    this.#draining = true
    const closed = new Promise<void>((resolve) => {
      this.#http.close(() => resolve())
    })
    const gateways = () => [this.#gateway, ...retiring]
    // Node closes connections that are idle now; those that become idle later, and those that never asked, are ours to close.
    const sweep = setInterval(() => {
      if (gateways().some(({ exchanges }) => exchanges.length > 0)) this.#http.closeIdleConnections()
      else this.#http.closeAllConnections()
    }, 20)
    const deadline = setTimeout(() => {
      for (const { exchanges } of gateways()) for (const exchange of exchanges) exchange.leave(new DrainEnded())
      // A plugin that does not come back keeps its exchange, but not the connection.
      setTimeout(() => this.#http.closeAllConnections(), 1000).unref()
    }, ms)
    await closed
    clearInterval(sweep)
    clearTimeout(deadline)
  }

  #arrive(request: IncomingMessage, response: ServerResponse): void {
    const refused = ambiguity(request)
    const target = parseTarget(request.url ?? '/', request.headers.host)
    if (refused || !target) return refusePlainly(response, refused ?? 'BAD_TARGET')
    if (this.#draining) response.setHeader('connection', 'close')
    const { headers, socket } = request
    const exchange = this.#gateway.enter({
      request,
      response,
      id: exchangeId(headers['x-request-id']),
      path: target.path,
      query: target.query,
      client: clientAddress(socket.remoteAddress, headers['x-forwarded-for'] as string | undefined, this.#trusted),
    })
    void handle(exchange)
  }
}

/** Listens where a `listen` key says; rejects with a sentence where that cannot be. */
export function listen(http: HttpServer, address: Config['settings']['listen']): Promise<string> {
  return new Promise((resolve, reject) => {
    http.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'EADDRINUSE' ? 'another process listens there already' : error.message
      reject(new Error(`cannot listen on ${address}: ${reason}`, { cause: error }))
    })
    const told = () => {
      const bound = http.address()
      resolve(typeof bound === 'string' ? `unix:${bound}` : urlOf(bound!))
    }
    const place = parseListen(address)
    if (!place) reject(new TypeError(`"${address}" is no address to listen on`))
    else if ('path' in place) http.listen(place.path, told)
    else http.listen(place.port, place.host ?? undefined, told)
  })
}

function urlOf({ address, port, family }: AddressInfo): string {
  const host = address === '::' || address === '0.0.0.0' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
  return `http://${host}:${port}`
}

/** What Node's parser lets through although two servers could read it differently (RFC 9112 §3.2, §6.1). */
function ambiguity(request: IncomingMessage): ErrorCode | null {
  const { method, headers, httpVersionMinor, rawHeaders } = request
  if (method === 'TRACE' || method === 'CONNECT') return 'METHOD_REFUSED'
  if (httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined) return 'BAD_REQUEST'
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts > 1 ? 'BAD_REQUEST' : null
}

/** Before there is an exchange there is no dialect: a refusal in the commonest shape. */
function refusePlainly(response: ServerResponse, code: ErrorCode): void {
  const { status, message } = fault(code)
  const body = JSON.stringify({ error: { type: 'invalid_request_error', code, message } })
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  })
  response.end(body)
}

/** Node's parser gave the connection up. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}

const wellFormedId = /^[\w.:+/=@-]{1,128}$/

/** The client's own id where it is fit to stand in a log and a header; else a new one. */
function exchangeId(given: string | string[] | undefined): string {
  const id = typeof given === 'string' ? given.trim() : ''
  return id !== '' && wellFormedId.test(id) ? id : randomUUID()
}
