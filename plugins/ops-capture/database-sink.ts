/** Records as rows, and the file for those that the database does not take. */
import { isIP } from 'node:net'
import type { CapturedError, Database, Log } from 'postern/plugin'
import type { Sink } from './sink.ts'

/** How long, in ms, a batch waits for a database that has just been asked for the first time. */
const patience = 5000

/**
 * Writes into the database while it answers, into the file while it does not. Every batch asks anew, so that the database has the
 * first one after an outage. What is in the file stays there: whoever asks for records reads both.
 */
export function databaseSink(database: Database, file: Sink, log: Log): Sink {
  let isFallenBack = false
  const fallBack = (batch: readonly CapturedError[], error: unknown) => {
    if (!isFallenBack) log.warn({ err: error }, 'captured errors go into the file: the database does not take them')
    isFallenBack = true
    return file.write(batch)
  }
  return {
    async write(batch) {
      if (database.state === 'starting') await database.ready(patience).catch(() => {})
      if (database.state !== 'up') return fallBack(batch, database.lastError)
      let refused: readonly CapturedError[]
      try {
        refused = await insertAll(database, batch)
      } catch (error) {
        // If it was committed all the same, its rows have the same names: nothing counts twice.
        return fallBack(batch, error)
      }
      if (isFallenBack) log.info({}, 'captured errors go into the database again')
      isFallenBack = false
      if (refused.length === 0) return
      log.warn({ records: refused.length }, 'captured errors go into the file: PostgreSQL refuses what is in them')
      await file.write(refused)
    },
  }
}

/** Resolves with the records that PostgreSQL does not take, found by halving. Rejects where it takes none at all. */
async function insertAll(
  database: Pick<Database, 'query'>,
  batch: readonly CapturedError[],
): Promise<readonly CapturedError[]> {
  try {
    await insert(database, batch)
    return []
  } catch (error) {
    if (!isFaultOfRow(error)) throw error
    if (batch.length === 1) return batch
    const half = Math.ceil(batch.length / 2)
    return [...(await insertAll(database, batch.slice(0, half))), ...(await insertAll(database, batch.slice(half)))]
  }
}

/** Values that do not fit (22), rules of the table that are broken (23), limits of the program (54). */
function isFaultOfRow(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  return /^(2[23]|54)...$/.test(code)
}

type Value = string | number | boolean | null

/** Each column with its type and what it has of a record. */
const columns: readonly (readonly [name: string, type: string, of: (record: CapturedError) => Value])[] = [
  ['record_id', 'text', ({ id }) => id],
  ['created_at', 'timestamptz', ({ at }) => at],
  ['request_id', 'text', ({ exchange }) => text(exchange)],
  ['error_phase', 'text', ({ phase }) => phase],
  ['error_owner', 'text', ({ owner }) => owner],
  ['error_source', 'text', ({ source }) => source],
  ['severity', 'text', ({ severity }) => severity],
  ['is_retryable', 'boolean', (record) => record.is_retryable],
  ['error_type', 'text', ({ type }) => text(type)],
  ['error_code', 'text', ({ code }) => text(code)],
  ['error_message', 'text', ({ message }) => text(message) ?? ''],
  ['is_recovered', 'boolean', ({ recovered }) => recovered],
  ['status_code', 'smallint', ({ status }) => status],
  ['upstream_status_code', 'smallint', ({ upstream_statuses: statuses }) => statuses.at(-1) ?? null],
  ['upstream_errors', 'jsonb', ({ attempts }) => json(attempts)],
  ['retry_count', 'smallint', ({ attempts, recovered }) => Math.max(0, attempts.length - (recovered ? 0 : 1))],
  ['passed_over', 'jsonb', (record) => json(record.passed_over)],
  ['platform', 'text', ({ provider }) => text(provider) ?? ''],
  ['operation', 'text', ({ operation }) => text(operation)],
  ['model', 'text', ({ model }) => text(model)],
  ['upstream', 'text', ({ upstream }) => text(upstream)],
  ['key_name', 'text', ({ key }) => text(key)],
  ['api_key_id', 'bigint', (record) => record.key_id],
  ['user_id', 'bigint', (record) => record.user_id],
  ['group_id', 'bigint', (record) => record.group_id],
  ['stream', 'boolean', ({ stream }) => stream],
  ['method', 'text', ({ method }) => text(method)],
  ['request_path', 'text', ({ path }) => text(path)],
  ['client_ip', 'inet', ({ client }) => (isIP(client) > 0 ? client.replace(/%.*$/, '') : null)],
  ['duration_ms', 'numeric', ({ ms }) => ms],
  ['request_headers', 'jsonb', ({ headers }) => json(headers)],
  ['error_body', 'text', (record) => text(record.error_body)],
  ['request_body', 'text', (record) => text(record.request_body)],
  ['request_body_bytes', 'integer', (record) => record.request_bytes],
  ['request_body_truncated', 'boolean', isCut],
]

const names = columns.map(([name]) => name).join(', ')
const lists = columns.map(([, type], at) => `$${at + 1}::${type}[]`).join(', ')
/** An array for each column: the statement is the same for every batch. A name that is there already is a batch that had arrived. */
const insertion = `INSERT INTO ops_error_logs (${names}) SELECT * FROM unnest(${lists}) ON CONFLICT (record_id) DO NOTHING`

async function insert(database: Pick<Database, 'query'>, batch: readonly CapturedError[]): Promise<void> {
  await database.query(
    insertion,
    columns.map(([, , of]) => batch.map(of)),
  )
}

function isCut({ request_body: body, request_bytes: bytes }: CapturedError): boolean {
  return body !== null && bytes !== null && body.includes('"request_body_truncated":true')
}

/** PostgreSQL's texts hold every character but one. */
function text(value: string | null): string | null {
  return value?.includes('\0') ? value.replaceAll('\0', '') : value
}

/** Its JSON holds neither that one nor halves of a pair. */
function json(value: object): string {
  const clean = (_key: string, one: unknown) =>
    typeof one === 'string' ? one.replaceAll('\0', '').toWellFormed() : one
  return JSON.stringify(value, clean)
}
