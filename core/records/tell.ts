/** Tells every sidecar what has changed. Part of the transaction that changes it: nobody hears of what was not committed. */
import { changes as accessChanged } from '../access/directory.ts'
import type { Query } from '../database/database.ts'

/** As the plugin `accounts` listens for: an account's id, `woken ID`, or `all`. */
const accountsChanged = 'accounts_changed'

/** Keys may mean something else now: those of one user, or every key. */
export async function tellKeys(query: Query, of: { readonly userId: number } | 'all'): Promise<void> {
  if (of === 'all') await query('SELECT pg_notify($1, $2)', [accessChanged, 'all'])
  else
    await query(
      `SELECT pg_notify($1, encode(key_hash, 'hex')) FROM api_keys WHERE user_id = $2 AND deleted_at IS NULL`,
      [accessChanged, of.userId],
    )
}

/** One key, by its SHA-256 in hex. */
export async function tellKey(query: Query, hash: string): Promise<void> {
  await query('SELECT pg_notify($1, $2)', [accessChanged, hash])
}

/** `woken`: an operator has ended a rest, so that it counts no longer wherever it is remembered. */
export async function tellAccount(query: Query, id: number | 'all', isWoken = false): Promise<void> {
  await query('SELECT pg_notify($1, $2)', [accountsChanged, isWoken ? `woken ${id}` : String(id)])
}
