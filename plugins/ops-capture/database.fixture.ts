/** A database for the tests of captured errors, and what stands in it. */
import { setTimeout as sleep } from 'node:timers/promises'
import assert from 'node:assert/strict'
import { listErrors, recordId, type CapturedError } from 'postern/plugin'
import { openDatabase, type Database } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { migratedDatabase } from '../../test/postgres.ts'

export interface Table extends AsyncDisposable {
  readonly url: string
  readonly db: Database
  /** All records, the newest first. */
  records(): Promise<CapturedError[]>
  /** Waits until there are so many. */
  holds(count: number): Promise<CapturedError[]>
}

/** A migrated database, with a connection of the test's own. */
export async function table(): Promise<Table> {
  const fresh = await migratedDatabase()
  const db = openDatabase(fresh.url, silentLog)
  await db.ready()
  // Connections that idle are there before the gateway is, which is asked at its end what it has left open.
  await Promise.all([1, 2, 3].map(() => db.query('SELECT pg_sleep(0.01)')))
  const records = async () => {
    const { found, problem } = await listErrors({ database: db, file: null }, {}, 100_000)
    assert.equal(problem, null)
    return found
  }
  return {
    url: fresh.url,
    db,
    records,
    async holds(count) {
      let found: CapturedError[] = []
      await until(`${count} records`, async () => (found = await records()).length >= count)
      return found
    },
    async [Symbol.asyncDispose]() {
      await db.close()
      await fresh[Symbol.asyncDispose]()
    },
  }
}

/** Waits for a condition, at most fifteen seconds: a database that was killed takes a moment to come back. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 15_000; !(await holds()); await sleep(5))
    assert.ok(performance.now() < end, `${what} did not come true`)
}

/** A record, and what a test says otherwise. */
export function record(more: Partial<CapturedError> = {}): CapturedError {
  const at = more.at ?? new Date().toISOString()
  return {
    id: recordId(Date.parse(at)),
    at,
    exchange: 'x-1',
    phase: 'upstream',
    owner: 'upstream',
    source: 'upstream_http',
    severity: 'P1',
    is_retryable: true,
    type: 'server_error',
    code: null,
    message: 'it broke',
    recovered: false,
    status: 500,
    upstream_statuses: [],
    attempts: [],
    passed_over: [],
    provider: 'openai',
    operation: 'chat.completions',
    model: 'm',
    upstream: 'o',
    key: null,
    key_id: null,
    user_id: null,
    group_id: null,
    stream: false,
    method: 'POST',
    path: '/v1/chat/completions',
    client: '127.0.0.1',
    ms: 1.5,
    headers: {},
    error_body: null,
    request_body: null,
    request_bytes: null,
    ...more,
  }
}
