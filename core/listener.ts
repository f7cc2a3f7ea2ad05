/** An HTTP server and where it listens: in the clear, or with TLS whose certificate can be replaced while it runs. */
import type { Server as HttpServer, ServerOptions } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { SecureContextOptions, Server as TlsServer } from 'node:tls'
import { parseListen } from './config/formats.ts'
import type { Config } from './config/load.ts'
import type { ListenerTls } from './config/tls.ts'
import { http } from './http.ts'

/** How long a client may take for its TLS handshake, in ms. */
const handshakeTimeout = 10_000

export class Listener {
  readonly http: HttpServer
  /** Null: in the clear. */
  readonly #tls: TlsServer | null
  /** Those that have TLS to do before they are HTTP's. */
  readonly #shaking = new Set<Socket>()

  constructor(options: ServerOptions, tls: ListenerTls | undefined) {
    if (tls === undefined) {
      this.http = http.createServer(options)
      this.#tls = null
      return
    }
    const asked = tls.client_ca === undefined ? {} : { requestCert: true, rejectUnauthorized: true }
    const server = createTlsServer({ ...options, ...secretsOf(tls), ...asked, handshakeTimeout })
    this.http = server
    this.#tls = server
    server.on('connection', (socket: Socket) => {
      this.#shaking.add(socket)
      socket.on('close', () => this.#shaking.delete(socket))
    })
  }

  get isSecure(): boolean {
    return this.#tls !== null
  }

  /** New connections are shown these from now on; those that are open stay. Without TLS now or then it does nothing. */
  renew(tls: ListenerTls | undefined): void {
    if (tls !== undefined) this.#tls?.setSecureContext(secretsOf(tls))
  }

  /** Begins to listen; resolves with the address, whose port matters where 0 was asked for. Rejects with a sentence. */
  listen(address: Config['settings']['listen']): Promise<string> {
    const { http } = this
    return new Promise((resolve, reject) => {
      http.once('error', (error: NodeJS.ErrnoException) => {
        const reason = error.code === 'EADDRINUSE' ? 'another process listens there already' : error.message
        reject(new Error(`cannot listen on ${address}: ${reason}`, { cause: error }))
      })
      const told = () => {
        const bound = http.address()
        resolve(typeof bound === 'string' ? `unix:${bound}` : urlOf(bound!, this.isSecure))
      }
      const place = parseListen(address)
      if (!place) reject(new TypeError(`"${address}" is no address to listen on`))
      else if ('path' in place) http.listen(place.path, told)
      else http.listen(place.port, place.host ?? undefined, told)
    })
  }

  /** Ends it, with all its connections; resolves when nobody listens any more. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.http.close(() => resolve())
      this.closeAllConnections()
    })
  }

  /** Those too that HTTP knows nothing of yet. */
  closeAllConnections(): void {
    this.http.closeAllConnections()
    for (const socket of this.#shaking) socket.destroy()
  }
}

function secretsOf({ cert, key, client_ca: ca, min_version: minVersion }: ListenerTls): SecureContextOptions {
  return { cert, key: key.reveal(), minVersion, ...(ca === undefined ? {} : { ca }) }
}

function urlOf({ address, port, family }: AddressInfo, isSecure: boolean): string {
  const host = address === '::' || address === '0.0.0.0' ? 'localhost' : family === 'IPv6' ? `[${address}]` : address
  return `http${isSecure ? 's' : ''}://${host}:${port}`
}
