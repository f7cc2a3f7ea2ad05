/** Reads a request body once, into one Buffer, within a limit. */
import type { IncomingMessage } from 'node:http'
import { ClientGone, fault, Refused } from '../errors.ts'

/** What a body that announces its length is given at once, at most, in bytes: a promise costs its maker nothing. */
const firstRoom = 2 ** 20

/**
 * The whole body. Throws Refused (413) as soon as the announced length or the bytes that came exceed `limit` (bytes), and
 * ClientGone where the client leaves first. A body that came in one piece is not copied; one that came with its head, as short ones
 * do, is there at once. One of known length is copied into its place as it comes, so that what arrived is not kept twice; one of
 * unknown length is gathered and copied once.
 */
export function readBody(request: IncomingMessage, limit: number): Buffer | Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? -1)
  if (announced > limit) throw tooLarge(limit)
  // It may have gone while plugins looked at its head; what has happened by now is not told again.
  if (request.destroyed) throw new ClientGone()
  if (request.complete && announced > 0 && request.readableLength === announced) return request.read() as Buffer // no encoding is set
  return new Promise((resolve, reject) => {
    const gathered = announced > 0 ? new Placed(announced) : new Gathered()
    request.on('data', (chunk: Buffer) => {
      if (gathered.length + chunk.length <= limit) return gathered.add(chunk)
      request.removeAllListeners('data')
      request.pause()
      reject(tooLarge(limit))
    })
    request.on('end', () => resolve(gathered.whole()))
    request.on('error', () => reject(new ClientGone()))
    request.on('close', () => {
      if (!request.complete) reject(new ClientGone())
    })
  })
}

/** A body of announced length. Node's parser ends it there: it never comes longer, and a shorter one never ends. */
class Placed {
  length = 0
  readonly #announced: number
  #bytes: Buffer | null = null

  constructor(announced: number) {
    this.#announced = announced
  }

  add(chunk: Buffer): void {
    const { length } = chunk
    if (this.length === 0 && length === this.#announced) this.#bytes = chunk
    else {
      chunk.copy(this.#room(this.length + length), this.length)
      release(chunk)
    }
    this.length += length
  }

  whole(): Buffer {
    return this.#bytes ?? Buffer.alloc(0)
  }

  /** Grows by doubling up to what was announced. */
  #room(needed: number): Buffer {
    const before = this.#bytes
    if (before && before.length >= needed) return before
    const size = Math.min(this.#announced, Math.max(firstRoom, needed, 2 * (before?.length ?? 0)))
    const bytes = Buffer.allocUnsafeSlow(size)
    before?.copy(bytes, 0, 0, this.length)
    this.#bytes = bytes
    return bytes
  }
}

/**
 * Gives the memory of a piece back that nobody will look at again. Left to the collector, pieces of large bodies outgrow what V8 lets
 * stand outside of its heap before it collects all of it: at 100 KB each, a third of the CPU time went into that.
 */
function release({ buffer, byteLength }: Buffer): void {
  // Node's parser gives each piece a memory of its own; of any other a part may be somebody else's.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

class Gathered {
  length = 0
  readonly #chunks: Buffer[] = []

  add(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.length += chunk.length
  }

  whole(): Buffer {
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.length)
  }
}

/** The body as it passes through, refused in mid-stream where it exceeds `limit` (bytes). */
export async function* streamBody(request: IncomingMessage, limit: number): AsyncGenerator<Buffer> {
  let length = 0
  // The request outlives its iterator: its socket has still to carry the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    length += (chunk as Buffer).length // a request without an encoding gives Buffers
    if (length > limit) throw tooLarge(limit)
    yield chunk
  }
}

/** The refusal of a body over the limit, told in the largest unit that fits. */
export function tooLarge(limit: number): Refused {
  const [size, unit] =
    limit % 2 ** 20 === 0 ? [limit / 2 ** 20, 'MiB'] : limit % 1024 === 0 ? [limit / 1024, 'KiB'] : [limit, 'bytes']
  return new Refused(fault('BODY_TOO_LARGE', `the limit is ${size} ${unit}`))
}
