/**
 * How bytes reach an upstream: the one file that knows http-proxy-3 and undici. http-proxy-3 is the frame; its `stream` pass
 * is ours and drives undici's dispatcher on kept-alive connections, at about half the CPU of the frame's own (see
 * ARCHITECTURE.md, "Transport").
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createProxyServer } from 'http-proxy-3'
import { Pool, type Dispatcher } from 'undici'
import type { Attempt } from './attempt.ts'

/** Milliseconds each phase may take. */
export interface Timeouts {
  readonly connect: number
  /** From the request sent to the answer's headers. */
  readonly headers: number
  /** Between two pieces of the answer. */
  readonly idle: number
}

/** The connections to one origin. */
export class Connections {
  readonly origin: URL
  readonly #pool: Pool
  readonly #timeouts: Timeouts

  constructor(origin: URL, timeouts: Timeouts) {
    this.origin = origin
    this.#timeouts = timeouts
    this.#pool = new Pool(origin, {
      connect: { timeout: timeouts.connect },
      // Long enough to save the next TLS handshake, shorter than what AI APIs and their edges close after (60 s and more).
      keepAliveTimeout: 30_000,
      pipelining: 1,
    })
  }

  /** Sends an attempt through the frame. Its outcome, whatever it is, is `attempt.result`. */
  send(request: IncomingMessage, response: ServerResponse, attempt: Attempt): void {
    // The frame's passes write into request.headers: they get the attempt's own copy, the client's stay as they came.
    request.headers = attempt.sending.headers
    const options: FrameOptions = { target: this.origin, postern: { connections: this, attempt } }
    frame.web(request, response, options)
  }

  /** The frame's last pass. */
  dispatch(attempt: Attempt): void {
    const { method, path, headers, body } = attempt.sending
    this.#pool.dispatch(
      {
        method,
        path,
        headers,
        body: body as Dispatcher.DispatchOptions['body'], // async iterables are taken, though the type does not say so
        headersTimeout: this.#timeouts.headers,
        bodyTimeout: this.#timeouts.idle,
      },
      // undici's older form of handler, which its client calls without a wrapper
      attempt,
    )
  }

  /** Resolves when every connection is closed; what is still under way is cut off. */
  close(): Promise<void> {
    return this.#pool.destroy()
  }
}

type FrameOptions = { target: URL; postern: { connections: Connections; attempt: Attempt } }

const frame = createProxyServer({})

// http-proxy-3 finds passes by the name of their function, so a bundler has to keep names.
frame.before('web', 'stream', function posternStream(_request: unknown, _response: unknown, options: unknown) {
  // The frame merges its own options into those of `send` above.
  const { connections, attempt } = (options as FrameOptions).postern
  connections.dispatch(attempt)
  return true
})
