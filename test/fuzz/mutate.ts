/** Changes an input a little: the bytes of one, spoilt, doubled, moved, mixed with those of another, or with words that matter. */
import type { Random } from './random.ts'

export interface Mutations {
  /** Pieces that mean something to whatever reads the input. */
  readonly words: readonly Buffer[]
  /** The length in bytes that no input exceeds. */
  readonly longest: number
}

/** Another input made of `input`, with up to six changes; `other` may lend bytes. The same random numbers, the same result. */
export function mutate(random: Random, input: Buffer, other: Buffer, { words, longest }: Mutations): Buffer {
  let result = input
  for (let times = 1 + random.length(6); times > 0; times--) result = changed(random, result, other, words)
  return result.length > longest ? result.subarray(0, longest) : result
}

/** Bytes at which readers change their minds: ends of ranges, signs, and what separates in some format. */
const telling = Buffer.from('\0\x01\t\n\r\x1f "\'%,-./09:;<=?@AZ[\\]_`az{|}~\x7f', 'latin1')
const high = [0x80, 0xbf, 0xc0, 0xc3, 0xe2, 0xed, 0xf0, 0xf4, 0xf8, 0xfe, 0xff]

/** Numbers beside which lengths and counters go wrong. */
const boundaries = [0, 1, 7, 15, 16, 31, 32, 63, 64, 125, 126, 127, 128, 255, 256, 1023, 4096, 65_535, 65_536]
const enormous = [
  '2147483647',
  '2147483648',
  '4294967296',
  '9007199254740993',
  '18446744073709551616',
  '-1',
  '00',
  '+1',
]

type Change = (random: Random, input: Buffer, other: Buffer, words: readonly Buffer[]) => Buffer

const changes: readonly Change[] = [
  // A bit, a byte.
  (random, input) => put(input, random.below(input.length + 1), 1, Buffer.of((input[0] ?? 0) ^ (1 << random.below(8)))),
  (random, input) => {
    const at = random.below(input.length + 1)
    return put(input, at, 1, Buffer.of((input[at] ?? 0) ^ (1 << random.below(8))))
  },
  (random, input) => put(input, random.below(input.length + 1), random.below(2), Buffer.of(someByte(random))),
  // A range that goes, comes twice, comes often, or stands elsewhere.
  (random, input) => put(input, random.below(input.length + 1), 1 + random.length(input.length), Buffer.alloc(0)),
  (random, input) => {
    const range = someRange(random, input)
    return put(input, random.below(input.length + 1), 0, range)
  },
  (random, input) => {
    const range = someRange(random, input).subarray(0, 8)
    const times = random.pick(boundaries.slice(0, 15))
    return put(input, random.below(input.length + 1), 0, Buffer.concat(Array.from({ length: times }, () => range)))
  },
  (random, input) => put(input, random.below(input.length + 1), random.length(16), someRange(random, input)),
  // A word, in between or over what was there.
  (random, input, _other, words) => put(input, random.below(input.length + 1), 0, someWord(random, words)),
  (random, input, _other, words) => put(input, random.below(input.length + 1), 0, someWord(random, words)),
  (random, input, _other, words) => {
    const word = someWord(random, words)
    return put(input, random.below(input.length + 1), word.length, word)
  },
  // A number in place of another.
  (random, input) => {
    const text = random.below(3) === 0 ? random.pick(enormous) : String(random.pick(boundaries) + random.below(3) - 1)
    const at = numberIn(random, input)
    return put(input, at[0], at[1], Buffer.from(text))
  },
  // Of another input.
  (random, input, other) => put(input, random.below(input.length + 1), random.length(32), someRange(random, other)),
  (random, input, other) =>
    Buffer.concat([input.subarray(0, random.below(input.length + 1)), other.subarray(random.below(other.length + 1))]),
  (random, input) => input.subarray(0, random.below(input.length + 1)),
]

function changed(random: Random, input: Buffer, other: Buffer, words: readonly Buffer[]): Buffer {
  return random.pick(changes)(random, input, other, words)
}

function put(input: Buffer, at: number, remove: number, bytes: Buffer): Buffer {
  return Buffer.concat([input.subarray(0, at), bytes, input.subarray(at + remove)])
}

function someByte(random: Random): number {
  const kind = random.below(4)
  return kind === 0 ? random.below(256) : kind === 1 ? random.pick(high) : telling[random.below(telling.length)]!
}

function someRange(random: Random, input: Buffer): Buffer {
  const at = random.below(input.length + 1)
  return input.subarray(at, at + 1 + random.length(input.length - at))
}

function someWord(random: Random, words: readonly Buffer[]): Buffer {
  return words.length === 0 ? Buffer.of(someByte(random)) : random.pick(words)
}

/** Where digits stand, from a random place on; nothing, at that place, where there are none. */
function numberIn(random: Random, input: Buffer): [at: number, length: number] {
  const from = random.below(input.length + 1)
  for (let at = from; at < input.length; at++) {
    if (!isDigit(input[at])) continue
    let end = at
    while (isDigit(input[end])) end++
    return [at, end - at]
  }
  return [from, 0]
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39
}
