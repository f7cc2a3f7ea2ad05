/** What was used in a stretch of time and today, by one statement. */
import { toUnits } from 'postern/access'
import type { Query } from 'postern/plugin'

/** Costs in units of 10⁻¹⁰ USD. */
export interface Sum {
  readonly requests: number
  readonly input: number
  readonly output: number
  readonly cacheCreation: number
  readonly cacheRead: number
  readonly cost: bigint
  readonly actualCost: bigint
}

export interface Summary {
  readonly range: Sum
  readonly today: Sum
  /** Of the exchanges in the range, in ms. */
  readonly averageDuration: number
  /** In the last five minutes. */
  readonly recentRequests: number
  readonly recentTokens: number
}

/** From `start` up to but not including `end`, in ms since the epoch. */
export interface Stretch {
  readonly start: number
  readonly end: number
}

/** Whose usage: a key of the database, or one that gateway.yaml names. */
export type Scope = { readonly keyId: number } | { readonly keyName: string }

/** How far back "now" reaches for requests and tokens per minute, in ms. */
export const recent = 5 * 60_000

const tokens = 'input_tokens + output_tokens + cache_creation_tokens + cache_read_tokens'

const sumsOf = (name: string, condition: string) => `
  count(*) FILTER (WHERE ${condition}) AS ${name}_requests,
  coalesce(sum(input_tokens) FILTER (WHERE ${condition}), 0)::bigint AS ${name}_input,
  coalesce(sum(output_tokens) FILTER (WHERE ${condition}), 0)::bigint AS ${name}_output,
  coalesce(sum(cache_creation_tokens) FILTER (WHERE ${condition}), 0)::bigint AS ${name}_cache_creation,
  coalesce(sum(cache_read_tokens) FILTER (WHERE ${condition}), 0)::bigint AS ${name}_cache_read,
  coalesce(sum(total_cost) FILTER (WHERE ${condition}), 0) AS ${name}_cost,
  coalesce(sum(actual_cost) FILTER (WHERE ${condition}), 0) AS ${name}_actual_cost`

const inRange = 'created_at >= to_timestamp($3 / 1000.0) AND created_at < to_timestamp($4 / 1000.0)'
const inToday = 'created_at >= to_timestamp($5 / 1000.0) AND created_at < to_timestamp($6 / 1000.0)'
const isRecent = 'created_at >= to_timestamp($7 / 1000.0)'

/** The stretches are asked for one by one: what lies between them is not read. */
const statement = `SELECT ${sumsOf('range', inRange)}, ${sumsOf('today', inToday)},
  coalesce(avg(duration_ms) FILTER (WHERE ${inRange}), 0)::float8 AS average_duration,
  count(*) FILTER (WHERE ${isRecent}) AS recent_requests,
  coalesce(sum(${tokens}) FILTER (WHERE ${isRecent}), 0)::bigint AS recent_tokens
  FROM usage_logs
  WHERE api_key_id = $1 AND ($2::text IS NULL OR key_name = $2) AND ((${inRange}) OR (${inToday}) OR (${isRecent}))`

/** Asks for it. `now` is in ms since the epoch. */
export async function summarize(
  query: Query,
  scope: Scope,
  range: Stretch,
  today: Stretch,
  now: number,
): Promise<Summary> {
  const { rows } = await query<Record<string, number | string>>(statement, [
    'keyId' in scope ? scope.keyId : 0,
    'keyId' in scope ? null : scope.keyName,
    range.start,
    range.end,
    today.start,
    today.end,
    now - recent,
  ])
  const row = rows[0]!
  const sum = (name: string): Sum => ({
    requests: Number(row[`${name}_requests`]),
    input: Number(row[`${name}_input`]),
    output: Number(row[`${name}_output`]),
    cacheCreation: Number(row[`${name}_cache_creation`]),
    cacheRead: Number(row[`${name}_cache_read`]),
    cost: toUnits(String(row[`${name}_cost`])),
    actualCost: toUnits(String(row[`${name}_actual_cost`])),
  })
  return {
    range: sum('range'),
    today: sum('today'),
    averageDuration: Number(row.average_duration),
    recentRequests: Number(row.recent_requests),
    recentTokens: Number(row.recent_tokens),
  }
}

/** The day of `now` in the time zone of this process: from midnight to midnight, however long that is. */
export function dayOf(now: number): Stretch {
  const start = new Date(now).setHours(0, 0, 0, 0)
  return { start, end: new Date(start).setHours(24, 0, 0, 0) }
}
