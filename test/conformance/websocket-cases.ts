/** What a WebSocket endpoint has to bear (RFC 6455), as data: frames to send, and what has to come back from one that echoes. */
import { closePayload, type FrameSpec, opcodes } from './websocket-frames.ts'

export interface Case {
  readonly name: string
  /** Frames, or bytes as they are. */
  readonly send: readonly (FrameSpec | Buffer)[]
  /** Everything is written in pieces of so many bytes, each in a packet of its own. */
  readonly pieces?: number
  /** Nothing is read until no more can be written. */
  readonly isSlow?: boolean
  readonly expect: Expected
}

export interface Expected {
  /** The messages, in this order: all of them, or where the case ends with a close frame as many as came before it. */
  readonly echo?: readonly Said[]
  readonly pongs?: readonly string[]
  /** The codes of which the answer's close frame must carry one; without, the case ends in peace, with 1000. */
  readonly closes?: readonly number[]
}

interface Said {
  readonly data: string | Buffer
  readonly isBinary: boolean
}

const protocolError = { closes: [1002] }
const notUtf8 = { closes: [1007] }

const text = (payload: string | Buffer, more: Partial<FrameSpec> = {}): FrameSpec => ({ ...more, opcode: 1, payload })
const binary = (payload: string | Buffer, more: Partial<FrameSpec> = {}): FrameSpec => ({ ...more, opcode: 2, payload })
const more = (payload: string | Buffer, fin = false): FrameSpec => ({ opcode: opcodes.continuation, payload, fin })
const ping = (payload: string | Buffer = ''): FrameSpec => ({ opcode: opcodes.ping, payload })
const pong = (payload: string | Buffer = ''): FrameSpec => ({ opcode: opcodes.pong, payload })
const close = (code?: number, reason?: string | Buffer): FrameSpec => ({
  opcode: opcodes.close,
  payload: closePayload(code, reason),
})
const open = { fin: false }
const says = (data: string | Buffer): Said => ({ data, isBinary: false })
const bytes = (data: string | Buffer): Said => ({ data, isBinary: true })
const digits = Array.from({ length: 10 }, (_, at) => String(at))
const hex = (spaced: string): Buffer => Buffer.from(spaced.replaceAll(' ', ''), 'hex')
const pattern = (size: number): Buffer => Buffer.from(Uint8Array.from({ length: size }, (_, at) => (at * 7) & 255))

/** All cases, for an endpoint that takes messages of `limit` bytes and none that are longer. */
export function websocketCases(limit: number): readonly Case[] {
  return [...framing, ...control, ...fragments, ...utf8, ...closing, ...slowness, ...limits(limit)]
}

const framing: readonly Case[] = [
  ...[0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537].flatMap((size): Case[] => [
    { name: `text of ${size} bytes`, send: [text('x'.repeat(size))], expect: { echo: [says('x'.repeat(size))] } },
    { name: `binary of ${size} bytes`, send: [binary(pattern(size))], expect: { echo: [bytes(pattern(size))] } },
  ]),
  {
    name: 'a hundred messages in one packet',
    send: Array.from({ length: 100 }, (_, at) => text(`message ${at}`)),
    expect: { echo: Array.from({ length: 100 }, (_, at) => says(`message ${at}`)) },
  },
  {
    name: 'a message in packets of one byte',
    send: [text('{"type":"response.create"}')],
    pieces: 1,
    expect: { echo: [says('{"type":"response.create"}')] },
  },
  {
    name: 'a length of 16 bits in packets of three bytes',
    send: [binary(pattern(300), { lengthBits: 16 })],
    pieces: 3,
    expect: { echo: [bytes(pattern(300))] },
  },
  {
    name: 'a mask where there must be none, or none where there must be',
    send: [text('x', { mask: 'wrong' })],
    expect: protocolError,
  },
  ...[1, 2, 3, 4, 5, 6, 7].map((rsv): Case => ({
    name: `reserved bits ${rsv}`,
    send: [text('x', { rsv })],
    expect: protocolError,
  })),
  { name: 'a reserved bit on a ping', send: [{ ...ping('x'), rsv: 4 }], expect: protocolError },
  {
    name: 'a reserved bit on a continuation',
    send: [text('a', open), { ...more('b', true), rsv: 4 }],
    expect: protocolError,
  },
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode): Case => ({
    name: `reserved opcode ${opcode}`,
    send: [{ opcode, payload: 'x' }],
    expect: protocolError,
  })),
  {
    name: 'a reserved opcode after a message',
    send: [text('before'), { opcode: 3 }, text('after')],
    expect: { echo: [says('before')], closes: [1002] },
  },
  {
    name: 'a length whose highest bit is set',
    send: [binary('', { announced: 1n << 63n })],
    expect: { closes: [1002, 1009] },
  },
]

const control: readonly Case[] = [
  { name: 'a ping', send: [ping()], expect: { pongs: [''] } },
  { name: 'a ping with a payload', send: [ping('are you there')], expect: { pongs: ['are you there'] } },
  {
    name: 'a ping with bytes that are no text',
    send: [ping(hex('00 ff fe fd'))],
    expect: { pongs: ['\x00\xff\xfe\xfd'] },
  },
  { name: 'a ping of 125 bytes', send: [ping('p'.repeat(125))], expect: { pongs: ['p'.repeat(125)] } },
  { name: 'a ping of 126 bytes', send: [ping('p'.repeat(126))], expect: protocolError },
  { name: 'a ping in packets of one byte', send: [ping('slow')], pieces: 1, expect: { pongs: ['slow'] } },
  { name: 'ten pings', send: digits.map((digit) => ping(digit)), expect: { pongs: digits } },
  { name: 'a pong that nobody asked for', send: [pong('hi'), text('x')], expect: { echo: [says('x')], pongs: [] } },
  { name: 'a pong of 126 bytes', send: [pong('p'.repeat(126))], expect: protocolError },
  { name: 'a ping in parts', send: [{ ...ping('x'), fin: false }, more('y', true)], expect: protocolError },
  { name: 'a pong in parts', send: [{ ...pong('x'), fin: false }], expect: protocolError },
  { name: 'a close in parts', send: [{ ...close(1000), fin: false }], expect: protocolError },
  {
    name: 'a ping between two messages',
    send: [text('a'), ping('p'), text('b')],
    expect: { echo: [says('a'), says('b')], pongs: ['p'] },
  },
]

const fragments: readonly Case[] = [
  { name: 'text in two parts', send: [text('one ', open), more('two', true)], expect: { echo: [says('one two')] } },
  {
    name: 'binary in three parts',
    send: [binary('a', open), more('b'), more('c', true)],
    expect: { echo: [bytes('abc')] },
  },
  { name: 'parts that are empty', send: [text('', open), more(''), more('', true)], expect: { echo: [says('')] } },
  {
    name: 'an empty part between others',
    send: [text('a', open), more(''), more('b', true)],
    expect: { echo: [says('ab')] },
  },
  {
    name: 'a hundred parts of one byte',
    send: [text('0', open), ...Array.from({ length: 98 }, () => more('1')), more('2', true)],
    expect: { echo: [says(`0${'1'.repeat(98)}2`)] },
  },
  {
    name: 'parts in packets of two bytes',
    send: [text('abcdef', open), more('ghijkl', true)],
    pieces: 2,
    expect: { echo: [says('abcdefghijkl')] },
  },
  {
    name: 'pings between the parts',
    send: [text('a', open), ping('1'), more('b'), ping('2'), more('c', true)],
    expect: { echo: [says('abc')], pongs: ['1', '2'] },
  },
  {
    name: 'messages one after the other, in parts and whole',
    send: [text('a', open), more('b', true), binary('c'), text('d', open), more('e', true)],
    expect: { echo: [says('ab'), bytes('c'), says('de')] },
  },
  { name: 'a continuation of nothing', send: [more('x', true)], expect: protocolError },
  { name: 'a continuation of nothing, and not the last', send: [more('x'), text('y')], expect: protocolError },
  {
    name: 'a continuation of a message that has ended',
    send: [text('a', open), more('b', true), more('c', true)],
    expect: { echo: [says('ab')], closes: [1002] },
  },
  { name: 'a text within a message in parts', send: [text('a', open), text('b')], expect: protocolError },
  { name: 'a binary within a text in parts', send: [text('a', open), binary('b', open)], expect: protocolError },
  { name: 'a close within a message in parts', send: [text('a', open), close(1000)], expect: { closes: [1000] } },
]

const valid: Readonly<Record<string, string>> = {
  'of two bytes a character': '\u03ba\u1f79\u03c3\u03bc\u03b5',
  'of four bytes a character': '\u{1f600}\u{10ffff}\u{10000}',
  'with zero bytes': 'a\u0000b',
  'with a byte order mark': '\ufeffx',
  'with characters that are none': '\ufffe\uffff\u{1fffe}',
  'at the borders of the lengths': '\u007f\u0080\u07ff\u0800\ud7ff\ue000\uffff',
}

const invalid: Readonly<Record<string, string>> = {
  'a continuation byte alone': '80',
  'a byte that never appears': 'fe',
  'an overlong slash': 'c0 af',
  'an overlong zero of three bytes': 'e0 80 80',
  'an overlong zero of four bytes': 'f0 80 80 80',
  'a surrogate': 'ed a0 80',
  'a pair of surrogates': 'ed a0 bd ed b8 80',
  'a character beyond the last': 'f4 90 80 80',
  'a character cut off': 'ce ba e1 bd',
  'a start of five bytes': 'f8 88 80 80 80',
  'a wrong byte in the middle of text': '61 62 c3 28 63',
}

const utf8: readonly Case[] = [
  ...Object.entries(valid).map(([what, data]): Case => ({
    name: `text ${what}`,
    send: [text(data)],
    expect: { echo: [says(data)] },
  })),
  ...Object.entries(invalid).map(([what, digits]): Case => ({
    name: `text with ${what}`,
    send: [text(hex(digits))],
    expect: notUtf8,
  })),
  {
    name: 'a character divided between two parts',
    send: [text(hex('ce'), open), more(hex('ba'), true)],
    expect: { echo: [says('\u03ba')] },
  },
  {
    name: 'text with characters divided between packets',
    send: [text('\u{1f600}\u03ba')],
    pieces: 1,
    expect: { echo: [says('\u{1f600}\u03ba')] },
  },
  { name: 'a second part that is no UTF-8', send: [text('ok', open), more(hex('ff'), true)], expect: notUtf8 },
  {
    name: 'parts that end in the middle of a character',
    send: [text('ok', open), more(hex('e2 82'), true)],
    expect: notUtf8,
  },
  { name: 'binary that is no UTF-8', send: [binary(hex('ff fe 80'))], expect: { echo: [bytes(hex('ff fe 80'))] } },
]

const validCodes = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
const invalidCodes = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]

const closing: readonly Case[] = [
  ...validCodes.map((code): Case => ({ name: `close ${code}`, send: [close(code)], expect: { closes: [code] } })),
  ...invalidCodes.map((code): Case => ({ name: `close ${code}`, send: [close(code)], expect: protocolError })),
  { name: 'close without a code', send: [close()], expect: { closes: [1000, 1005] } },
  { name: 'close with half a code', send: [{ opcode: opcodes.close, payload: hex('03') }], expect: protocolError },
  { name: 'close with a reason', send: [close(1000, 'done')], expect: { closes: [1000] } },
  { name: 'close with a reason of 123 bytes', send: [close(1000, 'r'.repeat(123))], expect: { closes: [1000] } },
  { name: 'close with a reason of 124 bytes', send: [close(1000, 'r'.repeat(124))], expect: protocolError },
  { name: 'close with a reason that is no UTF-8', send: [close(1000, hex('ce ba ed a0 80'))], expect: notUtf8 },
  { name: 'a message after close', send: [close(1000), text('late')], expect: { closes: [1000] } },
  { name: 'a ping after close', send: [close(1000), ping('late')], expect: { closes: [1000], pongs: [] } },
  { name: 'close after close', send: [close(1000), close(1001)], expect: { closes: [1000] } },
  { name: 'close after a message', send: [text('x'), close(1000)], expect: { echo: [says('x')], closes: [1000] } },
  { name: 'close in packets of one byte', send: [close(1001, 'bye')], pieces: 1, expect: { closes: [1001] } },
]

const block = 'x'.repeat(64 * 1024)

const slowness: readonly Case[] = [
  {
    name: 'a reader that waits until no more can be written',
    send: Array.from({ length: 256 }, (_, at) => text(`${at} ${block}`)),
    isSlow: true,
    expect: { echo: Array.from({ length: 256 }, (_, at) => says(`${at} ${block}`)) },
  },
  {
    name: 'a writer that writes 7 bytes at a time',
    send: [text('y'.repeat(2000)), ping('p'), binary(pattern(2000))],
    pieces: 7,
    expect: { echo: [says('y'.repeat(2000)), bytes(pattern(2000))], pongs: ['p'] },
  },
]

function limits(limit: number): Case[] {
  const full = Buffer.alloc(limit, 'z')
  const half = full.subarray(0, limit / 2)
  return [
    { name: 'a message of the longest length', send: [text(full)], expect: { echo: [says(full)] } },
    {
      name: 'a message that announces one byte more',
      send: [text('z', { announced: BigInt(limit + 1) })],
      expect: { closes: [1009] },
    },
    {
      name: 'parts of the longest length together',
      send: [text(half, open), more(half, true)],
      expect: { echo: [says(full)] },
    },
    {
      name: 'parts with one byte more together',
      send: [text(half, open), more(half), more('z', true)],
      expect: { closes: [1009] },
    },
    {
      name: 'a message that is too long after one that is not',
      send: [text('before'), binary('z', { announced: 1n << 40n })],
      expect: { echo: [says('before')], closes: [1009] },
    },
  ]
}
