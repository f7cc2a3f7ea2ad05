/** An answer that is no stream, for a client that can only be told events: the beginning of what it says. */
import { holdLimit } from './commit.ts'
import type { Answering } from './upstream/attempt.ts'

/** At most 64 KiB; as much as came, where it broke off. */
export function gather(attempt: Answering): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    const done = () => resolve(Buffer.concat(chunks))
    attempt.deliverTo({
      bytes(chunk) {
        if (length < holdLimit) chunks.push(chunk)
        length += chunk.length
        if (length >= holdLimit) attempt.abort(new Error('an error was too long to be read'))
        return true
      },
      whole: done,
      broken: done,
    })
  })
}
