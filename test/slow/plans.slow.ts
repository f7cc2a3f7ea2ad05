/**
 * Whether the four hot queries use their indexes on tables of the size that they have in a year: read from PostgreSQL's own plans.
 * Run with `node test/run.ts test/slow/plans.slow.ts`.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { openDatabase, type Database } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { migratedDatabase, type FreshDatabase } from '../postgres.ts'

interface Plan {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly 'Relation Name'?: string
  readonly 'Total Cost': number
  readonly 'Actual Rows'?: number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly Plan[]
}

const accounts = 100_000
const users = 100_000
const usageRows = 1_000_000

/** Everything is made inside the database; values come from the row's own number, so that every run makes the same. */
const seed = `
  INSERT INTO users (email) SELECT 'user' || n || '@example.com' FROM generate_series(1, ${users}) n;
  INSERT INTO groups (name) SELECT 'group' || n FROM generate_series(1, 200) n;
  INSERT INTO api_keys (user_id, group_id, key_hash)
    SELECT n, 1 + n % 200, sha256(n::text::bytea) FROM generate_series(1, ${users}) n;
  INSERT INTO accounts (name, platform, priority, status, schedulable, temp_unschedulable_until, deleted_at)
    SELECT 'account' || n, (ARRAY['anthropic', 'openai', 'gemini', 'antigravity'])[1 + n % 4], n % 100,
      CASE WHEN n % 10 < 7 THEN 'active' WHEN n % 10 < 9 THEN 'inactive' ELSE 'error' END, n % 3 > 0,
      CASE WHEN n % 50 = 0 THEN now() + interval '1 hour' END, CASE WHEN n % 5 = 0 THEN now() END
    FROM generate_series(1, ${accounts}) n;
  INSERT INTO user_subscriptions (user_id, group_id, status, expires_at, deleted_at)
    SELECT 1 + n % ${users}, 1 + n / ${users} + n % 190, CASE WHEN n % 4 = 0 THEN 'expired' ELSE 'active' END,
      now() + (n % 60 - 20) * interval '1 day', CASE WHEN n % 7 = 0 THEN now() END
    FROM generate_series(1, ${users} * 2) n;
  INSERT INTO usage_logs (request_id, user_id, api_key_id, account_id, group_id, model, input_tokens, output_tokens,
      total_cost, actual_cost, created_at)
    SELECT 'req_' || n, 1 + n % ${users}, 1 + n % ${users}, 1 + n % ${accounts}, CASE WHEN n % 3 > 0 THEN 1 + n % 200 END,
      'model', n % 5000, n % 900, 0.01, 0.012, now() - n * interval '30 seconds'
    FROM generate_series(1, ${usageRows}) n;
  ANALYZE;`

/** Conditions of the indexes stand in the queries as they are: a parameter in their place would hide them from a plan for any value. */
const hot: readonly { what: string; index: string; most: number; sql: string; values: readonly unknown[] }[] = [
  {
    what: 'the accounts of a platform that may be asked, the first ones first',
    index: 'idx_accounts_schedulable_hot',
    most: 2000,
    sql: `SELECT id, name, credentials, priority FROM accounts
      WHERE deleted_at IS NULL AND status = 'active' AND schedulable = true AND platform = $1
        AND (expires_at IS NULL OR expires_at > now() OR NOT auto_pause_on_expired)
        AND (overload_until IS NULL OR overload_until <= now())
        AND (rate_limit_reset_at IS NULL OR rate_limit_reset_at <= now())
        AND (temp_unschedulable_until IS NULL OR temp_unschedulable_until <= now())
      ORDER BY priority LIMIT 100`,
    values: ['openai'],
  },
  {
    what: 'all accounts that may be asked, the first ones first',
    index: 'idx_accounts_active_schedulable',
    most: 2000,
    sql: `SELECT id, name, platform, priority FROM accounts
      WHERE deleted_at IS NULL AND schedulable = true AND status = 'active'
        AND (temp_unschedulable_until IS NULL OR temp_unschedulable_until <= now())
      ORDER BY priority LIMIT 100`,
    values: [],
  },
  {
    what: 'the subscriptions of a user that are worth something now',
    index: 'idx_user_subscriptions_user_status_expires_active',
    most: 20,
    sql: `SELECT * FROM user_subscriptions
      WHERE deleted_at IS NULL AND user_id = $1 AND status = 'active' AND expires_at > now()`,
    values: [4711],
  },
  {
    what: 'what a group has used in a day',
    index: 'idx_usage_logs_group_created_at_not_null',
    most: 100,
    sql: `SELECT count(*), sum(input_tokens), sum(output_tokens), sum(actual_cost) FROM usage_logs
      WHERE group_id IS NOT NULL AND group_id = $1 AND created_at >= $2 AND created_at < $3`,
    values: [18, new Date(Date.now() - 30 * 86_400_000), new Date(Date.now() - 29 * 86_400_000)],
  },
]

describe('on tables of a year', () => {
  let fresh: FreshDatabase
  let db: Database
  before(async () => {
    fresh = await migratedDatabase()
    db = openDatabase(fresh.url, silentLog)
    await db.session(({ query }) => query(seed))
    const { rows } =
      await db.query(`SELECT (SELECT count(*) FROM accounts) AS accounts, (SELECT count(*) FROM api_keys) AS keys,
      (SELECT count(*) FROM user_subscriptions) AS subscriptions, (SELECT count(*) FROM usage_logs) AS usage`)
    assert.deepEqual(rows, [{ accounts, keys: users, subscriptions: users * 2, usage: usageRows }])
  })
  after(async () => {
    await db.close()
    await fresh[Symbol.asyncDispose]()
  })

  for (const { what, index, most, sql, values } of hot) {
    test(`${what}: by ${index}`, async () => {
      const nodes = walk(await planOf(db, sql, values))
      assert.ok(
        nodes.some((node) => node['Index Name'] === index),
        describeNodes(nodes),
      )
      assert.ok(
        nodes.every((node) => node['Node Type'] !== 'Seq Scan'),
        describeNodes(nodes),
      )
      // The index does not only take part: it leaves little to look at.
      const read = nodes.reduce((sum, node) => sum + (node['Relation Name'] ? rowsRead(node) : 0), 0)
      assert.ok(read <= most, `${read} rows were read: ${describeNodes(nodes)}`)
    })

    test(`${what}: also by a plan for any value`, async () => {
      const nodes = walk(await genericPlanOf(db, sql, values))
      assert.ok(
        nodes.some((node) => node['Index Name'] === index),
        describeNodes(nodes),
      )
    })

    test(`${what}: would cost more without it`, async () => {
      const before = await planOf(db, sql, values)
      const dropped = db.transaction(async (query) => {
        await query(`DROP INDEX ${index}`)
        throw new Dropped(await planOf({ query }, sql, values))
      })
      const after: unknown = await dropped.catch((error: unknown) => error)
      assert.ok(after instanceof Dropped, String(after))
      assert.ok(after.plan['Total Cost'] > before['Total Cost'], describeNodes(walk(after.plan)))
    })
  }

  test('a condition that is a parameter would lose its index', async () => {
    const sql = `SELECT id FROM accounts WHERE deleted_at IS NULL AND status = $2 AND schedulable = true AND platform = $1
      ORDER BY priority LIMIT 100`
    const nodes = walk(await genericPlanOf(db, sql, ['openai', 'active']))
    assert.ok(
      nodes.every((node) => node['Index Name'] !== 'idx_accounts_schedulable_hot'),
      describeNodes(nodes),
    )
  })

  test('a key is found by its hash', async () => {
    const sql = `SELECT k.id, u.balance, g.name FROM api_keys k JOIN users u ON u.id = k.user_id LEFT JOIN groups g ON g.id = k.group_id
      WHERE k.key_hash = $1 AND k.deleted_at IS NULL`
    const nodes = walk(await planOf(db, sql, [Buffer.alloc(32, 1)]))
    assert.ok(
      nodes.some((node) => node['Index Name'] === 'api_keys_key_hash_key'),
      describeNodes(nodes),
    )
  })
})

/** Takes the drop of an index back, and says what the plan was without it. */
class Dropped extends Error {
  readonly plan: Plan
  constructor(plan: Plan) {
    super('taken back')
    this.plan = plan
  }
}

async function planOf(db: Pick<Database, 'query'>, sql: string, values: readonly unknown[]): Promise<Plan> {
  const { rows } = await db.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(`EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, values)
  return rows[0]!['QUERY PLAN'][0].Plan
}

/** The plan that a prepared statement has after it has been run often. */
function genericPlanOf(db: Database, sql: string, values: readonly unknown[]): Promise<Plan> {
  return db.session(async ({ query }) => {
    await query('SET plan_cache_mode = force_generic_plan')
    await query(`PREPARE hot AS ${sql}`)
    const given = values.map((value) => literal(value)).join(', ')
    const { rows } = await query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE hot${given && `(${given})`}`,
    )
    return rows[0]!['QUERY PLAN'][0].Plan
  })
}

function literal(value: unknown): string {
  return value instanceof Date
    ? `'${value.toISOString()}'`
    : typeof value === 'number'
      ? String(value)
      : `'${String(value)}'`
}

function walk(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(walk)]
}

function rowsRead(node: Plan): number {
  return (node['Actual Rows'] ?? 0) + (node['Rows Removed by Filter'] ?? 0)
}

function describeNodes(nodes: readonly Plan[]): string {
  return nodes.map((node) => `${node['Node Type']} ${node['Index Name'] ?? node['Relation Name'] ?? ''}`).join(' > ')
}
