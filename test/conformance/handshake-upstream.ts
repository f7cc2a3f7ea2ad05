/** Upstreams behind the tables of handshakes: one that is as it should be and counts, one that says what it is told to. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer } from 'ws'
import { end, reset, type Said } from './upstream-case.ts'
import { writeFrame } from './websocket-frames.ts'

/** The last event of a turn, and as good an answer as any in a session. */
export const answered = '{"type":"response.completed","response":{}}'

export interface CountingUpstream extends AsyncDisposable {
  readonly port: number
  /** Requests and handshakes since the last call. */
  take(): number
}

/** A server of `ws`: answers every message, and every other request with 200. */
export async function countingUpstream(): Promise<CountingUpstream> {
  let heard = 0
  const http = createServer((_request, response) => {
    heard++
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}')
  })
  const server = new WebSocketServer({ server: http })
  server.on('headers', () => heard++)
  server.on('connection', (socket) => {
    socket.on('error', () => {})
    socket.on('message', () => socket.send(answered))
  })
  http.on('clientError', (_error, socket) => socket.destroy())
  await once(http.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (http.address() as AddressInfo).port, // it listens on a port
    take() {
      const taken = heard
      heard = 0
      return taken
    },
    async [Symbol.asyncDispose]() {
      for (const socket of server.clients) socket.terminate()
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

export interface SayingUpstream extends AsyncDisposable {
  readonly port: number
  /** What the next handshake is answered with; every other one is answered as it should be. */
  say(said: readonly Said[]): void
}

export async function sayingUpstream(): Promise<SayingUpstream> {
  const sockets = new Set<Socket>()
  let next: readonly Said[] | null = null
  const server = createTcpServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    let head = ''
    let isShaken = false
    socket.on('data', (chunk) => {
      // A frame of a client: whatever it says.
      if (isShaken) return void ((chunk[0]! & 15) === 8 ? socket.end() : socket.write(writeFrame(reply, false)))
      head += chunk.toString('latin1')
      if (!head.includes('\r\n\r\n')) return
      isShaken = true
      const key = /^sec-websocket-key: *(\S+)\r$/im.exec(head)?.[1] ?? ''
      const said = next ?? [proper]
      next = null
      void utter(socket, said, acceptOf(key))
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    port: (server.address() as AddressInfo).port, // it listens on a port
    say: (said) => void (next = said),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const reply = { opcode: 1, payload: answered }
const proper =
  'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: $ACCEPT\r\n\r\n'

async function utter(socket: Socket, said: readonly Said[], accept: string): Promise<void> {
  for (const one of said) {
    if (socket.destroyed) return
    if (typeof one === 'number') await sleep(one)
    else if (one === end) socket.end()
    else if (one === reset) socket.resetAndDestroy()
    else socket.write(one.replaceAll('$ACCEPT', accept), 'latin1')
  }
}

/** RFC 6455 §4.2.2. */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}
