/** Puts a request into the bytes of HTTP/1.1: nothing in it can end a line that should go on. */
import type { Headers } from '../plugin.ts'
import { failure, type Sending } from './client.ts'

/** What the connection itself says, and the framing, which is made here. `expect` would have to be waited for. */
const notTheirs: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
])

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const illegal = /[^\t\x20-\x7e\x80-\xff]/
const illegalInPath = /[^\x21-\x7e\x80-\xff]/

/** Names that were seen to be good. Bounded, since it is clients that choose them. */
const known = new Set<string>()
const mostKnown = 1024

/** Methods whose requests announce an empty body (RFC 9110 §8.6). */
const expectBody: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])

/** Methods that may be sent twice (RFC 9110 §9.2.2). PUT and DELETE are idempotent in theory; an API's may not be. */
const safe: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** The head of a request, as latin1, with the empty line behind it. Throws BAD_REQUEST. */
export function writeHead({ method, path, headers, body }: Sending, host: string): string {
  if (!token.test(method)) throw failure('BAD_REQUEST', 'the method is none')
  if (illegalInPath.test(path) || path === '')
    throw failure('BAD_REQUEST', 'the path has a space or a control character in it')
  let head = `${method} ${path} HTTP/1.1\r\n${line('host', textOf(headers.host) ?? host)}connection: keep-alive\r\n`
  for (const name in headers) {
    const value = headers[name]
    if (value === undefined || notTheirs.has(name)) continue
    checkName(name)
    if (typeof value === 'string') head += line(name, value)
    else for (const one of value) head += line(name, one)
  }
  return `${head}${framingOf(method, headers, body)}\r\n`
}

/** Whether the iterable of a request goes in chunks. */
export function isChunked({ headers }: Sending): boolean {
  return headers['content-length'] === undefined
}

/** Whether the request may be sent once more where nobody knows if the first was carried out. */
export function isRepeatable({ method, headers, body }: Sending): boolean {
  if (body !== null && !Buffer.isBuffer(body)) return false
  return safe.has(method) || headers['idempotency-key'] !== undefined
}

function framingOf(method: string, headers: Headers, body: Sending['body']): string {
  const length = textOf(headers['content-length'])
  if (body === null) return length === '0' || expectBody.has(method) ? 'content-length: 0\r\n' : ''
  if (Buffer.isBuffer(body)) return `content-length: ${body.length}\r\n`
  if (length === undefined) return 'transfer-encoding: chunked\r\n'
  if (!/^\d{1,15}$/.test(length)) throw failure('BAD_REQUEST', 'Content-Length is no length')
  return `content-length: ${length}\r\n`
}

function line(name: string, value: string): string {
  if (illegal.test(value)) throw failure('BAD_REQUEST', `the header ${name} has a character in it that none can carry`)
  return `${name}: ${value}\r\n`
}

function checkName(name: string): void {
  if (known.has(name)) return
  if (!token.test(name)) throw failure('BAD_REQUEST', 'a header name is none')
  if (known.size < mostKnown) known.add(name)
}

function textOf(value: string | string[] | undefined): string | undefined {
  return value === undefined ? undefined : String(value)
}
