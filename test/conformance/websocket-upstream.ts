/** A WebSocket upstream on a real socket for tests, a pool whose end is checked, and a clock that moves when it is told to. */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws'
import type { Cancel, Clock } from '../../core/upstream/ws-clock.ts'
import type { Fault, Listener } from '../../core/upstream/ws-connection.ts'
import { laneSpec, type LaneOptions, type LaneSpec } from '../../core/upstream/ws-lane-spec.ts'
import { WsPool, type WsPoolOptions } from '../../core/upstream/ws-pool.ts'

/** Waits until the claim holds, at most five seconds. */
export async function until(claim: () => boolean, what = claim.toString()): Promise<void> {
  const end = performance.now() + 5000
  while (!claim()) {
    if (performance.now() > end) assert.fail(`waited in vain: ${what}`)
    await turn()
  }
}

/** Time that stands still until `advance`. */
export class ManualClock implements Clock {
  #now = 1_000_000
  #timers: { at: number; run: () => void }[] = []

  get pending(): number {
    return this.#timers.length
  }

  now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): Cancel {
    const timer = { at: this.#now + ms, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Runs what is due on the way, each at its time. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).toSorted((one, other) => one.at - other.at)[0]
      if (!next) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = Math.max(this.#now, next.at)
      next.run()
    }
    this.#now = end
  }
}

type Passed = 'perMessageDeflate' | 'autoPong' | 'handleProtocols' | 'maxPayload' | 'skipUTF8Validation'

export interface UpstreamOptions extends Pick<ServerOptions, Passed> {
  onSocket?: (socket: WebSocket, request: IncomingMessage) => void
  /** An answer instead of the upgrade; a promise delays the upgrade until it is fulfilled. */
  onUpgrade?: (request: IncomingMessage) => string | undefined | Promise<string | undefined>
  /** More headers for the 101. */
  headers?: readonly string[]
}

export interface WsUpstream extends AsyncDisposable {
  readonly url: URL
  readonly server: WebSocketServer
  /** All handshakes so far. */
  readonly requests: IncomingMessage[]
  /** Every connection that there ever was, in the order of the handshakes. */
  readonly sockets: WebSocket[]
  /** How many connections are open. */
  readonly open: number
}

/** Starts one that echoes, unless `onSocket` does something else. */
export async function wsUpstream(options: UpstreamOptions = {}): Promise<WsUpstream> {
  const { onSocket = echo, onUpgrade, headers: more = [], ...rest } = options
  const server = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 * 1024, ...rest })
  const requests: IncomingMessage[] = []
  const sockets: WebSocket[] = []
  server.on('headers', (headers) => headers.push(...more))
  server.on('connection', (socket, request) => {
    sockets.push(socket)
    socket.on('error', () => {})
    onSocket(socket, request)
  })
  const http = createServer()
  http.on('upgrade', (request, socket, head) => {
    requests.push(request)
    socket.on('error', () => {})
    void Promise.resolve(onUpgrade?.(request)).then((answer) => {
      if (answer !== undefined) socket.end(answer)
      else server.handleUpgrade(request, socket, head, (ws) => server.emit('connection', ws, request))
    })
  })
  await new Promise<void>((resolve) => void http.listen(0, '127.0.0.1', resolve))
  return {
    url: new URL(`ws://127.0.0.1:${(http.address() as AddressInfo).port}/v1/responses`), // it listens on a port
    server,
    requests,
    sockets,
    get open() {
      return server.clients.size
    },
    async [Symbol.asyncDispose]() {
      for (const socket of server.clients) socket.terminate()
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

function echo(socket: WebSocket): void {
  socket.on('message', (data: Buffer, isBinary: boolean) => socket.send(data, { binary: isBinary }))
}

/** A lane of that upstream; nothing is opened in advance unless the options say so. */
export function laneOf(upstream: { readonly url: URL }, options: Partial<LaneOptions> = {}): LaneSpec {
  const limits = { utilization: 1, ...options.limits }
  return laneSpec({ upstream: 'o', url: upstream.url, credential: 'token', ...options, limits })
}

export interface TestPool extends AsyncDisposable {
  readonly pool: WsPool
  readonly clock: ManualClock
}

/** A pool on a clock that stands still. At the end of the block it is closed, and the test fails if its books do not add up. */
export function testPool(options: Partial<WsPoolOptions> = {}): TestPool {
  const clock = new ManualClock()
  const pool = new WsPool({ clock, ...options })
  return {
    pool,
    clock,
    async [Symbol.asyncDispose]() {
      const closed = pool.close()
      clock.advance(5_000)
      await closed
      const stats = pool.stats()
      const { lanes, idle, pinned, leased, dialing, waiting } = stats
      assert.deepEqual(
        { lanes, idle, pinned, leased, dialing, waiting },
        { lanes: 0, idle: 0, pinned: 0, leased: 0, dialing: 0, waiting: 0 },
      )
      assert.equal(stats.created, stats.closed, 'every connection that was made is closed')
      assert.equal(stats.acquired, stats.returned + stats.broken, 'every lease has ended')
      assert.equal(clock.pending, 0, 'no timer is left')
    },
  }
}

export interface Recorder {
  readonly messages: { data: Buffer; isBinary: boolean }[]
  readonly ends: { code: number; reason: string; fault: Fault | null }[]
  readonly counts: { drains: number }
  readonly listener: Listener
}

/** A listener that remembers. */
export function recorder(): Recorder {
  const messages: Recorder['messages'] = []
  const ends: Recorder['ends'] = []
  const counts = { drains: 0 }
  const listener: Listener = {
    onMessage: (data, isBinary) => void messages.push({ data, isBinary }),
    onClose: (code, reason, fault) => void ends.push({ code, reason, fault }),
    onDrain: () => void counts.drains++,
  }
  return { messages, ends, counts, listener }
}
