/** The two ends of a gateway as bytes: an upstream that can misbehave in any way, and a client that keeps whatever it is sent. */
import { once } from 'node:events'
import { Agent, request, type IncomingHttpHeaders } from 'node:http'
import { createServer, type AddressInfo, type Socket } from 'node:net'

/** One answer on its way out of an upstream, written by hand. */
export interface Wire {
  /** Status line and headers. The body is chunked unless `content-length` says otherwise. */
  head(status: number, headers: Readonly<Record<string, string>>): void
  body(text: string): void
  /** Resolves once the client has every byte of body that was sent so far. */
  reached(): Promise<void>
  /** The proper end of the answer. The connection stays. */
  finish(): void
  /** RST: nothing is said any more, in either direction. */
  reset(): void
}

/** What an upstream does with a request. Whoever returns without an end stalls. */
export type Act = (wire: Wire) => void | Promise<void>

export interface WireUpstream extends AsyncDisposable {
  readonly port: number
  /** Bodies of the requests that came in whole. */
  readonly asked: readonly string[]
  /** Connections that were opened, whatever came of them. */
  readonly dialed: number
  act: Act
}

/** How far a client has got; whoever answers it can wait for that. */
export class Progress {
  #received = 0
  #waiters: { readonly bytes: number; readonly resolve: () => void }[] = []

  add(bytes: number): void {
    this.#received += bytes
    for (const { bytes, resolve } of this.#waiters) if (bytes <= this.#received) resolve()
    this.#waiters = this.#waiters.filter(({ bytes }) => bytes > this.#received)
  }

  reached(bytes: number): Promise<void> {
    if (bytes <= this.#received) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push({ bytes, resolve }))
  }

  /** The next exchange begins. */
  reset(): void {
    this.#received = 0
    this.#waiters = []
  }
}

/** Opens one on a port of loopback. To whoever speaks TLS it says what a server without TLS says. */
export async function wireUpstream(act: Act, progress: Progress): Promise<WireUpstream> {
  const asked: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    upstream.dialed++
    sockets.add(socket)
    socket.setNoDelay()
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    let held: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      held = Buffer.concat([held, chunk])
      if (held[0] === tlsHandshake) return void socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n')
      for (let whole = wholeRequest(held); whole; whole = wholeRequest(held)) {
        held = held.subarray(whole.end)
        asked.push(whole.body)
        void upstream.act(wireOn(socket, progress))
      }
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  const upstream = {
    port,
    asked,
    dialed: 0,
    act,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return upstream
}

/** The first byte of a TLS record that begins a handshake. */
const tlsHandshake = 0x16

function wholeRequest(bytes: Buffer): { readonly body: string; readonly end: number } | null {
  const at = bytes.indexOf('\r\n\r\n')
  if (at === -1) return null
  const length = Number(/\r\ncontent-length: (\d+)/i.exec(bytes.toString('latin1', 0, at))?.[1] ?? 0)
  const end = at + 4 + length
  return bytes.length < end ? null : { body: bytes.toString('utf8', at + 4, end), end }
}

function wireOn(socket: Socket, progress: Progress): Wire {
  let isChunked = false
  let sent = 0
  return {
    head(status, headers) {
      isChunked = headers['content-length'] === undefined
      const framing = isChunked ? { 'transfer-encoding': 'chunked' } : {}
      const lines = Object.entries({ ...headers, ...framing }).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.write(`HTTP/1.1 ${status} Whatever\r\n${lines.join('')}\r\n`)
    },
    body(text) {
      const bytes = Buffer.from(text)
      if (bytes.length === 0) return
      sent += bytes.length
      socket.write(isChunked ? Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, crlf]) : bytes)
    },
    reached: () => progress.reached(sent),
    finish: () => void (isChunked && socket.write('0\r\n\r\n')),
    reset: () => void socket.resetAndDestroy(),
  }
}

const crlf = Buffer.from('\r\n')

/** Everything a client got. */
export interface Received {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  /** Whether the connection ended before the answer did. */
  readonly isCut: boolean
}

/** An exchange that takes longer has gone wrong, in ms. */
const patience = 20_000

/** Sends a request on a connection of its own and takes what comes, to the byte, until the answer or the connection ends. */
export function send(
  url: string,
  { path, body }: { readonly path: string; readonly body: object },
  progress = new Progress(),
): Promise<Received> {
  progress.reset()
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const signal = AbortSignal.timeout(patience)
    const asking = request(url + path, { method: 'POST', headers, agent: new Agent({ keepAlive: false }), signal })
    asking.on('error', reject)
    asking.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        progress.add(chunk.length)
      })
      response.on('error', () => {})
      response.on('close', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
          isCut: !response.complete,
        }),
      )
    })
    asking.end(JSON.stringify(body))
  })
}
