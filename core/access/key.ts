/** What is known of a key: everything the checks look at, read once, compiled once. */
import type { AddressSet } from '../address.ts'
import type { Principal } from './principal.ts'

export interface Key {
  readonly principal: Principal
  readonly status: 'active' | 'inactive' | 'quota_exhausted' | 'expired'
  /** ms since the epoch; null: never. */
  readonly expiresAt: number | null
  /** Its quota is used up, whatever its status says. */
  readonly isSpent: boolean
  /** Null: anybody may use it from anywhere. */
  readonly addresses: { readonly allow: AddressSet; readonly deny: AddressSet } | null
  /** The user it belongs to; `none` for keys of gateway.yaml, which have no user. */
  readonly user: 'active' | 'inactive' | 'missing' | 'none'
}

/** Where keys come from. */
export interface KeySource {
  /** By the SHA-256 of the key, in hex; null where nobody has such a key. May reject: then nobody knows. */
  find(hash: string): Key | null | Promise<Key | null>
}
