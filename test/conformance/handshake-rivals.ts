/** Who the tables of handshakes are played against: Postern, bare `ws`, and http-proxy-3's tunnel. */
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createProxyServer } from 'http-proxy-3'
import { WebSocket, WebSocketServer } from 'ws'
import { gateway, type TestGateway } from '../harness.ts'
import { clientKey } from './handshake-case.ts'
import { portOf } from './http-gateway.ts'
import type { Opened, Rival } from './http-rivals.ts'

/** A gateway with OpenAI's paths and a key that callers have to bring. */
export function handshakeGateway(upstream: number, settings: object = {}): Promise<TestGateway> {
  return gateway({
    plugins: ['api-key-auth', 'openai'],
    keys: [{ name: 'caller', key: '${CALLER}' }],
    env: { CALLER: clientKey },
    upstreams: [{ name: 'o', provider: 'openai', url: `http://127.0.0.1:${upstream}`, key: 'sk-up' }],
    timeouts: { connect: '400ms' },
    ...settings,
  })
}

/** Postern first. */
export const handshakeRivals: readonly Rival[] = [
  {
    name: 'Postern',
    version: null,
    async open(upstream) {
      const gw = await handshakeGateway(upstream)
      return { port: portOf(gw), [Symbol.asyncDispose]: () => gw[Symbol.asyncDispose]() }
    },
  },
  { name: 'ws', version: null, open: openRelay },
  { name: 'http-proxy-3', version: null, open: openTunnel },
]

/** Accepts a client when the upstream has: what one writes with `ws` alone. */
function openRelay(upstream: number): Promise<Opened> {
  const server = new WebSocketServer({ noServer: true })
  const http = createServer((_request, response) => response.end('{"ok":true}'))
  http.on('upgrade', (request, socket, head) => {
    const protocols = request.headers['sec-websocket-protocol']?.split(/ *, */) ?? []
    socket.on('error', () => {})
    let other: WebSocket
    try {
      other = new WebSocket(`ws://127.0.0.1:${upstream}${request.url}`, protocols)
    } catch {
      return void socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    }
    other.on('error', () => socket.destroy())
    other.on('unexpected-response', (_asked, answer) => {
      socket.end(`HTTP/1.1 ${answer.statusCode} Refused\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
      other.terminate()
    })
    other.on('open', () =>
      server.handleUpgrade(request, socket, head, (client) => {
        client.on('message', (data: Buffer, isBinary) => other.send(data, { binary: isBinary }))
        other.on('message', (data: Buffer, isBinary) => client.send(data, { binary: isBinary }))
        client.on('error', () => {})
        client.on('close', () => other.terminate())
        other.on('close', () => client.close())
      }),
    )
  })
  return listening(http)
}

function openTunnel(upstream: number): Promise<Opened> {
  const proxy = createProxyServer({ target: { host: '127.0.0.1', port: upstream } })
  proxy.on('error', (_error, _request, response) => void response.destroy())
  const http = createServer((request, response) => proxy.web(request, response))
  http.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head))
  return listening(http)
}

async function listening(http: ReturnType<typeof createServer>): Promise<Opened> {
  await once(http.listen(0, '127.0.0.1'), 'listening')
  const sockets = new Set<{ destroy(): void }>()
  http.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  return {
    port: (http.address() as AddressInfo).port, // it listens on a port
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}
