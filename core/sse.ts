/** Server-sent events, an event at a time, without re-encoding: what is not replaced leaves byte for byte as it came. */

const newline = 0x0a
const carriageReturn = 0x0d
const space = 0x20
const nothing = Buffer.alloc(0)

/** An event may be this long, in bytes: 40 MiB holds an image in base64. */
export const longestEvent = 40 * 2 ** 20

/** Cuts a stream of bytes into events, however the bytes arrive. Lines may end in LF, CRLF or CR. */
export class EventReader {
  #held: Buffer[] = []
  #heldBytes = 0
  #lineIsEmpty = true
  /** The last byte was a CR: an LF right behind it ends no second line. */
  #afterCarriageReturn = false

  /** The events that end within this chunk, each with all of its bytes up to and with its blank line. */
  push(chunk: Buffer): Buffer[] {
    const events: Buffer[] = []
    const hasCarriageReturn = this.#afterCarriageReturn || chunk.indexOf(carriageReturn) !== -1
    let start = 0
    let at = 0
    if (this.#afterCarriageReturn) {
      if (chunk[0] === newline) at = 1
      this.#afterCarriageReturn = chunk.length === 0
    }
    while (at < chunk.length) {
      const end = hasCarriageReturn ? lineEnd(chunk, at) : chunk.indexOf(newline, at)
      if (end === -1) {
        this.#lineIsEmpty = false
        break
      }
      const blank = this.#lineIsEmpty && end === at
      at = end + 1
      if (chunk[end] === carriageReturn) {
        if (chunk[at] === newline) at++
        else this.#afterCarriageReturn = at === chunk.length
      }
      this.#lineIsEmpty = true
      if (blank) {
        events.push(this.#take(chunk.subarray(start, at)))
        start = at
      }
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start))
    return events
  }

  /** The bytes behind the last whole event; the reader is as new afterwards. */
  rest(): Buffer {
    this.#lineIsEmpty = true
    this.#afterCarriageReturn = false
    return this.#take(nothing)
  }

  #hold(bytes: Buffer): void {
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    if (this.#heldBytes > longestEvent)
      throw new RangeError(`an event of the answer is longer than ${longestEvent} bytes`)
  }

  #take(last: Buffer): Buffer {
    if (this.#held.length === 0) return last
    const whole = Buffer.concat([...this.#held, last], this.#heldBytes + last.length)
    this.#held = []
    this.#heldBytes = 0
    return whole
  }
}

/** What the `data` lines of an event say, joined by newlines; null where there are none (a comment, a bare `event:`). */
export function eventData(event: Buffer): Buffer | null {
  const lines = dataLines(event)
  if (lines.length === 0) return null
  if (lines.length === 1) return event.subarray(lines[0]!.start, lines[0]!.end)
  const joined: Buffer[] = []
  for (const { start, end } of lines) joined.push(event.subarray(start, end), Buffer.of(newline))
  return Buffer.concat(joined.slice(0, -1))
}

/** The event with other data, in its first data line; everything else of it, line ends included, stays. */
export function withData(event: Buffer, data: Buffer): Buffer {
  const [first, ...others] = dataLines(event)
  if (!first) return event
  const isPlain = data.indexOf(newline) === -1 && data.indexOf(carriageReturn) === -1
  const encoded = isPlain ? data : Buffer.from(data.toString('utf8').replaceAll(/\r\n|\n|\r/g, '\ndata: '))
  const pieces = [event.subarray(0, first.start), first.isBare ? colon : nothing, encoded]
  let from = first.end
  for (const { at, next } of others) {
    pieces.push(event.subarray(from, at))
    from = next
  }
  return Buffer.concat([...pieces, event.subarray(from)])
}

const colon = Buffer.from(': ')

/** A line that says data: where it begins, its value from and to, and where the next line begins. */
interface DataLine {
  readonly at: number
  readonly start: number
  readonly end: number
  readonly next: number
  /** The name of the field alone: an empty value (HTML §9.2.6). */
  readonly isBare: boolean
}

function dataLines(event: Buffer): DataLine[] {
  const lines: DataLine[] = []
  let at = 0
  while (at < event.length) {
    let end = lineEnd(event, at)
    if (end === -1) end = event.length
    const next = end + (event[end] === carriageReturn && event[end + 1] === newline ? 2 : 1)
    const name = event[at] === 0x64 ? event.toString('latin1', at, Math.min(at + 5, end)) : ''
    if (name === 'data:') {
      // One space behind the colon does not count.
      const start = event[at + 5] === space ? at + 6 : at + 5
      lines.push({ at, start: Math.min(start, end), end, next, isBare: false })
    } else if (name === 'data') lines.push({ at, start: end, end, next, isBare: true })
    at = next
  }
  return lines
}

function lineEnd(bytes: Buffer, from: number): number {
  const feed = bytes.indexOf(newline, from)
  const stop = feed === -1 ? bytes.length : feed
  for (let at = from; at < stop; at++) if (bytes[at] === carriageReturn) return at
  return feed
}
