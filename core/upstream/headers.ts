/** Which headers travel: those that belong to one connection never do, in either direction. */
import type { Headers } from '../plugin.ts'

/**
 * RFC 9110 §7.6.1, the three older ones that proxies still meet, and the framing, which each side makes anew; and the one name that
 * no object can hold.
 */
export const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  '__proto__',
])

/** Headers of the request that belong to this hop too: the host is the upstream's, `Expect` was answered here. */
const ours = new Set([...hopByHop, 'host', 'expect', 'content-length'])

/** The headers to send on: a fresh object, without the hop-by-hop ones and those that `Connection` names. */
export function requestHeaders(headers: Readonly<Headers>): Headers {
  const sent: Headers = {}
  const named = namedByConnection(headers.connection)
  for (const name in headers) {
    if (!ours.has(name) && (named === null || !named.has(name))) sent[name] = headers[name]
  }
  return sent
}

/**
 * The headers of an upstream's answer from its raw list of names and values, lower case, without the hop-by-hop ones. What
 * appears more than once becomes an array. Throws where the body is in another transfer coding than chunked. For undici: the
 * gateway's own client reads heads itself.
 */
export function answerHeaders(raw: readonly Buffer[]): Headers {
  const headers: Headers = {}
  let connection = ''
  let isCoded = false
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at]!.toString('latin1').toLowerCase()
    if (hopByHop.has(name)) {
      const value = raw[at + 1]!.toString('latin1')
      if (name === 'connection') connection = connection === '' ? value : `${connection}, ${value}`
      else if (name === 'transfer-encoding') {
        // undici takes off the last coding, chunked, and passes the others on as if there were none.
        if (isCoded || value.trim().toLowerCase() !== 'chunked') throw new Error('an unknown transfer coding')
        isCoded = true
      }
      continue
    }
    addHeader(headers, name, raw[at + 1]!.toString('latin1'))
  }
  if (connection !== '') dropNamed(headers, connection)
  return headers
}

/** Puts a header there; what appears more than once becomes an array. `name` is lower case, and not `__proto__`. */
export function addHeader(headers: Headers, name: string, value: string): void {
  // Every object has a member called constructor already.
  const before = Object.hasOwn(headers, name) ? headers[name] : undefined
  if (before === undefined) headers[name] = value
  else if (typeof before === 'string') headers[name] = [before, value]
  else before.push(value)
}

/** Takes out what the value of a Connection header names. */
export function dropNamed(headers: Headers, connection: string): void {
  const named = namedByConnection(connection)
  if (named !== null) for (const name of named) delete headers[name]
}

/** What a Connection header names beside the two words that everyone sends; null where that is nothing. */
function namedByConnection(value: string | string[] | undefined): Set<string> | null {
  if (value === undefined || value === 'keep-alive' || value === 'close') return null
  const names = String(value)
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    // What frames the message cannot be named away (RFC 9110 §7.6.1).
    .filter((name) => name !== '' && name !== 'content-length' && name !== 'host')
  return new Set(names)
}
