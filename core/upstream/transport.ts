/**
 * How bytes reach an upstream: the one file that knows http-proxy-3. It is the frame; its `stream` pass is ours, and drives a client with
 * kept-alive connections: the gateway's own or undici's (see ARCHITECTURE.md, "Transport").
 */
import type { Agent, ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { createProxyServer } from 'http-proxy-3'
import { holdLimit } from '../commit.ts'
import { http } from '../http.ts'
import type { Headers } from '../plugin.ts'
import type { Tunnel } from '../tunnel.ts'
import type { Settings } from '../config/schema.ts'
import type { Attempt } from './attempt.ts'
import type { HttpClient, Timeouts } from './client.ts'
import type { Dial } from './dial.ts'
import { Http1Pool } from './http1-pool.ts'
import { UndiciClient } from './undici-client.ts'

/** The connections to one origin. */
export class Connections {
  readonly origin: URL
  /** Makes every connection, whatever is spoken on it. */
  readonly dial: Dial
  readonly #client: HttpClient

  constructor(origin: URL, timeouts: Timeouts, transport: Settings['transport'], dial: Dial) {
    this.origin = origin
    this.dial = dial
    this.#client =
      transport === 'undici'
        ? new UndiciClient(origin, timeouts, dial)
        : new Http1Pool({ host: origin.host, dial, timeouts })
  }

  /** Sends an attempt through the frame. Its outcome, whatever it is, is `attempt.result`. */
  send(request: IncomingMessage, response: ServerResponse, attempt: Attempt): void {
    // The frame's passes write into request.headers: they get the attempt's own copy, the client's stay as they came.
    request.headers = attempt.sending.headers
    const options: FrameOptions = { target: this.origin, postern: { connections: this, attempt } }
    frame.web(request, response, options)
  }

  /** The frame's only pass. */
  dispatch(attempt: Attempt): void {
    this.#client.send(attempt.sending, attempt)
  }

  /**
   * Splices an upgrade to the upstream's, by the frame's own pass. Until the upstream has switched, what comes of it is the
   * tunnel's result, and `response` can still be sent.
   */
  tunnel(request: IncomingMessage, response: ServerResponse, head: Buffer, tunnel: Tunnel): void {
    const socket = response.socket!
    const headers: Headers = { connection: 'Upgrade', upgrade: 'websocket' }
    // A credential that was dropped is undefined, and node:http would not take it.
    for (const name in tunnel.headers) if (tunnel.headers[name] !== undefined) headers[name] = tunnel.headers[name]
    // Back into the socket, once: whichever upstream takes the tunnel finds it there.
    if (head.length > 0) socket.unshift(head)
    const giveUp = this.dial((error, other) => {
      if (error) return tunnel.onError(error)
      request.headers = headers
      request.url = tunnel.path
      const options: TunnelOptions = {
        target: this.origin,
        agent: handing(other!, this.origin),
        postern: { tunnel, response, socket },
      }
      // In place of the end of the client's socket, which the frame makes of every failure.
      frame.ws(request, socket, nothing, options, () => {})
    })
    tunnel.onSent((reason) => {
      giveUp()
      tunnel.onError(reason)
    })
  }

  /** Resolves when every connection is closed; what is still under way is cut off. */
  close(): Promise<void> {
    return this.#client.close()
  }
}

type FrameOptions = { target: URL; postern: { connections: Connections; attempt: Attempt } }

type TunnelOptions = {
  target: URL
  agent: Agent
  postern: { tunnel: Tunnel; response: ServerResponse; socket: Socket }
}

/** The frame asks an agent for its connection: this one has it already. */
function handing(socket: Socket, { protocol }: URL): Agent {
  const agent = new http.Agent()
  return Object.assign(agent, { protocol, createConnection: () => socket })
}

const frame = createProxyServer({})

const nothing = Buffer.alloc(0)

/** How long a client may take to end its side of a tunnel when the other has ended, in ms. */
const lingering = 2000

// A socket that breaks is told to its tunnel or attempt; without a listener the frame would throw it at the process.
frame.on('error', () => {})

frame.on('proxyReqWs', (upstream: ClientRequest, _request: unknown, _socket: unknown, options: unknown) => {
  // The frame merges its own options into those of `tunnel` above.
  const { tunnel, response, socket } = (options as TunnelOptions).postern
  upstream.on('upgrade', (_answer, other: Socket) => {
    response.detachSocket(socket)
    tunnel.onSent(() => {
      socket.destroy()
      other.destroy()
    })
    // The frame ends the client's side then, but reads no more of it, and so would never learn that it has ended too.
    other.on('close', () => {
      socket.resume()
      const timer = setTimeout(() => socket.destroy(), lingering).unref()
      socket.on('close', () => clearTimeout(timer))
    })
    socket.on('close', () => tunnel.onEnd())
    tunnel.onOpen()
  })
  // The frame adds its listeners after this event: what it does with answers and errors is to end the client's socket.
  queueMicrotask(() => {
    upstream.removeAllListeners('error').on('error', (error) => tunnel.onError(error))
    upstream.removeAllListeners('response').on('response', (answer: IncomingMessage) => refusedTunnel(answer, tunnel))
  })
  tunnel.onSent((reason) => upstream.destroy(reason))
})

function refusedTunnel(answer: IncomingMessage, tunnel: Tunnel): void {
  const chunks: Buffer[] = []
  let length = 0
  const done = () => tunnel.onRefused(answer.statusCode ?? 502, answer.headers, Buffer.concat(chunks))
  answer.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    if (length < holdLimit) return
    done()
    answer.destroy()
  })
  answer.on('end', done)
  answer.on('error', done)
}

// http-proxy-3 finds passes by the name of their function, so a bundler has to keep names. `deleteLength`, its first, would have a DELETE or
// an OPTIONS whose body comes in chunks sent as one without a body: none of its passes is taken.
frame.before('web', 'deleteLength', function posternStream(_request: unknown, _response: unknown, options: unknown) {
  // The frame merges its own options into those of `send` above.
  const { connections, attempt } = (options as FrameOptions).postern
  connections.dispatch(attempt)
  return true
})
