/** A request's body on its way out where it comes piece by piece: as fast as both sides like, and no further than anybody wants it. */
import type { Socket } from 'node:net'
import { failure } from './client.ts'

/** Sends one iterable over a socket. */
export class Upload {
  /** Whose turn it is: while it is the client's, silence is no fault of the upstream's. */
  waitsFor: 'client' | 'upstream' = 'client'
  /** All of it has been given to the socket. */
  isWhole = false
  #isStopped = false
  #drained: (() => void) | null = null
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Resolves when all of it has been given to the socket, or nobody wants more. Rejects with what the iterable throws. */
  async send(body: AsyncIterable<Buffer>, length: number | null): Promise<void> {
    let left = length ?? 0
    // Leaving the loop early lets go of the iterable.
    for await (const chunk of body) {
      if (this.#isStopped) return
      if (chunk.length === 0) continue
      left -= chunk.length
      if (length !== null && left < 0) throw failure('BAD_REQUEST', 'the body is longer than it said')
      if (!(length === null ? this.#writeChunk(chunk) : this.#socket.write(chunk))) await this.#drain()
      if (this.#isStopped) return
    }
    if (length === null) this.#socket.write('0\r\n\r\n', 'latin1')
    else if (left > 0) throw failure('BAD_REQUEST', 'the body is shorter than it said')
    this.isWhole = true
  }

  /** The socket has taken what it had. */
  drained(): void {
    this.waitsFor = 'client'
    this.#drained?.()
    this.#drained = null
  }

  /** No more is sent. */
  stop(): void {
    this.#isStopped = true
    this.drained()
  }

  #writeChunk(chunk: Buffer): boolean {
    const socket = this.#socket
    socket.cork()
    socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    socket.write(chunk)
    const flows = socket.write('\r\n', 'latin1')
    socket.uncork()
    return flows
  }

  #drain(): Promise<void> {
    if (this.#isStopped) return Promise.resolve()
    this.waitsFor = 'upstream'
    return new Promise((resolve) => {
      this.#drained = resolve
    })
  }
}
