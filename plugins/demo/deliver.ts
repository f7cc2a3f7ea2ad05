/** Sends an answer: in its own time, in the pieces asked for, and with the fault asked for. */
import type { ServerResponse } from 'node:http'
import type { Knobs } from './knobs.ts'
import type { Answer } from './voice.ts'

type Headers = Readonly<Record<string, string>>
type Frame = string | Buffer
type Wait = (ms: number, then: () => void) => void

/** Sends an answer. Whatever happens, when the client leaves nothing of it is left: no timer, no listener, no frames. */
export function deliver(response: ServerResponse, answer: Answer, headers: Headers, knobs: Knobs): void {
  // A write after the client has left is an error of the response; nobody needs to know.
  response.on('error', () => {})
  const wait = patience(response)
  const begin = () => send(response, answer, headers, knobs, wait)
  if (knobs.latency > 0) wait(knobs.latency, begin)
  else begin()
}

function send(response: ServerResponse, answer: Answer, headers: Headers, knobs: Knobs, wait: Wait): void {
  const { fault } = knobs
  if (fault === 'stall') return
  if (fault === 'reset') {
    // Not response.socket, which is null while an earlier answer of the same connection is being sent.
    response.req.socket.resetAndDestroy()
    return
  }
  if (fault === 'empty') {
    response.writeHead(200, { ...headers, 'content-type': answer.type, 'content-length': '0' }).end()
    return
  }
  const frames = fault === 'error' ? [answer.failure] : answer.frames
  response.writeHead(answer.status, { ...headers, ...framing(answer, frames) })

  const broken = fault === 'cut' || fault === 'stall-mid'
  if (answer.whole && knobs.write === 0 && !broken) {
    response.end([...frames].join(''))
    return
  }
  const kept: Iterable<Frame> = broken ? half(frames) : frames
  pump(response, knobs.write > 0 ? recut(kept, knobs.write) : kept, knobs.interval, wait, () => {
    if (fault === 'cut') response.destroy()
    else if (fault !== 'stall-mid') response.end()
  })
}

/** A whole answer promises its full length, even where only half of it will come. */
function framing(answer: Answer, frames: Iterable<string>): Headers {
  if (!answer.whole) return { 'content-type': answer.type, 'cache-control': 'no-cache' }
  let length = 0
  for (const frame of frames) length += Buffer.byteLength(frame)
  return { 'content-type': answer.type, 'content-length': String(length) }
}

/**
 * Writes frame after frame, each by itself: the next one waits for the interval, or for the next turn of the event
 * loop, since Node joins what is written in one turn; and for a client that reads slowly.
 */
function pump(
  response: ServerResponse,
  frames: Iterable<Frame>,
  interval: number,
  wait: Wait,
  ended: () => void,
): void {
  const source = frames[Symbol.iterator]()
  const step = () => {
    const next = nextOf(source)
    if (next === undefined) response.destroy()
    else if (next.done === true) ended()
    else if (response.write(next.value)) wait(interval, step)
    else response.once('drain', () => wait(interval, step))
  }
  response.once('close', () => source.return?.())
  step()
}

/** The next frame, or undefined where it cannot be made: what a request holds may be too deep for JSON.stringify. */
function nextOf(source: Iterator<Frame>): IteratorResult<Frame> | undefined {
  try {
    return source.next()
  } catch {
    return undefined
  }
}

/** Waits that end with the response: when the client leaves, what was waited for does not happen. One at a time. */
function patience(response: ServerResponse): Wait {
  let forget = () => {}
  response.once('close', () => forget())
  return (ms, then) => {
    if (response.destroyed) return
    if (ms > 0) {
      const timer = setTimeout(then, ms)
      forget = () => clearTimeout(timer)
    } else {
      const immediate = setImmediate(then)
      forget = () => clearImmediate(immediate)
    }
  }
}

/** The first half of the frames, and of the frame in the middle its first half. */
function half(frames: Iterable<string>): Frame[] {
  const all = [...frames]
  const middle = all.length >> 1
  const broken = Buffer.from(all[middle] ?? '')
  return [...all.slice(0, middle), broken.subarray(0, broken.length >> 1)]
}

/** The same bytes in pieces of `size`, wherever that cuts. */
function* recut(frames: Iterable<Frame>, size: number): Generator<Buffer> {
  let waiting: Buffer[] = []
  let length = 0
  for (const frame of frames) {
    const bytes = Buffer.from(frame)
    waiting.push(bytes)
    length += bytes.length
    if (length < size) continue
    const whole = Buffer.concat(waiting)
    const rest = length % size
    for (let at = 0; at < length - rest; at += size) yield whole.subarray(at, at + size)
    waiting = [whole.subarray(length - rest)]
    length = rest
  }
  if (length > 0) yield Buffer.concat(waiting)
}
