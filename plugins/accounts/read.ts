/** The accounts that may be asked, as the database has them: one SELECT, with their groups and the groups' routes. */
import type { Query } from 'postern/plugin'

/** Moments are told as ms from the reading, so that the clocks of the two machines need not agree. */
export interface AccountRow {
  readonly id: number
  readonly name: string
  readonly platform: string
  readonly url: string | null
  readonly credentials: Buffer | null
  readonly models: readonly unknown[] | null
  readonly has_proxy: boolean
  readonly concurrency: number
  readonly priority: number
  /** Null: never, or it is asked all the same. */
  readonly expires_in: number | null
  readonly limited_for: number | null
  readonly overloaded_for: number | null
  readonly paused_for: number | null
  /** Model → until when, by the database's clock, which shows `clock` ms since 1970. */
  readonly model_limits: unknown
  readonly clock: number
  /** `extra.websocket`. */
  readonly websocket: unknown
  /** `extra.temp_unschedulable_rules`, where they are enabled. */
  readonly rules: unknown
  /** Every group it is in, whatever has become of the group: an account never becomes everybody's because its group is gone. */
  readonly groups: readonly number[] | null
}

/** A group's pattern of a model's name → the ids of the accounts that serve it. */
export type Routes = Readonly<Record<string, unknown>>

export interface Reading {
  readonly rows: readonly AccountRow[]
  /** By the id of the group. */
  readonly routes: Readonly<Record<string, Routes>>
  /** When it was read, in ms since 1970, by this machine's clock. */
  readonly at: number
}

/**
 * What only an operator or an answer changes is asked here, in the very words of the index idx_accounts_schedulable_hot; what time
 * alone ends (rests, and lives that have still to expire) comes as it is, to be looked at when somebody asks.
 */
export const selectAccounts = `
  SELECT a.id, a.name, a.platform, a.url, a.credentials, a.models, a.proxy_id IS NOT NULL AS has_proxy,
    a.concurrency, a.priority,
    CASE WHEN a.auto_pause_on_expired THEN extract(epoch FROM a.expires_at - now())::float8 * 1000 END AS expires_in,
    extract(epoch FROM a.rate_limit_reset_at - now())::float8 * 1000 AS limited_for,
    extract(epoch FROM a.overload_until - now())::float8 * 1000 AS overloaded_for,
    extract(epoch FROM a.temp_unschedulable_until - now())::float8 * 1000 AS paused_for,
    a.extra -> 'model_rate_limits' AS model_limits, extract(epoch FROM now())::float8 * 1000 AS clock,
    a.extra -> 'websocket' AS websocket,
    CASE WHEN a.extra -> 'temp_unschedulable_enabled' = 'true' THEN a.extra -> 'temp_unschedulable_rules' END AS rules,
    (SELECT array_agg(m.group_id) FROM account_groups m WHERE m.account_id = a.id) AS groups,
    CASE WHEN row_number() OVER () = 1 THEN (
      SELECT jsonb_object_agg(g.id, g.model_routing) FROM groups g
      WHERE g.deleted_at IS NULL AND g.status = 'active' AND g.model_routing_enabled) END AS routes
  FROM accounts a
  WHERE a.deleted_at IS NULL AND a.status = 'active' AND a.schedulable = true
    AND NOT (a.auto_pause_on_expired AND a.expires_at IS NOT NULL AND a.expires_at <= now())
  ORDER BY a.platform, a.priority, a.id`

/** Reads them all. Rejects with what the database says. */
export async function readAccounts(query: Query): Promise<Reading> {
  const { rows } = await query<AccountRow & { readonly routes: Reading['routes'] | null }>(selectAccounts)
  return { rows, routes: rows.find(({ routes }) => routes)?.routes ?? {}, at: Date.now() }
}
