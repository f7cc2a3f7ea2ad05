/** The head of an HTTP/1 answer: its status line and fields, read strictly, and what they say about the body (RFC 9112 §4–§6). */
import type { Headers } from '../plugin.ts'
import { failure } from './client.ts'
import { addHeader, dropNamed, hopByHop } from './headers.ts'

/** A head that was understood. */
export interface Head {
  readonly status: number
  /** Lower case, without those of one hop. */
  readonly headers: Headers
  /** Bytes of the body, or how it is told that it has ended. */
  readonly body: number | 'chunked' | 'close'
  /** Whether the connection may serve another request afterwards. */
  readonly isKept: boolean
  /** Seconds the server keeps it when it is idle; null: it does not say. */
  readonly keepAlive: number | null
}

/** The most bytes of a head, as undici and Go have it within a factor of two; no API is known to send a tenth. */
export const headLimit = 64 * 1024
/** The most fields of a head. Node takes 2000, in heads of 16 KiB. */
const mostFields = 256

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** What stands in no value: controls, and with them every line break (RFC 9110 §5.5). */
const illegal = /[^\t\x20-\x7e\x80-\xff]/
/** A reason is for people and goes no further; llhttp and undici read these versions alike. */
const statusLine = /^HTTP\/(?:1\.([01])|2\.0) ([1-9]\d\d)(?: [^\r\n]*)?$/
/** Fifteen digits are less than 2⁵³. One length and one number: lists, signs and repetitions are how answers are smuggled. */
const lengthForm = /^\d{1,15}$/

/** What a field is to the one who reads a head. */
type Kind = 'plain' | 'dropped' | 'content-length' | 'transfer-encoding' | 'connection' | 'keep-alive'

interface Field {
  readonly name: string
  readonly kind: Kind
}

const framing: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive'])

/**
 * Names as they came, and what they are: checking one and making it lower case costs five times as much as finding it. Bounded, since it
 * is upstreams that choose names.
 */
const known = new Map<string, Field>()
const mostKnown = 1024
const longestKnown = 64

/** Reads a head: `text` is latin1, and every line of it, the last one too, ends with CRLF. Throws BAD_ANSWER. */
export function readHead(text: string, method: string): Head {
  const lineEnd = text.indexOf('\r\n')
  const line = statusLine.exec(text.slice(0, lineEnd))
  if (!line) throw failure('BAD_ANSWER', 'the status line is none')
  const status = Number(line[2])
  const headers: Headers = {}
  let length: string | null = null
  let coding: string | null = null
  let connection = ''
  let keepAlive: number | null = null
  let fields = 0
  for (let at = lineEnd + 2; at < text.length;) {
    const end = text.indexOf('\r\n', at)
    const colon = text.indexOf(':', at)
    if (colon === -1 || colon > end) throw failure('BAD_ANSWER', 'a header line has no colon')
    if (++fields > mostFields) throw failure('BAD_ANSWER', 'too many header lines')
    const { name, kind } = fieldOf(text.slice(at, colon))
    const value = valueOf(text, colon + 1, end)
    at = end + 2
    if (kind === 'plain') addHeader(headers, name, value)
    else if (kind === 'content-length') {
      if (length !== null || !lengthForm.test(value)) throw failure('BAD_ANSWER', 'Content-Length is no length')
      length = headers[name] = value
    } else if (kind === 'transfer-encoding') {
      // Codings beside chunked would travel on as if there were none. With a tab beside it, parsers differ in whether it is the word.
      if (coding !== null || value.toLowerCase() !== 'chunked' || text.slice(colon, end).includes('\t'))
        throw failure('BAD_ANSWER', 'an unknown transfer coding')
      coding = value
    } else if (kind === 'connection') connection = connection === '' ? value : `${connection}, ${value}`
    else if (kind === 'keep-alive') keepAlive = secondsOf(value)
  }
  if (length !== null && coding !== null) throw failure('BAD_ANSWER', 'both Content-Length and Transfer-Encoding')
  if (connection !== '') dropNamed(headers, connection)
  const body = bodyOf(method, status, length, coding)
  // HTTP/1.0 is not kept, whatever it says. A 204 that announces a body may yet send it (RFC 9110 §8.6 forbids both).
  const isOdd = line[1] === '0' || body === 'close' || (status === 204 && (coding !== null || Number(length) > 0))
  return { status, headers, body, isKept: !isOdd && !closes(connection), keepAlive }
}

/** Checks the fields behind the last chunk. They are dropped: nothing that was promised before the body may be changed after it. */
export function checkTrailers(text: string): void {
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\r\n', at)
    const colon = text.indexOf(':', at)
    if (colon === -1 || colon > end) throw failure('BAD_ANSWER', 'a trailer line has no colon')
    const { kind } = fieldOf(text.slice(at, colon))
    // RFC 9110 §6.5.1: what frames a message cannot come behind it.
    if (kind === 'content-length' || kind === 'transfer-encoding') throw failure('BAD_ANSWER', 'a trailer that frames')
    valueOf(text, colon + 1, end)
    at = end + 2
  }
}

function fieldOf(raw: string): Field {
  const found = known.get(raw)
  if (found) return found
  // A line that goes on with the one before begins with a space, which is in no token: obsolete folding is refused here.
  if (!token.test(raw)) throw failure('BAD_ANSWER', 'a header name is none')
  const name = raw.toLowerCase()
  // `framing` holds the four words of Kind that are names.
  const kind = framing.has(name) ? (name as Kind) : hopByHop.has(name) ? 'dropped' : 'plain'
  const field = { name, kind }
  if (known.size < mostKnown && raw.length <= longestKnown) known.set(raw, field)
  return field
}

/** The value between two places, without the white space around it. */
function valueOf(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  const value = text.slice(start, end)
  if (illegal.test(value)) throw failure('BAD_ANSWER', 'a header value has a control character in it')
  return value
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** RFC 9112 §6.3, in its order. */
function bodyOf(method: string, status: number, length: string | null, coding: string | null): Head['body'] {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 0
  if (coding !== null) return 'chunked'
  return length === null ? 'close' : Number(length)
}

function closes(connection: string): boolean {
  if (connection === '' || connection === 'keep-alive') return false
  return /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(connection)
}

function secondsOf(keepAlive: string): number | null {
  const found = /(?:^|[,;])\s*timeout=(\d{1,9})\b/i.exec(keepAlive)
  return found ? Number(found[1]) : null
}
