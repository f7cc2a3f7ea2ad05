/** Which requests are refused before they become exchanges, because two servers could read them differently or they are too much. */
import type { IncomingMessage } from 'node:http'
import type { Settings } from './config/schema.ts'
import { fault } from './errors.ts'
import { http } from './http.ts'
import { refuse, type Refusal } from './reply.ts'
import { isHost } from './target.ts'

/** The methods that are passed on. AI APIs use no others; what a server makes of those it does not know is its own affair. */
const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY'])

const allow = { allow: [...methods].join(', ') }

const versionRefused = refuse(505, 'VERSION_REFUSED', 'This gateway speaks HTTP/1.1')

/** The refusal of CONNECT, which Node's parser hands over by itself. */
export const methodRefused: Refusal = fault('METHOD_REFUSED', '', allow)

/**
 * What Node's parser lets through and this gateway does not (RFC 9110 §9.3, §10.1.1; RFC 9112 §2.3, §3.2, §6.1); null for a
 * request that every server reads alike. `limits` are those of gateway.yaml.
 */
export function refusalOfHead(request: IncomingMessage, limits: Settings['limits']): Refusal | null {
  const { method = '', headers, rawHeaders, httpVersionMajor, httpVersionMinor, url = '' } = request
  if (httpVersionMajor !== 1) return versionRefused
  if (!methods.has(method)) return methodRefused
  if (url.length > limits.url)
    return refuse(414, 'TARGET_TOO_LONG', `The request target is longer than ${limits.url} bytes`)
  if (rawHeaders.length > 2 * limits.headers)
    return refuse(431, 'TOO_MANY_HEADERS', `The request has more than ${limits.headers} headers`)
  const { 'transfer-encoding': coding, 'content-length': length, host } = headers
  if (coding !== undefined) {
    if (httpVersionMinor === 0) return fault('BAD_REQUEST', 'HTTP/1.0 has no Transfer-Encoding')
    if (coding.toLowerCase() !== 'chunked')
      return refuse(501, 'CODING_REFUSED', 'The only transfer coding this gateway reads is chunked, once')
  }
  if (
    (method === 'GET' || method === 'HEAD') &&
    (coding !== undefined || (length !== undefined && Number(length) !== 0))
  )
    return fault('BAD_REQUEST', `${method} has no body`)
  if (hostsIn(rawHeaders) > 1) return fault('BAD_REQUEST', 'it has more than one Host')
  if (host === undefined ? httpVersionMinor > 0 : !isHost(host)) return fault('BAD_REQUEST', 'it has no valid Host')
  return null
}

/** Node keeps the first of several. */
function hostsIn(rawHeaders: readonly string[]): number {
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  return hosts
}

/** Why Node's parser gave a connection up; null where there was no parsing, but the network failed. */
export function refusalOfParser(error: NodeJS.ErrnoException): Refusal | null {
  const { code = '', reason } = error as { code?: string; reason?: string } // an error of the parser has its words too
  if (code === 'HPE_HEADER_OVERFLOW')
    return refuse(431, 'HEADERS_TOO_LARGE', 'The request line and headers are larger than this gateway takes')
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW')
    return refuse(413, 'EXTENSIONS_TOO_LARGE', 'The chunk extensions are larger than this gateway takes')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return refuse(408, 'HEAD_TIMEOUT', 'The request line and headers did not come in time')
  // Under the same code goes a line that is none.
  if (code === 'HPE_INVALID_VERSION' && reason === 'Invalid HTTP version') return versionRefused
  return code.startsWith('HPE_') ? refuse(400, 'MALFORMED', 'The request is not well-formed HTTP/1.1') : null
}

/** A whole answer for a connection that ends with it. There is no exchange, so no dialect: the commonest shape. */
export function plainAnswer({ status, code, message, headers }: Refusal, method = 'GET'): string {
  const body = JSON.stringify({ error: { type: 'invalid_request_error', code, message } })
  const more = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\r\n`)
  return (
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\n${more.join('')}content-type: application/json\r\n` +
    `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${method === 'HEAD' ? '' : body}`
  )
}
