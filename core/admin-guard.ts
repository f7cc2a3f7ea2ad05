/**
 * Who may ask the admin listener. A browser that visits a hostile page can reach every address of its machine: names that were
 * bound to one of them afterwards (DNS rebinding), other origins, and forms that post are refused, key or no key.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIP, isIPv4, type AddressInfo } from 'node:net'
import type { Settings } from './config/schema.ts'

export type AdminSettings = Exclude<Settings['admin'], false>

/** A page, as far as it matters here. */
export interface Guarded {
  /** Whether it is shown without the key. */
  readonly isPublic: boolean
}

/** Why a request is not answered. */
export interface Turned {
  readonly status: 401 | 403 | 415 | 421
  readonly error: string
}

/** Null where the request may have the page. */
export type Guard = (request: IncomingMessage, page: Guarded) => Turned | null

/** A key that can be guessed is none, in characters. */
const shortestKey = 16

/** Compiles the guard of a listener. Throws where the key is too short. */
export function compileGuard({ key, hosts }: AdminSettings, bound: AddressInfo | string | null): Guard {
  const wanted = key === undefined || key.reveal() === '' ? null : key.reveal()
  if (wanted !== null && wanted.length < shortestKey)
    throw new Error(`admin.key must have ${shortestKey} characters or more`)
  const expected = wanted === null ? null : digest(wanted)
  const known = new Set(hosts.map((host) => host.toLowerCase()))
  // Who may open the socket is for the file system to say, and no browser can.
  const isSocket = typeof bound === 'string' || bound === null
  const isLoopback = !isReachable(bound)

  return ({ method, headers }, { isPublic }) => {
    const hasKey = expected !== null && holds(headers.authorization, expected)
    // Whoever has the key is no page of somebody else's.
    if (!isSocket && !hasKey && !isOwnHost(headers.host, known)) return foreignHost(headers.host)
    if (isForeign(headers, method)) return { status: 403, error: 'a page of another origin may not ask this listener' }
    if (method === 'POST' && !/^application\/json\s*(;|$)/i.test(headers['content-type'] ?? ''))
      return { status: 415, error: 'a POST needs content-type: application/json, which no form can send' }
    if (isPublic || hasKey) return null
    if (expected !== null) return { status: 401, error: 'send the admin key: authorization: Bearer KEY' }
    return isLoopback ? null : keyless
  }
}

const keyless: Turned = {
  status: 403,
  error: 'this listener can be reached from other machines: set admin.key, or listen on 127.0.0.1',
}

function foreignHost(host: string | undefined): Turned {
  const named = JSON.stringify((host ?? '').slice(0, 100))
  return { status: 421, error: `${named} is no name of this listener: ask by address, or add the name to admin.hosts` }
}

/** A name that a resolver answers for may be anybody's; an address and `localhost` are what they say. */
function isOwnHost(host: string | undefined, known: ReadonlySet<string>): boolean {
  const name = /^(\[[^\]]*\]|[^:]*)(:\d{1,5})?$/.exec(host ?? '')?.[1]?.toLowerCase()
  if (name === undefined) return false
  return (
    known.has(name) || name === 'localhost' || name.endsWith('.localhost') || isIP(name.replace(/^\[|\]$/g, '')) > 0
  )
}

/** What a browser says of the page that asks. Going to a link from elsewhere is no harm. */
function isForeign(headers: IncomingMessage['headers'], method = 'GET'): boolean {
  const { origin, host } = headers
  if (origin !== undefined) return !URL.canParse(origin) || new URL(origin).host !== host?.toLowerCase()
  const site = headers['sec-fetch-site']
  if (site === undefined || site === 'same-origin' || site === 'none') return false
  return method !== 'GET' || headers['sec-fetch-mode'] !== 'navigate' || headers['sec-fetch-dest'] !== 'document'
}

/** Whether other machines can reach where it listens. */
export function isReachable(bound: AddressInfo | string | null): boolean {
  return typeof bound === 'object' && bound !== null && !isLoopbackAddress(bound.address)
}

export function isLoopbackAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:/i, '')
  return plain === '::1' || (isIPv4(plain) && plain.startsWith('127.'))
}

/** Compared by their hashes: of equal length, and in a time that tells nothing. */
function holds(authorization: string | undefined, expected: Buffer): boolean {
  const [, given] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? []
  return given !== undefined && timingSafeEqual(digest(given), expected)
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
