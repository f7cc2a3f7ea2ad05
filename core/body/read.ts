/** Reads a request body once, into one Buffer, within a limit. */
import type { IncomingMessage } from 'node:http'
import { ClientGone, fault, Refused } from '../errors.ts'

/**
 * The whole body. Throws Refused (413) as soon as the announced length or the bytes that came exceed `limit` (bytes), and
 * ClientGone where the client leaves first. A body that came in one piece is not copied, any other once.
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? -1)
  if (announced > limit) return Promise.reject(tooLarge(limit))
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > limit) {
        request.removeAllListeners('data')
        request.pause()
        reject(tooLarge(limit))
        return
      }
      chunks.push(chunk)
    })
    request.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)))
    request.on('error', () => reject(new ClientGone()))
    request.on('close', () => {
      if (!request.complete) reject(new ClientGone())
    })
  })
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
