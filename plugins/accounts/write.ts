/**
 * The statements of the write-back. Moments travel as ms from now, so that the clocks of the two machines need not agree. Rows are
 * locked in the order of their ids: sidecars that write the same ones wait for each other instead of for ever.
 */
import type { Query } from 'postern/plugin'
import { changes as channel } from './directory.ts'
import { mostModels, type Change } from './health.ts'

type Changes = readonly (readonly [accountId: number, change: Change])[]

const lock = `locked AS (SELECT id FROM accounts WHERE id = ANY($1::bigint[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE)`

/** When accounts were used last. */
export async function writeUses(
  query: Query,
  uses: readonly (readonly [accountId: number, at: number])[],
): Promise<void> {
  if (uses.length === 0) return
  const now = Date.now()
  await query(
    `WITH ${lock}
     UPDATE accounts a SET last_used_at = greatest(a.last_used_at, now() - u.ago * interval '1 millisecond')
     FROM unnest($1::bigint[], $2::float8[]) AS u (id, ago) JOIN locked USING (id) WHERE a.id = u.id`,
    [uses.map(([id]) => id), uses.map(([, at]) => Math.max(0, now - at))],
  )
}

/** Whether nobody has edited the account since the request left: then what came of it says something of the account as it is now. */
const isFresh = `a.updated_at <= now() - c.ago * interval '1 millisecond'`
/** A refusal counts for the credential that was refused. */
const isRefused = `c.message IS NOT NULL AND a.status = 'active' AND a.credentials IS NOT DISTINCT FROM c.sealed`

/**
 * Refusals, limits, overloads, pauses; and tells everybody. A rest that is in the database is extended, never shortened, and what
 * an operator has said since the request left counts more than what came of it.
 */
export async function writeChanges(query: Query, changes: Changes, now: number): Promise<void> {
  if (changes.length === 0) return
  const left = (until: number | undefined) => (until === undefined || until <= now ? null : until - now)
  await query(
    `WITH ${lock}
     UPDATE accounts a SET
       status = CASE WHEN ${isRefused} THEN 'error' ELSE a.status END,
       error_message = CASE WHEN ${isRefused} THEN c.message ELSE a.error_message END,
       rate_limited_at = CASE WHEN c.limited IS NOT NULL THEN now() ELSE a.rate_limited_at END,
       rate_limit_reset_at = greatest(a.rate_limit_reset_at, now() + c.limited * interval '1 millisecond'),
       overload_until = greatest(a.overload_until, now() + c.overloaded * interval '1 millisecond'),
       temp_unschedulable_reason = CASE
         WHEN now() + c.paused * interval '1 millisecond' > coalesce(a.temp_unschedulable_until, '-infinity') THEN c.reason
         ELSE a.temp_unschedulable_reason END,
       temp_unschedulable_until = greatest(a.temp_unschedulable_until, now() + c.paused * interval '1 millisecond')
     FROM unnest($1::bigint[], $2::float8[], $3::text[], $4::bytea[], $5::float8[], $6::float8[], $7::float8[], $8::text[])
       AS c (id, ago, message, sealed, limited, overloaded, paused, reason) JOIN locked USING (id)
     WHERE a.id = c.id AND ${isFresh}`,
    [
      changes.map(([id]) => id),
      changes.map(([, { sentAt }]) => now - sentAt),
      changes.map(([, { refused }]) => refused?.message ?? null),
      changes.map(([, { refused }]) => refused?.sealed ?? null),
      changes.map(([, { limitedUntil }]) => left(limitedUntil)),
      changes.map(([, { overloadedUntil }]) => left(overloadedUntil)),
      changes.map(([, { paused }]) => left(paused?.until)),
      changes.map(([, { paused }]) => paused?.reason ?? null),
    ],
  )
  await query('SELECT pg_notify($1, $2)', [channel, 'all'])
}

/**
 * Limits on single models, into `extra.model_rate_limits`; those that are over leave it. Moments are compared as the texts they are,
 * all in UTC: what somebody has written there by hand cannot make the statement fail.
 */
export async function writeModelLimits(query: Query, changes: Changes, now: number): Promise<void> {
  const limits = changes.flatMap(([id, { modelLimits, sentAt }]) =>
    [...(modelLimits ?? [])]
      .filter(([, until]) => until > now)
      .map(([model, until]) => ({ id, model, ms: until - now, ago: now - sentAt })),
  )
  if (limits.length === 0) return
  const moment = (of: string) => `to_char((${of}) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') COLLATE "C"`
  await query(
    `WITH ${lock}, told AS (
       SELECT id, model, ${moment(`now() + ms * interval '1 millisecond'`)} AS until
       FROM unnest($1::bigint[], $2::text[], $3::float8[]) AS t (id, model, ms)
     ), c AS (SELECT id, max(ago) AS ago FROM unnest($1::bigint[], $4::float8[]) AS t (id, ago) GROUP BY id)
     UPDATE accounts a SET extra = jsonb_set(a.extra, '{model_rate_limits}', (
       SELECT coalesce(jsonb_object_agg(model, jsonb_build_object('rate_limit_reset_at', until)), '{}') FROM (
         SELECT model, max(until) AS until FROM (
           SELECT l.key AS model, (l.value ->> 'rate_limit_reset_at') COLLATE "C" AS until
           FROM jsonb_each(CASE WHEN jsonb_typeof(a.extra -> 'model_rate_limits') = 'object'
             THEN a.extra -> 'model_rate_limits' ELSE '{}' END) l
           UNION ALL SELECT t.model, t.until FROM told t WHERE t.id = a.id
         ) every WHERE until > ${moment('now()')} AND until LIKE '____-__-__T%Z' GROUP BY model
         ORDER BY 2 DESC LIMIT ${mostModels}
       ) kept))
     FROM locked JOIN c USING (id) WHERE a.id = c.id AND ${isFresh}`,
    [
      limits.map(({ id }) => id),
      limits.map(({ model }) => model),
      limits.map(({ ms }) => ms),
      limits.map(({ ago }) => ago),
    ],
  )
}
