/** Groups, as operators see and change them. */
import type { Database, Query } from '../database/database.ts'
import { idOf } from './find.ts'
import type { Page } from './page.ts'
import { invalid, notFound, RecordProblem } from './problem.ts'
import { tellAccount, tellKeys } from './tell.ts'
import { insert, remove, update } from './write.ts'

export interface GroupFields {
  readonly name?: string
  readonly description?: string
  readonly platform?: string
  readonly status?: string
  readonly subscription_type?: string
  /** Decimal numbers as text; null: no limit. */
  readonly rate_multiplier?: string
  readonly daily_limit_usd?: string | null
  readonly weekly_limit_usd?: string | null
  readonly monthly_limit_usd?: string | null
  readonly default_validity_days?: number
  readonly sort_order?: number
  /** Pattern of a model's name → ids of accounts. */
  readonly model_routing?: Readonly<Record<string, readonly number[]>>
  readonly model_routing_enabled?: boolean
}

export interface GroupRecord {
  readonly id: number
  readonly name: string
  readonly description: string
  readonly platform: string
  readonly status: string
  readonly subscription_type: string
  readonly rate_multiplier: string
  readonly daily_limit_usd: string | null
  readonly weekly_limit_usd: string | null
  readonly monthly_limit_usd: string | null
  readonly model_routing: Readonly<Record<string, readonly number[]>>
  readonly model_routing_enabled: boolean
  readonly sort_order: number
  readonly accounts: number
  readonly keys: number
}

/** In the order that operators have given them. */
export async function listGroups(query: Query, { limit }: Page): Promise<GroupRecord[]> {
  const { rows } = await query<GroupRecord>(
    `SELECT g.id, g.name, g.description, g.platform, g.status, g.subscription_type, g.rate_multiplier,
       g.daily_limit_usd, g.weekly_limit_usd, g.monthly_limit_usd, g.model_routing, g.model_routing_enabled, g.sort_order,
       (SELECT count(*) FROM account_groups m JOIN accounts a ON a.id = m.account_id AND a.deleted_at IS NULL
        WHERE m.group_id = g.id) AS accounts,
       (SELECT count(*) FROM api_keys k WHERE k.group_id = g.id AND k.deleted_at IS NULL) AS keys
     FROM groups g WHERE g.deleted_at IS NULL ORDER BY g.sort_order, g.id LIMIT $1`,
    [limit],
  )
  return rows
}

/** Returns the id. Throws RecordProblem. */
export function addGroup(db: Database, fields: GroupFields & { readonly name: string }): Promise<number> {
  if (fields.name.trim() === '') throw invalid('a group needs a name')
  return db.transaction((query) => insert(query, 'groups', columns(fields)))
}

/** `which`: a name or an id. Returns the id. Throws RecordProblem. */
export function setGroup(db: Database, which: string, fields: GroupFields): Promise<number> {
  return db.transaction(async (query) => {
    const id = await idOf(query, 'group', which)
    if (!(await update(query, 'groups', id, columns(fields)))) throw notFound('group', which)
    await tellKeys(query, 'all')
    await tellAccount(query, 'all')
    return id
  })
}

/** Its accounts stay its own, and so serve nobody, until they are put into another one. Refused while keys call through it. */
export function removeGroup(db: Database, which: string): Promise<number> {
  return db.transaction(async (query) => {
    const id = await idOf(query, 'group', which)
    const { rows } = await query<{ keys: number }>(
      'SELECT count(*) AS keys FROM api_keys WHERE group_id = $1 AND deleted_at IS NULL',
      [id],
    )
    const keys = rows[0]?.keys ?? 0
    if (keys > 0)
      throw invalid(
        `${keys} ${keys === 1 ? 'key calls' : 'keys call'} through this group: give ${keys === 1 ? 'it' : 'them'} another one first`,
      )
    if (!(await remove(query, 'groups', id))) throw notFound('group', which)
    await tellAccount(query, 'all')
    return id
  })
}

export interface GroupPlace {
  readonly id: number
  readonly sort_order: number
}

/**
 * Puts groups into their places, all of them or none: one UPDATE. Ids that are not positive are dropped, the last of two places for
 * one group counts, and nothing to do is no error. Throws NOT_FOUND with the groups that are not there. Returns how many were put.
 */
export async function orderGroups(db: Database, places: readonly GroupPlace[]): Promise<number> {
  for (const { id, sort_order } of places) {
    if (!Number.isSafeInteger(id)) throw invalid(`${id} is no id of a group`)
    if (!Number.isInteger(sort_order) || Math.abs(sort_order) > 2 ** 31 - 1)
      throw invalid(`${sort_order} is no place: it must be a whole number below 2147483648`)
  }
  const wanted = new Map(places.filter(({ id }) => id > 0).map(({ id, sort_order }) => [id, sort_order]))
  if (wanted.size === 0) return 0
  return db.transaction(async (query) => {
    const { rows } = await query<{ id: number }>(
      // Locked in the order of their ids: two operators at once wait for each other, instead of for ever.
      `WITH locked AS (
         SELECT id FROM groups WHERE id = ANY($1::bigint[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE)
       UPDATE groups g SET sort_order = w.place, updated_at = now()
       FROM unnest($1::bigint[], $2::integer[]) AS w (id, place) JOIN locked USING (id)
       WHERE g.id = w.id AND g.deleted_at IS NULL RETURNING g.id`,
      [[...wanted.keys()], [...wanted.values()]],
    )
    const put = new Set(rows.map(({ id }) => id))
    const missing = [...wanted.keys()].filter((id) => !put.has(id))
    if (missing.length > 0) throw new RecordProblem('NOT_FOUND', `there is no group ${missing.join(', ')}`)
    await tellAccount(query, 'all')
    return put.size
  })
}

function columns({ model_routing: routing, ...fields }: GroupFields) {
  return { ...fields, model_routing: routing && JSON.stringify(routing) }
}
