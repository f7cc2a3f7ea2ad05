/**
 * Captured errors on a table of a million: whether what is asked for is found by an index, read from PostgreSQL's own plans of the
 * very statements that are run. Run with `node test/run.ts test/slow/errors.slow.ts`.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findErrors, listErrors, sumErrors, type ErrorFilter } from 'postern/plugin'
import { openDatabase, type Database, type Query } from '../../core/database/database.ts'
import { sweep } from '../../core/database/janitor.ts'
import { silentLog } from '../../core/observe/log.ts'
import { migratedDatabase, type FreshDatabase } from '../postgres.ts'

const count = 1_000_000
const day = 86_400_000
const seed = `
  INSERT INTO ops_error_logs (record_id, created_at, request_id, error_phase, error_owner, error_code, status_code, upstream,
      error_message, request_body)
    SELECT lpad(n::text, 14, '0'), now() - n * interval '2.592 seconds', 'exchange-' || n,
      (ARRAY['upstream', 'routing', 'auth', 'request'])[1 + n % 4], 'upstream',
      CASE WHEN n % 100000 = 0 THEN 'rare' ELSE 'code' || n % 20 END, 500, CASE WHEN n % 90000 = 0 THEN 'seldom' ELSE 'up' || n % 8 END,
      'it broke', repeat('x', 200)
    FROM generate_series(1, ${count}) n;
  ANALYZE ops_error_logs;`

interface Plan {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly Plans?: readonly Plan[]
}

describe('a million captured errors', () => {
  let fresh: FreshDatabase
  let db: Database
  before(async () => {
    fresh = await migratedDatabase()
    db = openDatabase(fresh.url, silentLog)
    await db.session(({ query }) => query(seed))
  })
  after(async () => {
    await db.close()
    await fresh[Symbol.asyncDispose]()
  })

  /** The plans of what is asked meanwhile. */
  async function plansOf(ask: (database: { query: Query }) => Promise<unknown>): Promise<Plan[]> {
    const plans: Plan[] = []
    const query: Query = async (text, values) => {
      const { rows } = await db.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (FORMAT JSON) ${text}`, values)
      plans.push(...walk(rows[0]!['QUERY PLAN'][0].Plan))
      return db.query(text, values)
    }
    await ask({ query })
    return plans
  }
  const words = (plans: readonly Plan[]) =>
    plans.map((plan) => `${plan['Node Type']} ${plan['Index Name'] ?? ''}`).join(' > ')
  const byTime = 'ops_error_logs_created_at_idx'
  const hot: readonly (readonly [what: string, filter: ErrorFilter, index: string, found: number])[] = [
    ['the newest', {}, byTime, 50],
    ['those of an hour', { since: Date.now() - 3_600_000 }, byTime, 50],
    ['those of a phase', { since: Date.now() - day, phase: 'auth' }, byTime, 50],
    ['a rare code', { code: 'rare' }, 'ops_error_logs_code_created_at_idx', 10],
    ['a seldom upstream', { upstream: 'seldom' }, 'ops_error_logs_upstream_created_at_idx', 11],
    ['an exchange', { exchange: 'exchange-4711' }, 'ops_error_logs_request_id_idx', 1],
  ]
  for (const [what, filter, index, most] of hot) {
    test(`${what}: by ${index}`, async () => {
      const plans = await plansOf(async (database) => {
        const { found, problem } = await listErrors({ database, file: null }, filter, 50)
        assert.deepEqual([found.length, problem], [most, null])
      })
      assert.ok(
        plans.some((plan) => plan['Index Name'] === index),
        words(plans),
      )
      assert.ok(
        plans.every((plan) => !plan['Node Type'].includes('Seq Scan')),
        words(plans),
      )
    })
  }

  test('one, by its name', async () => {
    const plans = await plansOf((database) => findErrors({ database, file: null }, '00000000004711', 1))
    assert.ok(
      plans.some((plan) => plan['Index Name'] === 'ops_error_logs_record_id_key'),
      words(plans),
    )
  })

  test('the sums of a day: by its index; of all of them: within the time that a statement has', async () => {
    const ask = (filter: ErrorFilter) => async (database: { query: Query }) => {
      const { found, problem } = await sumErrors({ database, file: null }, filter)
      assert.equal(problem, null)
      assert.ok(found.count > 30_000)
    }
    const plans = await plansOf(ask({ since: Date.now() - day }))
    assert.ok(
      plans.some((plan) => plan['Index Name'] === byTime),
      words(plans),
    )
    await ask({})(db)
  })

  test('those that are too old go, a few at a time, and nothing else', async () => {
    const expiring = { table: 'ops_error_logs', column: 'created_at', keep: 29 * day }
    const rows = await sweep(db, expiring, new AbortController().signal)
    assert.ok(rows > 30_000 && rows < 40_000, String(rows))
    const { rows: left } = await db.query<{ count: number }>('SELECT count(*) AS count FROM ops_error_logs')
    assert.equal(left[0]?.count, count - rows)
  })
})

function walk(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(walk)]
}
