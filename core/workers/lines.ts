/** What a process writes, line by line: lines of several processes in one place stay whole. */
import type { Readable } from 'node:stream'

/** A line that is longer is let go of in pieces. */
const longestLine = 2 ** 20

/** Hands on whole lines as they come, several at once. What was cut off by the end of the process is not handed on; `cut` is told. */
export function wholeLines(stream: Readable, take: (lines: string) => void, cut: () => void): void {
  let rest: Buffer = Buffer.alloc(0)
  stream.on('data', (chunk: Buffer) => {
    const end = chunk.lastIndexOf(0x0a) + 1
    if (end === 0) rest = Buffer.concat([rest, chunk])
    else {
      take(Buffer.concat([rest, chunk.subarray(0, end)]).toString())
      rest = chunk.subarray(end)
    }
    if (rest.length < longestLine) return
    take(`${rest.toString()}\n`)
    rest = Buffer.alloc(0)
  })
  stream.on('end', () => {
    if (rest.length > 0) cut()
  })
}
