/**
 * A parser of HTTP/1.1 requests that takes nothing but what RFC 9110 and 9112 call well-formed, and of that only the forms that
 * every server reads alike. It shares no code with the gateway or with Node's parser: it is what an upstream is at its strictest.
 */

export interface ParsedRequest {
  readonly method: string
  readonly target: string
  /** Names lower case, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: string
}

/** What a connection has said so far. `violation` says what was wrong behind the requests that were right. */
export interface ParsedRequests {
  readonly requests: readonly ParsedRequest[]
  readonly violation: string | null
  /** Bytes of a request that has not come whole. */
  readonly isIncomplete: boolean
}

/** Reads everything that a connection has sent, as latin1. */
export function parseRequests(bytes: string): ParsedRequests {
  const requests: ParsedRequest[] = []
  let at = 0
  try {
    while (at < bytes.length) {
      const next = parseRequest(bytes, at)
      if (next === null) return { requests, violation: null, isIncomplete: true }
      requests.push(next.request)
      at = next.end
    }
    return { requests, violation: null, isIncomplete: false }
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    return { requests, violation: error.message, isIncomplete: true }
  }
}

class Violation extends Error {}

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/
const origin = /^\/[!-~]*$/
/** What belongs to one hop and has no business at the next (RFC 9110 §7.6.1). */
const oneHop =
  /^(keep-alive|proxy-connection|proxy-authenticate|proxy-authorization|te|trailer|upgrade|http2-settings|expect)$/

function parseRequest(bytes: string, start: number): { request: ParsedRequest; end: number } | null {
  const stop = bytes.indexOf('\r\n\r\n', start)
  const seen = stop === -1 ? bytes.slice(start) : bytes.slice(start, stop)
  refuseIf(/(^|[^\r])\n|\r(?!\n|$)/.test(seen), 'a line ends with a bare CR or LF')
  refuseIf(seen.includes('\0'), 'NUL in the head')
  if (stop === -1) return null
  const [first = '', ...lines] = seen.split('\r\n')
  const { method, target } = parseLine(first)
  const headers = lines.map(parseField)
  const named = (wanted: string) => headers.filter(([name]) => name === wanted).map(([, value]) => value)
  refuseIf(named('host').length !== 1, `${named('host').length} Host headers`)
  for (const [name] of headers) refuseIf(oneHop.test(name), `the hop-by-hop header ${name} is passed on`)
  for (const value of named('connection')) refuseIf(!/^(keep-alive|close)$/i.test(value), `Connection: ${value}`)
  const lengths = named('content-length')
  const codings = named('transfer-encoding')
  refuseIf(lengths.length + codings.length > 1, 'two headers that frame the body')
  let end = stop + 4
  let body = ''
  if (codings.length > 0) {
    refuseIf(codings[0] !== 'chunked', `Transfer-Encoding: ${codings[0]}`)
    const chunks = parseChunks(bytes, end)
    if (chunks === null) return null
    ;({ body, end } = chunks)
  } else if (lengths.length > 0) {
    refuseIf(!/^(0|[1-9]\d{0,15})$/.test(lengths[0]!), `Content-Length: ${lengths[0]}`)
    const length = Number(lengths[0])
    if (bytes.length - end < length) return null
    body = bytes.slice(end, end + length)
    end += length
  }
  refuseIf(body !== '' && (method === 'GET' || method === 'HEAD'), `${method} with a body`)
  return { request: { method, target, headers, body }, end }
}

function parseLine(line: string): { method: string; target: string } {
  const parts = line.split(' ')
  const [method = '', target = '', version] = parts
  refuseIf(parts.length !== 3, `the request line ${JSON.stringify(line.slice(0, 80))}`)
  refuseIf(!token.test(method) || method !== method.toUpperCase(), `the method ${JSON.stringify(method)}`)
  refuseIf(method === 'TRACE' || method === 'CONNECT' || method === 'PRI', `the method ${method}`)
  refuseIf(version !== 'HTTP/1.1' && version !== 'HTTP/1.0', `the version ${version}`)
  refuseIf(!origin.test(target) || /[\\#]/.test(target), `the target ${JSON.stringify(target.slice(0, 80))}`)
  const path = target.replace(/\?.*$/, '')
  refuseIf(/%(?![0-9A-Fa-f]{2})/.test(path), 'broken percent-encoding')
  refuseIf(/\/(\.|%2e){1,2}(\/|$)/i.test(path), 'a dot segment')
  return { method, target }
}

function parseField(line: string): [string, string] {
  refuseIf(/^[ \t]/.test(line), 'a folded header line')
  const colon = line.indexOf(':')
  const name = line.slice(0, colon)
  refuseIf(colon < 1 || !token.test(name), `the header line ${JSON.stringify(line.slice(0, 80))}`)
  const value = line.slice(colon + 1)
  refuseIf(!fieldValue.test(value), `the value of ${name}`)
  return [name.toLowerCase(), value.replace(/^[ \t]+|[ \t]+$/g, '')]
}

function parseChunks(bytes: string, start: number): { body: string; end: number } | null {
  let body = ''
  let at = start
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const line = bytes.slice(at, lineEnd === -1 ? undefined : lineEnd)
    refuseIf(!(lineEnd === -1 ? /^[0-9A-Fa-f]{0,8}\r?$/ : /^[0-9A-Fa-f]{1,8}$/).test(line), `the chunk line ${line}`)
    if (lineEnd === -1) return null
    const size = Number.parseInt(line, 16)
    const data = lineEnd + 2
    if (bytes.length < data + size + 2) return null
    refuseIf(
      bytes.slice(data + size, data + size + 2) !== '\r\n',
      'a chunk does not end where it should (or has trailers)',
    )
    if (size === 0) return { body, end: data + 2 }
    body += bytes.slice(data, data + size)
    at = data + size + 2
  }
}

function refuseIf(isWrong: boolean, what: string): void {
  if (isWrong) throw new Violation(what)
}
