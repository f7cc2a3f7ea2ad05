/** Whose session it is: two tenants that name their sessions alike never share a binding. */
import type { Headers } from 'postern/plugin'
import { longHash } from './keys.ts'

/** Who was admitted, as far as this plugin looks at it. */
export interface Admitted {
  readonly id: string
  readonly group: string | null
}

/**
 * The principal, else the client's credential by its hash, else the client's address. The @ keeps the kinds apart: it is escaped in
 * a principal's id.
 */
export function tenantOf(
  principal: Admitted | null,
  headers: Readonly<Headers>,
  query: string,
  client: string,
): string {
  if (principal) return encodeURIComponent(principal.id)
  const credential = credentialOf(headers, query)
  if (credential !== null) return `key@${longHash(credential).slice(0, 32)}`
  return `address@${encodeURIComponent(client)}`
}

/** The same key is the same tenant, whichever of these carries it. */
const scheme = /^Bearer\s+/i

/** Where clients of any of these APIs send their keys. */
const places = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key']

function credentialOf(headers: Readonly<Headers>, query: string): string | null {
  for (const place of places) {
    const value = headers[place]
    if (typeof value === 'string' && value !== '') return value.replace(scheme, '')
  }
  if (!query.includes('key=')) return null
  return new URLSearchParams(query).get('key')
}
