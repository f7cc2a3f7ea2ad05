/** A scripted upstream behind TLS, for HTTP and WebSockets: what it was asked, by which name, and with which certificate. */
import { once } from 'node:events'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { WebSocketServer } from 'ws'

/** A connection, as the handshake left it. */
export interface Shaken {
  /** The name that was asked for, or false where none was. */
  readonly serverName: string | false
  /** The common name of what the client has shown, or null. */
  readonly client: string | null
  readonly isResumed: boolean
  readonly version: string | null
}

export interface TlsUpstream extends AsyncDisposable {
  readonly port: number
  readonly shaken: readonly Shaken[]
  /** The Host of each request. */
  readonly hosts: readonly string[]
  /** What it answers with; by default 200 and a completion. */
  status: number
  headers: Record<string, string>
  /** Requests that come are answered when it resolves. */
  ready: Promise<void>
  /** Ends the connections that are idle or open. */
  cut(): void
}

/** Opens one on the loopback. It answers everything with JSON, and echoes what comes by WebSocket. */
export async function tlsUpstream(options: ServerOptions): Promise<TlsUpstream> {
  const shaken: Shaken[] = []
  const hosts: string[] = []
  const server = createServer(options, (request, response) => {
    request.resume()
    hosts.push(request.headers.host ?? '')
    const body = JSON.stringify({ object: 'chat.completion', choices: [] })
    void upstream.ready.then(() => {
      response.writeHead(upstream.status, { 'content-type': 'application/json', ...upstream.headers })
      response.end(body)
    })
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (ws, request) => {
    hosts.push(request.headers.host ?? '')
    ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }))
  })
  const open = new Set<TLSSocket>()
  server.on('secureConnection', (socket: TLSSocket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    const { subject } = socket.getPeerCertificate()
    shaken.push({
      // Its types know of no name that was not asked for.
      serverName: (socket as { servername?: string | false }).servername ?? false,
      client: subject ? String(subject.CN) : null,
      isResumed: socket.isSessionReused(),
      version: socket.getProtocol(),
    })
  })
  server.on('tlsClientError', (_error, socket) => socket.destroy())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const upstream: TlsUpstream = {
    port: (server.address() as AddressInfo).port, // it listens on one
    shaken,
    hosts,
    status: 200,
    headers: {},
    ready: Promise.resolve(),
    cut() {
      for (const socket of open) socket.destroy()
    },
    async [Symbol.asyncDispose]() {
      upstream.cut()
      sockets.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}
