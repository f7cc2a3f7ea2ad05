/** Users, as operators see and change them. */
import type { Database, Query } from '../database/database.ts'
import { idOf } from './find.ts'
import type { Page } from './page.ts'
import { invalid, notFound } from './problem.ts'
import { tellKeys } from './tell.ts'
import { insert, remove, update } from './write.ts'

export interface UserFields {
  readonly email?: string
  readonly username?: string
  readonly role?: string
  readonly status?: string
  /** A decimal number of USD, as text. */
  readonly balance?: string
  readonly concurrency?: number
  readonly notes?: string
}

export interface UserRecord {
  readonly id: number
  readonly email: string
  readonly username: string
  readonly role: string
  readonly status: string
  readonly balance: string
  readonly concurrency: number
  readonly keys: number
  readonly created_at: Date
}

export async function listUsers(query: Query, { after, limit }: Page): Promise<UserRecord[]> {
  const { rows } = await query<UserRecord>(
    `SELECT u.id, u.email, u.username, u.role, u.status, u.balance, u.concurrency, u.created_at,
       (SELECT count(*) FROM api_keys k WHERE k.user_id = u.id AND k.deleted_at IS NULL) AS keys
     FROM users u WHERE u.deleted_at IS NULL AND u.id > $1 ORDER BY u.id LIMIT $2`,
    [after, limit],
  )
  return rows
}

/** Returns the id. Throws RecordProblem. */
export function addUser(db: Database, fields: UserFields & { readonly email: string }): Promise<number> {
  checkEmail(fields.email)
  return db.transaction((query) => insert(query, 'users', { ...fields }))
}

/** `which`: an email or an id. Returns the id. Throws RecordProblem. */
export function setUser(db: Database, which: string, fields: UserFields): Promise<number> {
  if (fields.email !== undefined) checkEmail(fields.email)
  return db.transaction(async (query) => {
    const id = await idOf(query, 'user', which)
    if (!(await update(query, 'users', id, { ...fields }))) throw notFound('user', which)
    await tellKeys(query, { userId: id })
    return id
  })
}

/** Adds to the balance, or takes from it: what was spent meanwhile stays spent. */
export function addBalance(db: Database, which: string, amount: string): Promise<number> {
  return db.transaction(async (query) => {
    const id = await idOf(query, 'user', which)
    await query('UPDATE users SET balance = balance + $2::numeric, updated_at = now() WHERE id = $1', [id, amount])
    await tellKeys(query, { userId: id })
    return id
  })
}

/** Its keys end with it. */
export function removeUser(db: Database, which: string): Promise<number> {
  return db.transaction(async (query) => {
    const id = await idOf(query, 'user', which)
    await tellKeys(query, { userId: id })
    await query('UPDATE api_keys SET deleted_at = now() WHERE user_id = $1 AND deleted_at IS NULL', [id])
    if (!(await remove(query, 'users', id))) throw notFound('user', which)
    return id
  })
}

function checkEmail(email: string): void {
  if (!/^[^\s@]+@[^\s@]+$/.test(email)) throw invalid(`${JSON.stringify(email)} is no email address`)
}
