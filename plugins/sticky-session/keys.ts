/** The keys under which bindings are kept: the new one, and the one that the system before this one wrote. */
import { hash } from 'node:crypto'
import xxhash from 'xxhash-wasm'

const hasher = await xxhash()

/** XXH64 with seed 0, as 16 lower-case hex digits: short, quick, and not for secrets. */
export function shortHash(text: string): string {
  return hasher.h64(text).toString(16).padStart(16, '0')
}

/** SHA-256 as 64 lower-case hex digits: what the old keys are made of. */
export function longHash(text: string): string {
  return hash('sha256', text)
}

/** A binding's two keys. */
export interface Keys {
  readonly key: string
  /** Null where the old system had none for it, none that could be known, or where nobody asks for it any more. */
  readonly legacy: string | null
}

/** The part of a key in braces, which says on which node of a Redis Cluster it lives, and which other plugins are given. */
export function sessionOf(tenant: string, name: string): string {
  return `${tenant}:${name}`
}

/** `sticky_session:{TENANT:NAME}:x`; the x stands for XXH64, and for what another hash could be called beside it. */
export function keyOf(session: string): string {
  return `sticky_session:{${session}}:x`
}

/** `sticky_session:GROUP:NAME`, exactly as the old system wrote it: it knew groups, no tenants. */
export function legacyKeyOf(group: string, name: string): string {
  return `sticky_session:${group}:${name}`
}
