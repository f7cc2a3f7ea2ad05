/** The request target, made plain once: what the rules see is what is sent. */

/** A path without its query, and the query with its `?` or nothing. */
export interface RequestTarget {
  readonly path: string
  readonly query: string
}

/**
 * Takes a request target apart. Null for one that two servers could read differently: dot segments, backslashes, control
 * characters, broken percent-encoding, an encoded NUL in the path (where a server written in C may end it, RFC 3986 §7.3), or a
 * host that is not the one of the Host header. Percent-encoded letters, digits and `-._~` are decoded (RFC 3986 §6.2.2.2: it means
 * the same); everything else stays as it came.
 */
export function parseTarget(url: string, host: string | undefined): RequestTarget | null {
  const origin = url[0] === '/' ? url : fromAbsolute(url, host)
  if (origin === null || forbidden.test(origin)) return null
  const mark = origin.indexOf('?')
  const written = mark === -1 ? origin : origin.slice(0, mark)
  const query = mark === -1 ? '' : origin.slice(mark)
  const path = written.includes('%') ? decodeUnreserved(written) : written
  if (path === null || (path.includes('/.') && dotSegment.test(path))) return null
  return { path, query }
}

/**
 * Whether a Host header's value is one (RFC 9110 §7.2): a name, an IPv4 address or an IPv6 address in brackets, and a port. An empty
 * one is what a client sends for a URI without a host, which no http URI is (§4.2.1).
 */
export function isHost(value: string): boolean {
  return wellFormedHost.test(value)
}

const wellFormedHost = /^(?:[\w.~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/

// A fragment never travels; controls, spaces and what is no ASCII do not belong into a target.
const forbidden = /[^!-~]|[\\#]/
const dotSegment = /\/\.{1,2}(\/|$)/

/** `http://host/path` is read as `/path` if the host is the one the client says it speaks to (RFC 9112 §3.2.2). */
function fromAbsolute(url: string, host: string | undefined): string | null {
  const match = /^https?:\/\/([^/?]+)(.*)$/i.exec(url)
  if (!match || host === undefined || match[1]!.toLowerCase() !== host.toLowerCase()) return null
  return match[2]!.startsWith('/') ? match[2]! : `/${match[2]!}`
}

function decodeUnreserved(path: string): string | null {
  if (/%(?!0[1-9A-Fa-f]|[1-9A-Fa-f][0-9A-Fa-f])/.test(path)) return null
  return path.replaceAll(/%([0-9A-Fa-f]{2})/g, (escape, digits: string) => {
    const character = String.fromCodePoint(Number.parseInt(digits, 16))
    return /[A-Za-z0-9._~-]/.test(character) ? character : escape
  })
}
