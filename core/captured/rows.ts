/** Captured errors in the database: how they are asked for. What writes them is ops-capture. */
import type { Database } from '../database/database.ts'
import type { CapturedError, Cause, FailedAttempt } from './captured.ts'
import type { Filter } from './filter.ts'
import type { Sums } from './sums.ts'

type Asked = Pick<Database, 'query'>

/** The newest first, `limit` at most. */
export async function listRows(database: Asked, filter: Filter, limit: number): Promise<CapturedError[]> {
  const { where, values } = conditionOf(filter)
  const { rows } = await database.query<Row>(
    `SELECT ${columns} FROM ops_error_logs ${where} ORDER BY created_at DESC, record_id DESC LIMIT $${values.length + 1}`,
    [...values, limit],
  )
  return rows.map(recordOf)
}

/** The one of that name; else all of the exchange of that name. */
export async function findRows(database: Asked, name: string, limit: number): Promise<CapturedError[]> {
  const { rows } = await database.query<Row>(`SELECT ${columns} FROM ops_error_logs WHERE record_id = $1`, [name])
  return rows.length > 0 ? rows.map(recordOf) : listRows(database, { exchange: name }, limit)
}

/** Which of these names are there. */
export async function knownIn(database: Asked, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const { rows } = await database.query<{ record_id: string }>(
    'SELECT record_id FROM ops_error_logs WHERE record_id = ANY($1::text[])',
    [ids],
  )
  return new Set(rows.map(({ record_id: id }) => id))
}

interface SumRow {
  readonly hour: Date | null
  readonly code: string | null
  readonly upstream: string | null
  readonly phase: string | null
  /** Which of the four are not counted by: a bit for each, hour, phase, code, upstream. */
  readonly level: number
  readonly count: number
}

/** Counts by hour and phase, by code, and by upstream, in one pass over the rows. */
export async function sumRows(database: Asked, filter: Filter, sums: Sums): Promise<void> {
  const { where, values } = conditionOf(filter)
  const { rows } = await database.query<SumRow>(
    `SELECT hour, phase, code, upstream, GROUPING(hour, phase, code, upstream) AS level, count(*) AS count
     FROM (SELECT date_trunc('hour', created_at, 'UTC') AS hour, error_phase AS phase,
       coalesce(error_code, error_type) AS code, upstream FROM ops_error_logs ${where}) AS row
     GROUP BY GROUPING SETS ((hour, phase), (code), (upstream))`,
    values,
  )
  for (const { hour, phase, code, upstream, level, count } of rows) {
    if (level === 0b0011) sums.addHour(hour!.getTime(), phase ?? '', count)
    else if (level === 0b1101) sums.addCode(code, count)
    else sums.addUpstream(upstream, count)
  }
}

function conditionOf(filter: Filter): { readonly where: string; readonly values: readonly unknown[] } {
  const { since, until, status, upstream, phase, owner, code, exchange } = filter
  const asked = [
    ['created_at >= ', since === undefined ? undefined : new Date(since)],
    ['created_at < ', until === undefined ? undefined : new Date(until)],
    ['status_code = ', status],
    ['upstream = ', upstream],
    ['error_phase = ', phase],
    ['error_owner = ', owner],
    ['coalesce(error_code, error_type) = ', code],
    ['request_id = ', exchange],
  ] as const
  const given = asked.filter(([, value]) => value !== undefined)
  return {
    // Rows without a name are none of ops-capture's.
    where: ['WHERE record_id IS NOT NULL', ...given.map(([column], at) => `${column}$${at + 1}`)].join(' AND '),
    values: given.map(([, value]) => value),
  }
}

const columns = `record_id, created_at, request_id, error_phase, error_owner, error_source, severity, is_retryable, error_type,
  error_code, error_message, is_recovered, status_code, upstream_errors, passed_over, platform, operation, model, upstream, key_name,
  api_key_id, user_id, group_id, stream, method, request_path, host(client_ip) AS client, duration_ms::float8 AS duration_ms,
  request_headers, error_body,
  request_body, request_body_bytes`

interface Row {
  readonly record_id: string
  readonly created_at: Date
  readonly request_id: string | null
  readonly error_phase: Cause['phase']
  readonly error_owner: Cause['owner']
  readonly error_source: Cause['source']
  readonly severity: Cause['severity']
  readonly is_retryable: boolean
  readonly error_type: string | null
  readonly error_code: string | null
  readonly error_message: string
  readonly is_recovered: boolean
  readonly status_code: number
  readonly upstream_errors: readonly FailedAttempt[] | null
  readonly passed_over: CapturedError['passed_over'] | null
  readonly platform: string
  readonly operation: string | null
  readonly model: string | null
  readonly upstream: string | null
  readonly key_name: string | null
  readonly api_key_id: number | null
  readonly user_id: number | null
  readonly group_id: number | null
  readonly stream: boolean | null
  readonly method: string | null
  readonly request_path: string | null
  readonly client: string | null
  readonly duration_ms: number | null
  readonly request_headers: Readonly<Record<string, string>> | null
  readonly error_body: string | null
  readonly request_body: string | null
  readonly request_body_bytes: number | null
}

function recordOf(row: Row): CapturedError {
  const attempts = row.upstream_errors ?? []
  return {
    id: row.record_id,
    at: row.created_at.toISOString(),
    exchange: row.request_id ?? '',
    phase: row.error_phase,
    owner: row.error_owner,
    source: row.error_source,
    severity: row.severity,
    is_retryable: row.is_retryable,
    type: row.error_type,
    code: row.error_code,
    message: row.error_message === '' ? null : row.error_message,
    recovered: row.is_recovered,
    status: row.status_code,
    upstream_statuses: attempts.map(({ status }) => status),
    attempts,
    passed_over: row.passed_over ?? [],
    provider: row.platform === '' ? null : row.platform,
    operation: row.operation,
    model: row.model,
    upstream: row.upstream,
    key: row.key_name,
    key_id: row.api_key_id,
    user_id: row.user_id,
    group_id: row.group_id,
    stream: row.stream,
    method: row.method ?? '',
    path: row.request_path ?? '',
    client: row.client ?? '',
    ms: row.duration_ms,
    headers: row.request_headers ?? {},
    error_body: row.error_body,
    request_body: row.request_body,
    request_bytes: row.request_body_bytes,
  }
}
