/** Reads the bytes of one connection as HTTP/1 answers: a machine that gives the same for every way of cutting the same bytes. */
import { failure } from './client.ts'
import { checkTrailers, headLimit, readHead, type Head } from './http1-head.ts'

/** Whoever is told what was read. It may stop the reader from inside each of these. */
export interface Taker {
  /** Informational ones too. */
  onHead(head: Head): void
  /** A slice of what came, never a copy. */
  onBody(chunk: Buffer): void
  /** The answer has ended. `hasRest`: bytes follow that belong to nothing. */
  onWhole(hasRest: boolean): void
}

/** Bytes of a chunk's extensions at the most, as in Node's own parser. */
const extensionLimit = 16 * 1024
/** RFC 9112 §7.1.1, without the white space that it forbids to send. They are dropped; what is none may be the start of a smuggled chunk. */
const extensions =
  /^(?:;[!#$%&'*+\-.^_`|~\w]+(?:=(?:[!#$%&'*+\-.^_`|~\w]+|"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"))?)+$/
/** Bytes of all trailers at the most. */
const trailerLimit = 16 * 1024
/** Digits of a chunk's size, zeros in front included: 2⁵² bytes. */
const sizeDigits = 13

const cr = 0x0d
const lf = 0x0a

type State =
  | 'silent'
  | 'head'
  | 'length'
  | 'close'
  | 'size'
  | 'extension'
  | 'size LF'
  | 'chunk'
  | 'chunk CR'
  | 'chunk LF'
  | 'trailers'

export class AnswerReader {
  readonly #taker: Taker
  #state: State = 'silent'
  #method = 'GET'
  /** Bytes of the body, or of the chunk, that are still to come. */
  #left = 0
  /** Digits of a size so far. */
  #count = 0
  /** The start of a head, or of a chunk's extensions, that came in pieces, and its last three characters. */
  #text = ''
  #tail = ''

  constructor(taker: Taker) {
    this.#taker = taker
  }

  /** An answer to a request with this method is expected. */
  begin(method: string): void {
    this.#method = method
    this.#state = 'head'
    this.#text = ''
    this.#tail = ''
  }

  /** Nothing more is read: the rest of what is being pushed neither. */
  stop(): void {
    this.#state = 'silent'
  }

  /** Reads on. Throws BAD_ANSWER where this can be no answer; what was told before is good. */
  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && this.#state !== 'silent') at = this.#read(chunk, at)
  }

  /** The connection has ended in order. Throws where the answer had not. */
  end(): void {
    if (this.#state !== 'close') throw failure('UPSTREAM_CLOSED', 'the connection ended before the answer')
    this.#state = 'silent'
    this.#taker.onWhole(false)
  }

  /** One step; returns where the next begins. */
  #read(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case 'head':
        return this.#readHead(chunk, at)
      case 'length':
        return this.#readBody(chunk, at)
      case 'close':
        this.#taker.onBody(at === 0 ? chunk : chunk.subarray(at))
        return chunk.length
      case 'chunk':
        return this.#readBody(chunk, at)
      case 'trailers':
        return this.#readTrailers(chunk, at)
      default:
        return this.#readFraming(chunk, at)
    }
  }

  #readHead(chunk: Buffer, from: number): number {
    const at = this.#gather(chunk, from, headLimit)
    const { length } = this.#text
    // Whoever speaks another protocol may wait for us to go on: it is not waited for.
    if (length > 0 && !this.#text.startsWith('HTTP/'.slice(0, length))) throw failure('BAD_ANSWER', 'this is no HTTP/1')
    if (at === -1) return chunk.length
    const head = readHead(this.#text, this.#method)
    this.#text = ''
    if (head.status < 200) {
      // Nobody asks to switch protocols here: what follows would be none that is known.
      if (head.status === 101) throw failure('BAD_ANSWER', 'a switch of protocols that nobody asked for')
      if (!head.isKept) throw failure('BAD_ANSWER', 'an informational answer that is the last')
      this.#taker.onHead(head)
      return at
    }
    const { body } = head
    if (typeof body === 'number') {
      this.#left = body
      this.#state = 'length'
    } else {
      this.#state = body === 'chunked' ? 'size' : 'close'
      this.#count = this.#left = 0
    }
    this.#taker.onHead(head)
    if (body === 0 && this.#isReading('length')) this.#whole(at < chunk.length)
    return at
  }

  /** What is left of a body, or a chunk, as far as it is here. */
  #readBody(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#left)
    this.#left -= end - at
    const isLast = this.#left === 0
    const { length } = chunk
    const state = this.#state
    if (isLast && state === 'chunk') this.#state = 'chunk CR'
    this.#taker.onBody(at === 0 && end === length ? chunk : chunk.subarray(at, end))
    if (isLast && state === 'length' && this.#isReading('length')) this.#whole(end < length)
    return end
  }

  /** The bytes around chunks, one by one. */
  #readFraming(chunk: Buffer, from: number): number {
    let at = from
    for (; at < chunk.length; at++) {
      const byte = chunk[at]!
      if (this.#state === 'size') this.#readSize(byte)
      else if (this.#state === 'extension') this.#readExtension(byte)
      else if (this.#state === 'chunk CR') this.#expect(byte, cr, 'chunk LF')
      else if (this.#state === 'chunk LF') {
        this.#expect(byte, lf, 'size')
        this.#count = this.#left = 0
      } else {
        this.#expect(byte, lf, this.#left === 0 ? 'trailers' : 'chunk')
        // With the line break in front, no trailers at all end like some.
        if (this.#left === 0) this.#text = this.#tail = '\r\n'
        return at + 1
      }
    }
    return at
  }

  #readSize(byte: number): void {
    const digit = hexDigit(byte)
    if (digit !== -1) {
      if (++this.#count > sizeDigits) throw failure('BAD_ANSWER', 'a chunk size is too long')
      this.#left = this.#left * 16 + digit
    } else if (this.#count === 0) throw failure('BAD_ANSWER', 'a chunk size is none')
    else if (byte === 0x3b) {
      this.#state = 'extension'
      this.#text = ';'
    } else this.#expect(byte, cr, 'size LF')
  }

  #readExtension(byte: number): void {
    if (byte !== cr) {
      this.#text += String.fromCharCode(byte)
      if (this.#text.length > extensionLimit) throw failure('BAD_ANSWER', 'a chunk extension is too long')
      return
    }
    if (!extensions.test(this.#text)) throw failure('BAD_ANSWER', 'a chunk extension is none')
    this.#text = ''
    this.#state = 'size LF'
  }

  #expect(byte: number, wanted: number, next: State): void {
    if (byte !== wanted) throw failure('BAD_ANSWER', 'a chunk does not end where it should')
    this.#state = next
  }

  #readTrailers(chunk: Buffer, from: number): number {
    const at = this.#gather(chunk, from, trailerLimit)
    if (at === -1) return chunk.length
    checkTrailers(this.#text.slice(2))
    this.#text = ''
    this.#whole(at < chunk.length)
    return at
  }

  #whole(hasRest: boolean): void {
    this.#state = 'silent'
    this.#taker.onWhole(hasRest)
  }

  /** Asks anew: the taker, which was told something meanwhile, may have stopped the reader. */
  #isReading(state: State): boolean {
    return this.#state === state
  }

  /**
   * Gathers lines into `#text` up to an empty one, which is left out; returns where that ends, or -1 where it is not here yet. Of what has
   * come before, only the last three characters are looked at again.
   */
  #gather(chunk: Buffer, from: number, limit: number): number {
    if (this.#text === '') {
      const end = chunk.indexOf('\r\n\r\n', from, 'latin1')
      // Beyond the limit the slow way tells why.
      if (end !== -1 && end + 2 - from <= limit) {
        this.#text = chunk.toString('latin1', from, end + 2)
        return end + 4
      }
    }
    const room = limit + 4 - this.#text.length
    const window = this.#tail + chunk.toString('latin1', from, from + room)
    const end = window.indexOf('\r\n\r\n')
    const lines = end === -1 ? window : window.slice(0, end + 4)
    if (bareLineFeed.test(lines) || (this.#text === '' && lines.startsWith('\n')))
      throw failure('BAD_ANSWER', 'a line ends with a bare LF')
    this.#text += lines.slice(this.#tail.length)
    if (this.#text.length > limit + 2) throw failure('BAD_ANSWER', 'a head is too long')
    const taken = from + lines.length - this.#tail.length
    this.#tail = lines.slice(-3)
    if (end === -1) return -1
    this.#text = this.#text.slice(0, -2)
    this.#tail = ''
    return taken
  }
}

const bareLineFeed = /[^\r]\n/

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
