/** The least that can pass WebSocket messages on; run with KIND PORT UPSTREAM, a process of its own. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { createProxyServer } from 'http-proxy-3'
import { WebSocket, WebSocketServer } from 'ws'

/** Listens on a port (0: any) before the upstream, an address that begins with `ws:`; resolves with its own address. */
type Start = (upstream: string, port?: number) => Promise<string>

export const relays: Readonly<Record<string, Start>> = {
  async 'bare ws relay'(upstream, port = 0) {
    const http = createServer()
    const server = new WebSocketServer({ server: http, perMessageDeflate: false })
    server.on('connection', (client, request) => {
      const other = new WebSocket(upstream + request.url, { perMessageDeflate: false })
      client.pause()
      other.on('open', () => client.resume())
      client.on('message', (data: Buffer, isBinary) => other.send(data, { binary: isBinary }))
      other.on('message', (data: Buffer, isBinary) => client.send(data, { binary: isBinary }))
      client.on('close', () => other.terminate())
    })
    return listening(http, port)
  },
  async 'http-proxy-3 splice'(upstream, port = 0) {
    const http = createServer()
    const proxy = createProxyServer({ target: upstream.replace('ws', 'http') })
    proxy.on('error', () => {})
    http.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head))
    return listening(http, port)
  },
}

async function listening(http: ReturnType<typeof createServer>, port: number): Promise<string> {
  await once(http.listen(port, '127.0.0.1'), 'listening')
  return `ws://127.0.0.1:${(http.address() as AddressInfo).port}` // it listens on a port
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [kind = '', port = '', upstream = ''] = process.argv.slice(2)
  await relays[kind]!(upstream, Number(port))
}
