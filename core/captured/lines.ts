/** The lines of a file from its end to its beginning, a piece at a time: a file of any size costs the memory of its longest line. */
import { open } from 'node:fs/promises'

/** What is read at once, in bytes. */
const piece = 256 * 1024
const lineFeed = 0x0a

/** The newest line first. Yields nothing where the file is not there; throws the system's error where it cannot be read. */
export async function* linesFromEnd(path: string): AsyncGenerator<string> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (!file) return
  try {
    let { size: from } = await file.stat()
    /** Pieces of a line whose beginning has not been read yet, the last one first. */
    let rest: Buffer[] = []
    while (from > 0) {
      const length = Math.min(piece, from)
      from -= length
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(length), position: from })
      let end = bytesRead
      for (let at = buffer.lastIndexOf(lineFeed, end - 1); at >= 0; at = before(buffer, at)) {
        const line = textOf(buffer.subarray(at + 1, end), rest)
        if (line !== '') yield line
        rest = []
        end = at
      }
      rest.push(buffer.subarray(0, end))
    }
    const first = textOf(Buffer.alloc(0), rest)
    if (first !== '') yield first
  } finally {
    await file.close()
  }
}

function before(buffer: Buffer, at: number): number {
  return at === 0 ? -1 : buffer.lastIndexOf(lineFeed, at - 1)
}

function textOf(beginning: Buffer, rest: readonly Buffer[]): string {
  return rest.length === 0
    ? beginning.toString('utf8')
    : Buffer.concat([beginning, ...rest.toReversed()]).toString('utf8')
}
