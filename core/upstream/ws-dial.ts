/** Opens WebSocket connections: the handshake with its time limit, and what an upstream answers instead of one. */
import type { IncomingMessage } from 'node:http'
import { WebSocket, type ClientOptions } from 'ws'
import type { Headers } from '../plugin.ts'
import type { Dial } from './dial.ts'
import { requestHeaders } from './headers.ts'
import type { Clock } from './ws-clock.ts'
import { WsConnection } from './ws-connection.ts'
import { offered } from './ws-deflate.ts'
import { UpgradeRefused, WsError } from './ws-errors.ts'

/** How connections are opened; the same for all of a pool. */
export interface DialOptions {
  /** Milliseconds from the first packet to the end of the handshake. */
  readonly handshakeTimeout: number
  /** Milliseconds an upstream may take to answer a close frame. */
  readonly closeTimeout: number
  /** Bytes of the longest message that is taken; a longer one ends the connection with 1009. */
  readonly maxPayload: number
  /** Whether permessage-deflate is offered; `ws-deflate.ts` says what it costs. */
  readonly isCompressed: boolean
}

export interface Handshake {
  readonly id: string
  readonly url: URL
  /** Makes the connection, TLS included. */
  readonly dial: Dial
  readonly headers: Readonly<Headers>
  readonly protocols: readonly string[]
  /** The socket is closed, whether it was ever a connection or not. */
  readonly onClosed: () => void
}

/** A connection on its way. */
export interface Dialing {
  /** Rejects with `WsError`, `UpgradeRefused` or the system's network error. */
  readonly opened: Promise<WsConnection>
  /** Gives up; too late is harmless. */
  abort(reason: Error): void
}

/** An answer to an upgrade is an error in a few lines; the rest of a longer one is not read. */
const refusalLimit = 64 * 1024

/** Begins a handshake. */
export function dial(to: Handshake, options: DialOptions, clock: Clock): Dialing {
  let give = (_reason: Error): void => {}
  const opened = new Promise<WsConnection>((resolve, reject) => {
    const { ws, giveUp } = begin(to, options)
    let response: IncomingMessage | null = null
    let isSettled = false
    const settle = (): boolean => {
      if (isSettled) return false
      isSettled = true
      cancel()
      return true
    }
    give = (reason) => {
      if (!settle()) return
      reject(reason)
      giveUp()
      ws.terminate()
    }
    const cancel = clock.after(options.handshakeTimeout, () =>
      give(
        new WsError('HANDSHAKE_TIMEOUT', `no WebSocket connection to ${to.url.host} in ${options.handshakeTimeout} ms`),
      ),
    )
    ws.on('error', give)
    ws.on('close', to.onClosed)
    ws.on('unexpected-response', (_request, answer) => refusal(answer, give))
    ws.on('upgrade', (answer) => {
      response = answer
    })
    ws.on('open', () => {
      if (response === null || !settle()) return
      ws.off('error', give)
      // Made here, in the event itself: the first message can come in the packet of the handshake.
      resolve(new WsConnection(to.id, ws, response.socket, response.headers, clock))
    })
  })
  return { opened, abort: (reason) => give(reason) }
}

/** An address or a subprotocol that ws does not take is an error at once; there never was a socket. */
function begin(to: Handshake, options: DialOptions): { readonly ws: WebSocket; readonly giveUp: () => void } {
  let giveUp = (): void => {}
  const createConnection = (_options: unknown, connected: Parameters<Dial>[0]): void => {
    giveUp = to.dial(connected)
  }
  try {
    // As node:http has it, the connection may come later, by the callback; the types of ws do not know that.
    const given = { ...clientOptions(to, options), createConnection } as unknown as ClientOptions
    return { ws: new WebSocket(to.url, [...to.protocols], given), giveUp: () => giveUp() }
  } catch (error) {
    to.onClosed()
    throw error
  }
}

function clientOptions(to: Handshake, options: DialOptions): ClientOptions {
  // closeTimeout came to ws after its types were written.
  const given: ClientOptions & { closeTimeout: number } = {
    headers: handshakeHeaders(to.headers),
    maxPayload: options.maxPayload,
    closeTimeout: options.closeTimeout,
    perMessageDeflate: options.isCompressed ? offered : false,
    followRedirects: false,
  }
  return given
}

/** What the handshake itself is made of is this hop's: an extension named by the client would be one that nobody speaks. */
function handshakeHeaders(headers: Readonly<Headers>): Record<string, string> {
  const sent = requestHeaders(headers)
  for (const name in sent) if (name.startsWith('sec-websocket-') || sent[name] === undefined) delete sent[name]
  return sent as Record<string, string> // ws hands them to node:http, which takes lists as well
}

function refusal(answer: IncomingMessage, give: (reason: Error) => void): void {
  // Node takes a 101 whose Upgrade or Connection is missing for an answer as any other: passed on, the client would switch.
  if (answer.statusCode === 101)
    return give(new WsError('HANDSHAKE_BROKEN', 'the upstream answered 101 without Upgrade and Connection'))
  const chunks: Buffer[] = []
  let size = 0
  const done = (): void =>
    give(new UpgradeRefused(answer.statusCode ?? 0, answer.headers, Buffer.concat(chunks).subarray(0, refusalLimit)))
  answer.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    size += chunk.length
    if (size >= refusalLimit) done()
  })
  answer.on('end', done)
  // What was read of a body that broke off says more than the break.
  answer.on('error', done)
}
