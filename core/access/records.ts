/** Keys, balances and subscriptions as the database has them. Each is one statement. */
import { addressSet } from '../address.ts'
import type { Query } from '../database/database.ts'
import type { Key } from './key.ts'
import { toUnits } from './money.ts'
import type { Subscription, Window } from './subscription.ts'

/** A key as it travels between processes: everything but what has to be compiled. */
export interface KeyRow {
  id: number
  name: string
  status: Key['status']
  expires_at: number | null
  is_spent: boolean
  ip_whitelist: string[]
  ip_blacklist: string[]
  user_id: number
  user_status: string | null
  concurrency: number | null
  group_id: number | null
  group_name: string | null
  subscription_type: string | null
  rate_multiplier: string | null
  /** Its group was disabled or deleted: nobody has said through what it may call now. */
  is_orphaned: boolean
}

/** By the SHA-256 of the key, in hex. */
export async function findKey(query: Query, hash: string): Promise<KeyRow | null> {
  const { rows } = await query<KeyRow>(
    `SELECT k.id, k.name, k.status, (extract(epoch FROM k.expires_at) * 1000)::float8 AS expires_at,
       k.quota > 0 AND k.quota_used >= k.quota AS is_spent, k.ip_whitelist, k.ip_blacklist,
       k.user_id, u.status AS user_status, u.concurrency,
       k.group_id IS NOT NULL AND g.id IS NULL AS is_orphaned, g.id AS group_id, g.name AS group_name, g.subscription_type, g.rate_multiplier
     FROM api_keys k
     LEFT JOIN users u ON u.id = k.user_id AND u.deleted_at IS NULL
     LEFT JOIN groups g ON g.id = k.group_id AND g.deleted_at IS NULL AND g.status = 'active'
     WHERE k.key_hash = decode($1, 'hex') AND k.deleted_at IS NULL`,
    [hash],
  )
  return rows[0] ?? null
}

/** Compiled once per reading. An address that cannot be read admits nobody. */
export function keyOf(row: KeyRow): Key {
  return {
    principal: {
      id: `key:${row.id}`,
      name: row.name,
      keyId: row.id,
      userId: row.user_id,
      groupId: row.group_id,
      group: row.group_name,
      concurrency: row.concurrency,
      billing: row.subscription_type === 'subscription' ? 'subscription' : 'balance',
      rateMultiplier: row.rate_multiplier ?? '1',
    },
    status: row.is_orphaned ? 'inactive' : row.status,
    expiresAt: row.expires_at,
    isSpent: row.is_spent,
    addresses: addressesOf(row.ip_whitelist, row.ip_blacklist),
    user: row.user_status === null ? 'missing' : row.user_status === 'active' ? 'active' : 'inactive',
  }
}

export function addressesOf(allow: readonly string[], deny: readonly string[]): Key['addresses'] {
  if (allow.length + deny.length === 0) return null
  try {
    return { allow: addressSet(allow), deny: addressSet(deny) }
  } catch {
    return { allow: addressSet([]), deny: { size: 1, has: () => true } }
  }
}

/** The wallet of a user, in units of 10⁻¹⁰ USD; null where there is no such user. */
export async function findBalance(query: Query, userId: number): Promise<bigint | null> {
  const { rows } = await query<{ balance: string }>('SELECT balance FROM users WHERE id = $1 AND deleted_at IS NULL', [
    userId,
  ])
  return rows[0] ? toUnits(rows[0].balance) : null
}

interface SubscriptionRow {
  id: number
  status: Subscription['status']
  expires_at: number
  [window: string]: unknown
}

/** The subscription through which a user calls in a group; null where there is none. */
export async function findSubscription(query: Query, userId: number, groupId: number): Promise<Subscription | null> {
  const { rows } = await query<SubscriptionRow>(
    `SELECT s.id, s.status, (extract(epoch FROM s.expires_at) * 1000)::float8 AS expires_at,
       (extract(epoch FROM s.daily_window_start) * 1000)::float8 AS daily_start, s.daily_usage_usd, g.daily_limit_usd,
       (extract(epoch FROM s.weekly_window_start) * 1000)::float8 AS weekly_start, s.weekly_usage_usd, g.weekly_limit_usd,
       (extract(epoch FROM s.monthly_window_start) * 1000)::float8 AS monthly_start, s.monthly_usage_usd, g.monthly_limit_usd
     FROM user_subscriptions s JOIN groups g ON g.id = s.group_id
     WHERE s.user_id = $1 AND s.group_id = $2 AND s.deleted_at IS NULL`,
    [userId, groupId],
  )
  const [row] = rows
  if (!row) return null
  const window = (name: string): Window => ({
    start: row[`${name}_start`] as number | null, // float8, as the statement casts it
    usage: toUnits(String(row[`${name}_usage_usd`])),
    limit: row[`${name}_limit_usd`] === null ? null : toUnits(String(row[`${name}_limit_usd`])),
  })
  return {
    id: row.id,
    userId,
    groupId,
    status: row.status,
    expiresAt: row.expires_at,
    daily: window('daily'),
    weekly: window('weekly'),
    monthly: window('monthly'),
  }
}

/**
 * Begins the windows that are over, each only if it is still the one that was read: what another process has begun meanwhile, and
 * what was spent in it, stays.
 */
export async function beginWindows(
  query: Query,
  subscription: Subscription,
  start: number,
  over: readonly string[],
): Promise<void> {
  for (const name of over) {
    const before = subscription[name as 'daily' | 'weekly' | 'monthly'].start // from the list of windows
    await query(
      `UPDATE user_subscriptions SET ${name}_window_start = to_timestamp($2 / 1000.0), ${name}_usage_usd = 0, updated_at = now()
       WHERE id = $1 AND ${name}_window_start IS NOT DISTINCT FROM to_timestamp($3 / 1000.0)::timestamptz(3)`,
      [subscription.id, start, before],
    )
  }
}

/** Written at most every half minute per key, and never waited for. */
export async function touchKeys(query: Query, ids: readonly number[]): Promise<void> {
  await query('UPDATE api_keys SET last_used_at = now() WHERE id = ANY($1::bigint[])', [ids])
}
