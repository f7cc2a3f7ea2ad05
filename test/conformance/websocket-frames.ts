/** WebSocket frames as bytes (RFC 6455 §5.2), written with every freedom to be wrong and read with none. */
import { randomBytes } from 'node:crypto'

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export interface FrameSpec {
  readonly opcode: number
  readonly payload?: Buffer | string
  readonly fin?: boolean
  /** The three reserved bits as one number: 4 is RSV1. */
  readonly rsv?: number
  /** Four bytes to mask with, or whether to mask; the side's duty where absent, and its opposite for 'wrong'. */
  readonly mask?: boolean | Buffer | 'wrong'
  /** A length to announce in place of the payload's own. */
  readonly announced?: bigint
  /** The form of the length in place of the shortest one: 7, 16 or 64 bits. */
  readonly lengthBits?: 7 | 16 | 64
}

export interface Frame {
  readonly opcode: number
  readonly fin: boolean
  readonly rsv: number
  readonly isMasked: boolean
  readonly payload: Buffer
}

/** The bytes of a frame; `isClient` says whether it is masked where the spec does not. */
export function writeFrame(spec: FrameSpec, isClient: boolean): Buffer {
  const payload = Buffer.from(spec.payload ?? '')
  const mask = maskOf(spec.mask === 'wrong' ? !isClient : (spec.mask ?? isClient))
  const length = spec.announced ?? BigInt(payload.length)
  const bits = spec.lengthBits ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64)
  const head = Buffer.alloc(2 + (bits === 7 ? 0 : bits / 8))
  head[0] = ((spec.fin ?? true) ? 0x80 : 0) | ((spec.rsv ?? 0) << 4) | spec.opcode
  head[1] = (mask ? 0x80 : 0) | (bits === 7 ? Number(length) : bits === 16 ? 126 : 127)
  if (bits === 16) head.writeUInt16BE(Number(length), 2)
  else if (bits === 64) head.writeBigUInt64BE(length, 2)
  return mask ? Buffer.concat([head, mask, masked(payload, mask)]) : Buffer.concat([head, payload])
}

/** The payload of a close frame; without a code it is empty. */
export function closePayload(code?: number, reason: Buffer | string = ''): Buffer {
  if (code === undefined) return Buffer.alloc(0)
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return Buffer.concat([head, Buffer.from(reason)])
}

/** Takes bytes as they come and gives the frames that are whole. Throws on what a correct peer never sends. */
export class FrameReader {
  #bytes: Buffer = Buffer.alloc(0)
  readonly #expectsMask: boolean

  constructor(expectsMask: boolean) {
    this.#expectsMask = expectsMask
  }

  /** Bytes of a frame that has not ended. */
  get rest(): number {
    return this.#bytes.length
  }

  push(chunk: Buffer): Frame[] {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk])
    const frames: Frame[] = []
    for (let frame = this.#next(); frame !== null; frame = this.#next()) frames.push(frame)
    return frames
  }

  #next(): Frame | null {
    const bytes = this.#bytes
    if (bytes.length < 2) return null
    const [first, second] = [bytes[0]!, bytes[1]!]
    const isMasked = (second & 0x80) !== 0
    const form = second & 0x7f
    const lengthBytes = form === 126 ? 2 : form === 127 ? 8 : 0
    const start = 2 + lengthBytes + (isMasked ? 4 : 0)
    if (bytes.length < start) return null
    const length = form === 126 ? bytes.readUInt16BE(2) : form === 127 ? Number(bytes.readBigUInt64BE(2)) : form
    if (bytes.length < start + length) return null
    this.#bytes = bytes.subarray(start + length)
    const raw = bytes.subarray(start, start + length)
    const payload = isMasked ? masked(raw, bytes.subarray(start - 4, start)) : raw
    const frame = { opcode: first & 15, fin: (first & 0x80) !== 0, rsv: (first >> 4) & 7, isMasked, payload }
    this.#check(frame, form)
    return frame
  }

  #check(frame: Frame, form: number): void {
    const { opcode, fin, rsv, isMasked, payload } = frame
    const shortest = payload.length < 126 ? payload.length : payload.length < 65_536 ? 126 : 127
    const known: readonly number[] = Object.values(opcodes)
    if (isMasked !== this.#expectsMask) throw new Error(`a frame that is ${isMasked ? '' : 'not '}masked`)
    if (rsv !== 0) throw new Error(`reserved bits ${rsv} without an extension`)
    if (!known.includes(opcode)) throw new Error(`reserved opcode ${opcode}`)
    if (form !== shortest) throw new Error('a length in a longer form than it needs')
    if (opcode >= 8 && (!fin || payload.length > 125)) throw new Error('a control frame that is too long or in parts')
  }
}

function maskOf(mask: boolean | Buffer): Buffer | null {
  if (mask === false) return null
  return mask === true ? randomBytes(4) : mask
}

function masked(payload: Buffer, mask: Buffer): Buffer {
  const out = Buffer.allocUnsafe(payload.length)
  for (let at = 0; at < payload.length; at++) out[at] = payload[at]! ^ mask[at & 3]!
  return out
}
