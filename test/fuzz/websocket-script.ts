/** An input as frames of one side of a WebSocket, right ones and wrong ones, and what a reader by the letter of RFC 6455 makes of them. */
import { isUtf8 } from 'node:buffer'
import { type FrameSpec, opcodes, writeFrame } from '../conformance/websocket-frames.ts'
import type { Choices } from './target.ts'

export interface Script {
  /** What is written, piece by piece. */
  readonly pieces: readonly Buffer[]
  /** The messages that are whole before anything is wrong. */
  readonly messages: readonly Message[]
  /** How it ends: with a fault, with a close frame, with neither, or in a way that this reader does not follow. */
  readonly end: 'fault' | 'close' | 'open' | 'unclear'
}

export interface Message {
  readonly data: Buffer
  readonly isBinary: boolean
}

/** Each frame is four bytes and its payload: first byte of the head, what is odd about it, how it is cut, and its length. */
export function scriptOf(choices: Choices, isClient: boolean): Script {
  const frames: Described[] = []
  const pieces: Buffer[] = []
  while (!choices.isOver && frames.length < 40) {
    const frame = describe(choices)
    frames.push(frame)
    const bytes = frame.raw ?? writeFrame(frame.spec, isClient)
    if (frame.cut > 0 && frame.cut < bytes.length) pieces.push(bytes.subarray(0, frame.cut), bytes.subarray(frame.cut))
    else pieces.push(bytes)
  }
  return { pieces, ...read(frames) }
}

/** What is odd about a frame. */
type Oddity = 'none' | 'raw' | 'mask' | 'announced' | 'long form' | 'huge'

interface Described {
  readonly spec: FrameSpec
  readonly oddity: Oddity
  readonly cut: number
  /** Bytes in place of a frame. */
  readonly raw: Buffer | null
}

const oddities: readonly Oddity[] = [
  'none',
  'none',
  'none',
  'none',
  'none',
  'raw',
  'mask',
  'announced',
  'long form',
  'huge',
]

const unclear: readonly Oddity[] = ['raw', 'announced', 'long form']

function describe(choices: Choices): Described {
  const head = choices.below(256)
  const oddity = choices.pick(oddities)
  const cut = choices.below(16)
  const length = choices.below(256)
  const payload = choices.take(length)
  const spec: FrameSpec = {
    opcode: head & 15,
    fin: (head & 0x80) !== 0,
    rsv: (head >> 4) & 7,
    payload,
    ...(oddity === 'mask' ? { mask: 'wrong' } : {}),
    ...(oddity === 'announced' ? { announced: BigInt(payload.length + 1 + (length & 7)) } : {}),
    ...(oddity === 'long form' ? { lengthBits: payload.length % 2 === 0 ? 16 : 64 } : {}),
    ...(oddity === 'huge' ? { announced: 2n ** 62n, lengthBits: 64 } : {}),
  }
  return { spec, oddity, cut, raw: oddity === 'raw' ? payload : null }
}

function read(frames: readonly Described[]): Pick<Script, 'messages' | 'end'> {
  const messages: Message[] = []
  let parts: Buffer[] = []
  let first = 0
  for (const { spec, oddity } of frames) {
    const { opcode, fin = true, rsv = 0 } = spec
    const payload = Buffer.from(spec.payload ?? '')
    // Bytes in place of a frame may be one; behind a length that is not true the next frame may be payload; longer forms are read by many.
    if (unclear.includes(oddity)) return { messages, end: 'unclear' }
    if (oddity !== 'none' || rsv !== 0) return { messages, end: 'fault' }
    if (opcode >= 8) {
      if (!fin || payload.length > 125 || opcode > opcodes.pong) return { messages, end: 'fault' }
      if (opcode === opcodes.close) return { messages, end: 'close' }
      continue
    }
    if (opcode > opcodes.binary || (opcode === opcodes.continuation) !== parts.length > 0)
      return { messages, end: 'fault' }
    if (opcode !== opcodes.continuation) first = opcode
    parts.push(payload)
    if (!fin) continue
    const data = Buffer.concat(parts)
    parts = []
    if (first === opcodes.text && !isUtf8(data)) return { messages, end: 'fault' }
    messages.push({ data, isBinary: first === opcodes.binary })
  }
  return { messages, end: 'open' }
}
