/** Keys, as operators see and change them. A key is shown once, to whoever made it; what is kept is its SHA-256. */
import { hash, randomBytes } from 'node:crypto'
import { isAddressPattern } from '../address.ts'
import type { Database, Query } from '../database/database.ts'
import { idOf } from './find.ts'
import type { Page } from './page.ts'
import { invalid, notFound } from './problem.ts'
import { tellKey } from './tell.ts'
import { insert, update, type Values } from './write.ts'

export interface KeyFields {
  readonly name?: string
  readonly status?: string
  /** A name or an id; null: none. */
  readonly group?: string | null
  /** USD as decimal text; 0: no limit. */
  readonly quota?: string
  readonly expires_at?: Date | null
  readonly ip_whitelist?: readonly string[]
  readonly ip_blacklist?: readonly string[]
}

export interface KeyRecord {
  readonly id: number
  readonly name: string
  readonly prefix: string
  readonly user: string
  readonly group: string | null
  readonly status: string
  readonly quota: string
  readonly quota_used: string
  readonly ip_whitelist: readonly string[]
  readonly ip_blacklist: readonly string[]
  readonly expires_at: Date | null
  readonly last_used_at: Date | null
  readonly created_at: Date
}

/** Those of one user, or of all. */
export async function listKeys(
  query: Query,
  { after, limit, userId }: Page & { userId?: number },
): Promise<KeyRecord[]> {
  const { rows } = await query<KeyRecord>(
    `SELECT k.id, k.name, k.key_prefix AS prefix, u.email AS user, g.name AS group, k.status, k.quota, k.quota_used,
       k.ip_whitelist, k.ip_blacklist, k.expires_at, k.last_used_at, k.created_at
     FROM api_keys k JOIN users u ON u.id = k.user_id LEFT JOIN groups g ON g.id = k.group_id
     WHERE k.deleted_at IS NULL AND k.id > $1 AND ($3::bigint IS NULL OR k.user_id = $3) ORDER BY k.id LIMIT $2`,
    [after, limit, userId ?? null],
  )
  return rows
}

/** Makes a key for a user (an email or an id), or takes the one that is given. The key is in the answer, and nowhere else. */
export async function addKey(
  db: Database,
  user: string,
  fields: KeyFields,
  custom?: string,
): Promise<{ readonly id: number; readonly key: string }> {
  if (custom !== undefined) checkCustom(custom)
  const key = custom ?? `sk-${randomBytes(32).toString('hex')}`
  const digest = hash('sha256', key)
  return db.transaction(async (query) => {
    const id = await insert(query, 'api_keys', {
      ...(await columns(query, fields)),
      user_id: await idOf(query, 'user', user),
      key_hash: Buffer.from(digest, 'hex'),
      // Of a short key of somebody's own, less than would help to guess the rest.
      key_prefix: key.slice(0, Math.min(8, Math.floor(key.length / 4))),
    })
    // Sidecars may remember that nobody has it.
    await tellKey(query, digest)
    return { id, key }
  })
}

/** By its id. Throws RecordProblem. */
export function setKey(db: Database, which: string, fields: KeyFields): Promise<number> {
  return db.transaction(async (query) => {
    const id = await idOf(query, 'key', which)
    if (!(await update(query, 'api_keys', id, await columns(query, fields)))) throw notFound('key', which)
    await tellKey(query, await hashOf(query, id))
    return id
  })
}

/** For good: a key that was taken back never comes to life again. */
export function removeKey(db: Database, which: string): Promise<number> {
  return db.transaction(async (query) => {
    const id = await idOf(query, 'key', which)
    await query('UPDATE api_keys SET deleted_at = now(), updated_at = now() WHERE id = $1', [id])
    await tellKey(query, await hashOf(query, id))
    return id
  })
}

async function hashOf(query: Query, id: number): Promise<string> {
  const { rows } = await query<{ hash: string }>(`SELECT encode(key_hash, 'hex') AS hash FROM api_keys WHERE id = $1`, [
    id,
  ])
  return rows[0]?.hash ?? 'all'
}

async function columns(query: Query, { group, ip_whitelist, ip_blacklist, ...fields }: KeyFields): Promise<Values> {
  return {
    ...fields,
    group_id: group === undefined || group === null ? group : await idOf(query, 'group', group),
    ip_whitelist: addresses(ip_whitelist),
    ip_blacklist: addresses(ip_blacklist),
  }
}

function addresses(list: readonly string[] | undefined): string | undefined {
  for (const item of list ?? [])
    if (!isAddressPattern(item)) throw invalid(`${JSON.stringify(item)} is no address, and no range such as 10.0.0.0/8`)
  return list && JSON.stringify(list)
}

/** Nothing of it is in the message. */
function checkCustom(key: string): void {
  if (key.length < 16) throw invalid('a key of your own needs 16 characters at least')
  if (key.length > 128) throw invalid('a key of your own has 128 characters at most')
  if (!/^[A-Za-z0-9_-]+$/.test(key)) throw invalid('a key of your own is made of A-Z, a-z, 0-9, _ and -')
}
