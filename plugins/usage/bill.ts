/** The transaction that bills: what was billed already is found there, everything else is debited and written down, all or nothing. */
import type { Database, Query } from 'postern/plugin'
import { toUnits, fromUnits } from 'postern/access'
import { fingerprintOf, type UsageRow } from './row.ts'

/** What became of the rows, by their own names. */
export interface Billed {
  readonly billed: ReadonlySet<string>
  /** They were billed before: by an earlier try whose end nobody knows, by a file that was read twice, or as the same answer. */
  readonly before: ReadonlySet<string>
  /** Billed under their own names, because an upstream has used its name for another answer. */
  readonly renamed: readonly UsageRow[]
}

/** Bills rows, each exactly once, however often it is told of them. Rejects with nothing billed, or with nobody knowing. */
export function bill(database: Pick<Database, 'transaction'>, rows: readonly UsageRow[]): Promise<Billed> {
  return database.transaction(async (query) => {
    // Everyone takes the locks in the same order.
    const sorted = rows.toSorted(byName)
    const firsts = new Map<string, UsageRow>()
    for (const row of sorted) if (!firsts.has(keyOf(row))) firsts.set(keyOf(row), row)
    const claimed = await claim(query, [...firsts.values()])
    const fresh: UsageRow[] = []
    const others: UsageRow[] = []
    for (const row of sorted) (firsts.get(keyOf(row)) === row && claimed.has(keyOf(row)) ? fresh : others).push(row)
    const renamed = others.length > 0 ? await rename(query, others) : []
    fresh.push(...renamed)
    if (fresh.length > 0) {
      await debitUsers(query, fresh)
      const subscriptions = await debitSubscriptions(query, fresh)
      await countQuotas(query, fresh)
      await insert(query, fresh, subscriptions)
    }
    const billed = new Set(fresh.map(({ id }) => id))
    return { billed, before: new Set(others.flatMap(({ id }) => (billed.has(id) ? [] : id))), renamed }
  })
}

function byName(one: UsageRow, other: UsageRow): number {
  if (one.request_id !== other.request_id) return one.request_id < other.request_id ? -1 : 1
  return one.api_key_id - other.api_key_id
}

function keyOf({ request_id, api_key_id }: Pick<UsageRow, 'request_id' | 'api_key_id'>): string {
  return `${api_key_id} ${request_id}`
}

interface Name {
  request_id: string
  api_key_id: number
}

/** The names that nobody had billed before. */
async function claim(query: Query, rows: readonly UsageRow[]): Promise<ReadonlySet<string>> {
  const { rows: claimed } = await query<Name>(
    `INSERT INTO usage_billing_dedup (request_id, api_key_id, fingerprint)
     SELECT request_id, api_key_id, decode(fingerprint, 'hex')
     FROM unnest($1::text[], $2::bigint[], $3::text[]) AS row (request_id, api_key_id, fingerprint)
     ON CONFLICT DO NOTHING RETURNING request_id, api_key_id`,
    [rows.map((row) => row.request_id), rows.map((row) => row.api_key_id), rows.map(fingerprintOf)],
  )
  return new Set(claimed.map(keyOf))
}

/**
 * Rows whose names were taken. With the same bill behind the name they are done; with another one the upstream's names are not
 * unique, and the row is billed under its own.
 */
async function rename(query: Query, taken: readonly UsageRow[]): Promise<UsageRow[]> {
  const { rows } = await query<Name & { fingerprint: string }>(
    `SELECT request_id, api_key_id, encode(fingerprint, 'hex') AS fingerprint FROM usage_billing_dedup
     WHERE (request_id, api_key_id) IN (SELECT * FROM unnest($1::text[], $2::bigint[]))`,
    [taken.map((row) => row.request_id), taken.map((row) => row.api_key_id)],
  )
  const billed = new Map(rows.map((row) => [keyOf(row), row.fingerprint]))
  const renamed = taken.flatMap((row) =>
    billed.get(keyOf(row)) === fingerprintOf(row) ? [] : { ...row, request_id: row.id },
  )
  if (renamed.length === 0) return renamed
  const claimed = await claim(query, renamed.toSorted(byName))
  return renamed.filter((row) => claimed.has(keyOf(row)))
}

/** Sums by key, each with the row that came first. */
function sums(rows: readonly UsageRow[], by: (row: UsageRow) => string | number, of: (row: UsageRow) => string) {
  const found = new Map<string | number, { row: UsageRow; sum: bigint }>()
  for (const row of rows) {
    const amount = toUnits(of(row))
    if (amount === 0n) continue
    const known = found.get(by(row))
    if (known) known.sum += amount
    else found.set(by(row), { row, sum: amount })
  }
  return [...found.values()]
}

async function debitUsers(query: Query, rows: readonly UsageRow[]): Promise<void> {
  const paying = rows.filter(({ billing, user_id }) => billing === 'balance' && user_id !== null)
  const debits = sums(
    paying,
    ({ user_id }) => user_id!,
    ({ actual_cost }) => actual_cost,
  )
  if (debits.length === 0) return
  const ids = debits.map(({ row }) => row.user_id)
  await query('SELECT id FROM users WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE', [ids])
  await query(
    `UPDATE users SET balance = balance - cost, updated_at = now()
     FROM unnest($1::bigint[], $2::numeric[]) AS debit (user_id, cost) WHERE id = user_id`,
    [ids, debits.map(({ sum }) => fromUnits(sum))],
  )
}

/** A window that is over begins anew with what is added to it, whoever comes first: this, or the maintenance of windows. */
const windows = [
  ['daily', '24 hours'],
  ['weekly', '7 days'],
  ['monthly', '30 days'],
] as const
const isOver = (name: string, length: string) =>
  `(${name}_window_start IS NULL OR ${name}_window_start <= now() - interval '${length}')`
const added = windows
  .map(
    ([name, length]) => `
      ${name}_usage_usd = CASE WHEN ${isOver(name, length)} THEN cost ELSE ${name}_usage_usd + cost END,
      ${name}_window_start = CASE WHEN ${isOver(name, length)} THEN to_timestamp($4 / 1000.0) ELSE ${name}_window_start END`,
  )
  .join(',')

/** The ids of the subscriptions, by user and group. */
async function debitSubscriptions(query: Query, rows: readonly UsageRow[]): Promise<ReadonlyMap<string, number>> {
  const paying = rows.filter(({ billing }) => billing === 'subscription')
  const debits = sums(paying, subscriberOf, ({ total_cost }) => total_cost)
  if (debits.length === 0) return new Map()
  const users = debits.map(({ row }) => row.user_id)
  const groups = debits.map(({ row }) => row.group_id)
  await query(
    `SELECT id FROM user_subscriptions
     WHERE deleted_at IS NULL AND (user_id, group_id) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))
     ORDER BY id FOR NO KEY UPDATE`,
    [users, groups],
  )
  const { rows: changed } = await query<{ id: number; user_id: number; group_id: number }>(
    `UPDATE user_subscriptions s SET updated_at = now(), ${added}
     FROM unnest($1::bigint[], $2::bigint[], $3::numeric[]) AS debit (user_id, group_id, cost)
     WHERE s.user_id = debit.user_id AND s.group_id = debit.group_id AND s.deleted_at IS NULL
     RETURNING s.id, s.user_id, s.group_id`,
    [users, groups, debits.map(({ sum }) => fromUnits(sum)), new Date().setHours(0, 0, 0, 0)],
  )
  return new Map(changed.map((one) => [subscriberOf(one), one.id]))
}

function subscriberOf({ user_id, group_id }: { user_id: number | null; group_id: number | null }): string {
  return `${user_id} ${group_id}`
}

/** A key that has reached its quota is told of to everyone who remembers keys. */
async function countQuotas(query: Query, rows: readonly UsageRow[]): Promise<void> {
  const debits = sums(
    rows.filter(({ api_key_id }) => api_key_id !== 0),
    ({ api_key_id }) => api_key_id,
    ({ actual_cost }) => actual_cost,
  )
  if (debits.length === 0) return
  const ids = debits.map(({ row }) => row.api_key_id)
  await query('SELECT id FROM api_keys WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE', [ids])
  await query(
    `WITH counted AS (
       UPDATE api_keys SET quota_used = quota_used + cost
       FROM unnest($1::bigint[], $2::numeric[]) AS debit (key_id, cost) WHERE id = key_id
       RETURNING key_hash, quota > 0 AND quota_used >= quota AND quota_used - cost < quota AS is_newly_spent)
     SELECT pg_notify('access_changed', encode(key_hash, 'hex')) FROM counted WHERE is_newly_spent`,
    [ids, debits.map(({ sum }) => fromUnits(sum))],
  )
}

/** Columns that a row has as they are. */
const columns = {
  request_id: 'text',
  user_id: 'bigint',
  api_key_id: 'bigint',
  account_id: 'bigint',
  group_id: 'bigint',
  key_name: 'text',
  upstream: 'text',
  provider: 'text',
  model: 'text',
  served_model: 'text',
  priced_as: 'text',
  input_tokens: 'bigint',
  output_tokens: 'bigint',
  cache_read_tokens: 'bigint',
  cache_creation_5m_tokens: 'bigint',
  cache_creation_1h_tokens: 'bigint',
  input_cost: 'numeric',
  output_cost: 'numeric',
  cache_read_cost: 'numeric',
  cache_creation_cost: 'numeric',
  total_cost: 'numeric',
  actual_cost: 'numeric',
  rate_multiplier: 'numeric',
  outcome: 'text',
  usage_source: 'text',
  status_code: 'smallint',
  duration_ms: 'integer',
  first_token_ms: 'integer',
  user_agent: 'text',
  ip_address: 'text',
} as const satisfies Partial<Record<keyof UsageRow, string>>
const names = Object.keys(columns) as (keyof typeof columns)[] // the keys of the table above

/** Columns that are made from others, by the type of each. */
const made = {
  subscription_id: 'bigint',
  cache_creation_tokens: 'bigint',
  billing_type: 'smallint',
  request_type: 'smallint',
} as const

const list = [...names, ...Object.keys(made)]
const types = [...Object.values(columns), ...Object.values(made), 'float8']
const insertion = `INSERT INTO usage_logs (${list.join(', ')}, created_at)
  SELECT ${list.join(', ')}, to_timestamp(ended / 1000) FROM unnest(${types.map((type, at) => `$${at + 1}::${type}[]`).join(', ')})
  AS row (${list.join(', ')}, ended) ON CONFLICT DO NOTHING`

async function insert(
  query: Query,
  rows: readonly UsageRow[],
  subscriptions: ReadonlyMap<string, number>,
): Promise<void> {
  await query(insertion, [
    ...names.map((name) => rows.map((row) => row[name])),
    rows.map((row) => (row.billing === 'subscription' ? (subscriptions.get(subscriberOf(row)) ?? null) : null)),
    rows.map((row) => row.cache_creation_5m_tokens + row.cache_creation_1h_tokens),
    rows.map(({ billing }) => (billing === 'subscription' ? 1 : 0)),
    rows.map(({ stream }) => (stream ? 2 : 1)),
    rows.map(({ at }) => at),
  ])
}
