/** Both ends of the client under test: an upstream on a raw socket that says what it is told, and a receiver that keeps what it hears. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { Headers } from '../plugin.ts'
import type { Flow, Receiver, Sending, Timeouts } from './client.ts'
import { dialer, type Dial, type DialOptions } from './dial.ts'
import { Http1Pool, type PoolOptions } from './http1-pool.ts'

/** What an upstream does with one request: its bytes as far as they are here, and which one of its connection it is. */
export type Act = (socket: Socket, request: string, count: number) => void | Promise<void>

export interface RawUpstream extends AsyncDisposable {
  readonly origin: URL
  readonly sockets: ReadonlySet<Socket>
  /** Connections so far. */
  readonly dialed: number
  readonly requests: readonly string[]
}

/** Calls `act` whenever a whole head has come, and drops its body where that has come with it. */
export async function rawUpstream(act: Act): Promise<RawUpstream> {
  const sockets = new Set<Socket>()
  const requests: string[] = []
  let dialed = 0
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    dialed++
    sockets.add(socket)
    let count = 0
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      requests.push(text)
      const request = text
      text = ''
      void act(socket, request, ++count)
    })
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  return {
    origin: new URL(`http://127.0.0.1:${port}`),
    sockets,
    requests,
    get dialed() {
      return dialed
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Everything that was heard of one answer. */
export class Heard implements Receiver {
  status = 0
  headers: Headers = {}
  readonly chunks: Buffer[] = []
  error: NodeJS.ErrnoException | null = null
  /** How often the end was told: once, whatever happens. */
  ends = 0
  flow: Flow | null = null
  readonly done: Promise<Heard>
  /** What is answered to a piece: false asks for a pause. */
  flows: (heard: Heard) => boolean = () => true
  #end!: (it: Heard) => void

  constructor() {
    this.done = new Promise((resolve) => (this.#end = resolve))
  }

  get body(): string {
    return Buffer.concat(this.chunks).toString('latin1')
  }

  onFlow(flow: Flow): void {
    this.flow = flow
  }

  onHead(status: number, headers: Headers): void {
    this.status = status
    this.headers = headers
  }

  onData(chunk: Buffer): boolean {
    this.chunks.push(chunk)
    return this.flows(this)
  }

  onComplete(): void {
    this.ends++
    this.#end(this)
  }

  onError(error: NodeJS.ErrnoException): void {
    this.ends++
    this.error = error
    this.#end(this)
  }
}

export const timeouts: Timeouts = { connect: 5000, headers: 60_000, idle: 60_000 }

/** Connections to an upstream of the test's own, on this machine. */
export function dialTo(origin: URL, more: Partial<DialOptions> = {}): Dial {
  return dialer(origin, { timeout: timeouts.connect, allowsPrivate: true, ...more })
}

/** A pool that is closed at the end of the block. */
export function testPool(origin: URL, more: Partial<PoolOptions> = {}): Http1Pool & AsyncDisposable {
  const pool = new Http1Pool({ host: origin.host, dial: dialTo(origin), timeouts, ...more })
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.close() })
}

/** Asks, and returns who hears the answer. */
export function ask(pool: Http1Pool, sending: Partial<Sending> = {}, heard = new Heard()): Heard {
  pool.send({ method: 'POST', path: '/v1/x', headers: {}, body: Buffer.from('{}'), ...sending }, heard)
  return heard
}

/** An answer of known length. */
export const answer = (body = '{"a":1}', ...lines: readonly string[]): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}content-length: ${body.length}\r\n\r\n${body}`

/** Resolves when it holds. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}
