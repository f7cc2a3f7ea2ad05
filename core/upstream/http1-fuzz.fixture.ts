/** Answers by the thousand, good ones and such as have been spoilt, and what two parsers make of them: ours, and Node's own (llhttp). */
import { ClientRequest, type IncomingMessage } from 'node:http'
import { Duplex } from 'node:stream'
import type { Headers } from '../plugin.ts'
import { AnswerReader, type Taker } from './http1-answer.ts'
import type { Head } from './http1-head.ts'
import { answerHeaders } from './headers.ts'

/** What a parser made of an answer. What came before it broke counts too. */
export interface Reading {
  readonly outcome: 'whole' | 'refused' | 'cut' | 'waits'
  readonly why: string
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/** An answer to one request, and whether the connection ends behind it. */
export interface Answer {
  readonly method: 'GET' | 'HEAD'
  readonly bytes: Buffer
  readonly ends: boolean
}

class Collector implements Taker {
  status = 0
  headers: Headers = {}
  readonly chunks: Buffer[] = []
  isWhole = false
  hasRest = false

  onHead({ status, headers }: Head): void {
    if (status < 200) return
    this.status = status
    this.headers = headers
  }

  onBody(chunk: Buffer): void {
    this.chunks.push(chunk)
  }

  onWhole(hasRest: boolean): void {
    this.isWhole = true
    this.hasRest = hasRest
  }
}

/** The answer without what follows its end: that belongs to no answer, and parsers differ in whether they look at it. */
export function withoutRest(answer: Answer): Answer {
  const taker = new Collector()
  const reader = new AnswerReader(taker)
  reader.begin(answer.method)
  try {
    for (let at = 0; at < answer.bytes.length; at++) {
      reader.push(answer.bytes.subarray(at, at + 1))
      if (taker.isWhole) return { ...answer, bytes: answer.bytes.subarray(0, at + 1) }
    }
  } catch {
    // It breaks before its end: it is compared as it is.
  }
  return answer
}

/** Reads with our own parser; `cuts` are the places where the bytes are cut into pieces, in order. */
export function readOurs({ method, bytes, ends }: Answer, cuts: readonly number[]): Reading {
  const taker = new Collector()
  const reader = new AnswerReader(taker)
  reader.begin(method)
  let outcome: Reading['outcome'] = 'waits'
  let why = ''
  try {
    let from = 0
    for (const cut of [...cuts, bytes.length]) {
      if (!taker.isWhole) reader.push(bytes.subarray(from, cut))
      from = cut
    }
    if (ends && !taker.isWhole) reader.end()
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException // `failure` made it
    outcome = code === 'BAD_ANSWER' ? 'refused' : 'cut'
    why = message
  }
  if (taker.isWhole) outcome = 'whole'
  const { status, headers } = taker
  return { outcome, why, status, headers, body: Buffer.concat(taker.chunks).toString('latin1') }
}

/** A socket that says what it is told to, and takes everything. */
class Said extends Duplex {
  constructor() {
    super({ read() {}, write: (_chunk, _encoding, done) => done() })
  }

  // What node:http asks of a socket beside its being a stream.
  setTimeout(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
}

/** Begins to read with Node's own client; the reading is there two turns of the event loop later. */
export function readNodes({ method, bytes, ends }: Answer): () => Reading {
  const socket = new Said()
  const chunks: Buffer[] = []
  let answer: IncomingMessage | null = null
  let outcome: Reading['outcome'] = 'waits'
  let why = ''
  const settle = (next: Reading['outcome'], reason = '') => {
    if (outcome !== 'waits') return
    outcome = next
    why = reason
  }
  const request = new ClientRequest({
    method,
    path: '/',
    host: 'upstream',
    maxHeaderSize: 2 ** 17,
    createConnection: () => socket,
  })
  request.on('error', (error: NodeJS.ErrnoException) =>
    settle(error.code?.startsWith('HPE_') ? 'refused' : 'cut', error.code),
  )
  request.on('upgrade', () => settle('refused', 'upgrade'))
  request.on('response', (response) => {
    answer = response
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => settle('whole'))
    response.on('error', (error: NodeJS.ErrnoException) => settle('cut', error.code))
  })
  request.end()
  setImmediate(() => {
    socket.push(bytes)
    if (ends) socket.push(null)
  })
  return () => {
    const raw = answer?.rawHeaders.map((text) => Buffer.from(text, 'latin1')) ?? []
    const status = answer?.statusCode ?? 0
    const headers = answer === null ? {} : headersOf(raw)
    const body = Buffer.concat(chunks).toString('latin1')
    settle('waits')
    const reading = { outcome, why, status, headers, body }
    request.on('error', () => {})
    socket.destroy()
    request.destroy()
    return reading
  }
}

/** Refuses what the gateway refuses behind llhttp: another transfer coding than chunked. */
function headersOf(raw: Buffer[]): Headers {
  try {
    return answerHeaders(raw)
  } catch {
    return { 'refused-coding': 'yes' }
  }
}

/** Numbers that a seed determines (mulberry32), below `limit`. */
export function randomOf(seed: number): (limit: number) => number {
  let state = seed >>> 0
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit)
  }
}

type Random = ReturnType<typeof randomOf>

/** One answer: good in two cases of five, else spoilt in up to three places. */
export function someAnswer(random: Random): Answer {
  let text = goodAnswer(random)
  if (random(5) > 1) for (let times = 1 + random(3); times > 0; times--) text = spoilt(text, random)
  return { method: random(8) === 0 ? 'HEAD' : 'GET', bytes: Buffer.from(text, 'latin1'), ends: random(2) === 0 }
}

/** Up to four places in a text of this length, in order. */
export function someCuts(length: number, random: Random): number[] {
  return Array.from({ length: random(5) }, () => random(length + 1)).toSorted((one, other) => one - other)
}

const pick = <T>(list: readonly T[], random: Random): T => list[random(list.length)]!

const statuses = [
  '200 OK',
  '200 ',
  '200',
  '204 No Content',
  '304 Not Modified',
  '404 caf\xe9',
  '500 O K',
  '999 x',
  '206 \t',
]
const fields = [
  'content-type: application/json',
  'Set-Cookie: a=1',
  'SET-COOKIE: b=2',
  'x-empty:',
  'x-blank: \t ',
  'X-Latin: caf\xe9',
  'connection: keep-alive',
  'Connection: close',
  'connection: x-hop, close',
  'x-hop: 1',
  'keep-alive: timeout=5, max=100',
  'upgrade: h2c',
  'proxy-authenticate: Basic',
  'constructor: 1',
  '__proto__: 1',
  'trailer: x-sum',
  'date: Sat, 21 Nov 2026 10:00:00 GMT',
]

function goodAnswer(random: Random): string {
  const before =
    random(6) === 0
      ? `HTTP/1.1 ${pick(['100 Continue', '103 Early Hints', '102 x'], random)}\r\nlink: </a>\r\n\r\n`
      : ''
  const lines = Array.from({ length: random(6) }, () => pick(fields, random))
  const body = '{"a":1}'.repeat(random(4)).slice(0, random(22))
  const [framing, bytes] = framed(body, random)
  if (framing !== '') lines.splice(random(lines.length + 1), 0, framing)
  const version = pick(['1.1', '1.1', '1.1', '1.0'], random)
  return `${before}HTTP/${version} ${pick(statuses, random)}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n${bytes}`
}

function framed(body: string, random: Random): [framing: string, bytes: string] {
  const way = random(5)
  if (way === 0) return ['', body]
  if (way < 3) return [`Content-Length: ${body.length}`, body]
  let bytes = ''
  for (let at = 0; at < body.length;) {
    const size = 1 + random(body.length - at)
    const extension = random(5) === 0 ? pick([';a', ';a=1', ';a="x y"', ';'], random) : ''
    bytes += `${size.toString(16)}${extension}\r\n${body.slice(at, at + size)}\r\n`
    at += size
  }
  const trailers = random(5) === 0 ? 'x-sum: 1\r\n' : ''
  return ['Transfer-Encoding: chunked', `${bytes}0\r\n${trailers}\r\n`]
}

/** Bytes on which parsers have been known to part. */
const bytes = '\r|\n|\r\n|\r\n\r\n|\0| |\t|:|;|,|+|-|0|7|f|x|\x7f|\x80|\xff|"'.split('|')
const lines = [
  'content-length: 3\r\n',
  'transfer-encoding: chunked\r\n',
  'Transfer-Encoding: gzip, chunked\r\n',
  'HTTP/1.1 200 OK\r\n',
  'connection: close\r\n',
  ' folded\r\n',
  'connection: upgrade\r\nupgrade: x\r\n',
  '0\r\n\r\n',
  '00000000',
  'ffffffff',
]
const spoilers = [...bytes, ...lines]

function spoilt(text: string, random: Random): string {
  const at = random(text.length + 1)
  const end = Math.min(text.length, at + 1 + random(random(4) === 0 ? 30 : 2))
  switch (random(6)) {
    case 0:
      return text.slice(0, at) + text.slice(end)
    case 1:
      return text.slice(0, at) + pick(spoilers, random) + text.slice(end)
    case 2:
      return text.slice(0, end) + text.slice(at)
    case 3:
      return text.slice(0, at)
    case 4:
      return text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1)
    default:
      return text.slice(0, at) + pick(spoilers, random) + text.slice(at)
  }
}
