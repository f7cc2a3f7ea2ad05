/** From what an operator calls something to its id. */
import type { Query } from '../database/database.ts'
import { notFound } from './problem.ts'

export type Named = 'user' | 'group' | 'key' | 'account'

const places: Readonly<Record<Named, { readonly table: string; readonly name: string | null }>> = {
  user: { table: 'users', name: 'lower(email) = lower($1)' },
  group: { table: 'groups', name: 'name = $1' },
  account: { table: 'accounts', name: 'name = $1' },
  // Names of keys need not be their own.
  key: { table: 'api_keys', name: null },
}

/** By its name (a user's is the email) or by its id. Throws NOT_FOUND. */
export async function idOf(query: Query, what: Named, which: string): Promise<number> {
  const { table, name } = places[what]
  const id = /^\d{1,15}$/.test(which) ? Number(which) : null
  // A name that looks like an id is found by its id first.
  const asked = [...(id === null ? [] : (['id = $1', id] as const)), ...(name === null ? [] : ([name, which] as const))]
  for (let at = 0; at < asked.length; at += 2) {
    const { rows } = await query<{ id: number }>(`SELECT id FROM ${table} WHERE ${asked[at]} AND deleted_at IS NULL`, [
      asked[at + 1],
    ])
    if (rows[0]) return rows[0].id
  }
  throw notFound(what, which)
}

/** As `idOf`, for each. */
export async function idsOf(query: Query, what: Named, which: readonly string[]): Promise<number[]> {
  const ids: number[] = []
  for (const one of which) ids.push(await idOf(query, what, one))
  return [...new Set(ids)]
}
