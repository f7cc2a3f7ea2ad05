import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { toUnits } from 'postern/access'
import { openDatabase, type Database } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { migratedDatabase, type FreshDatabase } from '../../test/postgres.ts'
import { runs } from '../../test/runs.ts'
import { dayOf, recent, summarize, type Scope, type Stretch, type Sum } from './summary.ts'

/** 14 November 2026, noon, in the time zone of this process. */
const now = new Date(2026, 10, 14, 12).getTime()
const day = 24 * 60 * 60 * 1000

describe('the sums of a range and of today', () => {
  let fresh: FreshDatabase
  let db: Database
  before(async () => {
    fresh = await migratedDatabase()
    db = openDatabase(fresh.url, silentLog)
    await db.ready()
  })
  after(async () => {
    await db.close()
    await fresh[Symbol.asyncDispose]()
  })

  const rows = fc.array(
    fc.record({
      key: fc.integer({ min: 0, max: 2 }),
      // Around the edges of days, and in between.
      at: fc.oneof(
        fc.integer({ min: -3 * day, max: 3 * day }),
        fc.constantFrom(-12 * 60 * 60 * 1000, 12 * 60 * 60 * 1000, 0, -recent, -recent - 1),
      ),
      tokens: fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000), fc.nat(1000)),
      cost: fc.bigInt({ min: 0n, max: 10n ** 12n }),
      duration: fc.nat(10_000),
    }),
    { maxLength: 30 },
  )
  const ranges = fc
    .tuple(fc.integer({ min: -4, max: 4 }), fc.integer({ min: 0, max: 5 }))
    .map(([start, length]): Stretch => ({
      start: dayOf(now).start + start * day,
      end: dayOf(now).start + (start + length) * day,
    }))

  test('are those of four plain queries, for ranges before, after and across today, and for nothing', async () => {
    await fc.assert(
      fc.asyncProperty(rows, ranges, async (used, range) => {
        await db.query('TRUNCATE usage_logs')
        await db.query(
          `INSERT INTO usage_logs (api_key_id, key_name, model, input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens,
             total_cost, actual_cost, duration_ms, created_at)
           SELECT key, CASE WHEN key = 0 THEN 'ci' ELSE 'key' END, 'm', a, b, c, d, cost, cost * 2, duration, to_timestamp(ended / 1000.0)
           FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::numeric[], $7::int[], $8::numeric[])
             AS row (key, a, b, c, d, cost, duration, ended)`,
          [
            used.map(({ key }) => key),
            ...[0, 1, 2, 3].map((at) => used.map(({ tokens }) => tokens[at])),
            used.map(({ cost }) => `${cost / 10n ** 10n}.${String(cost % 10n ** 10n).padStart(10, '0')}`),
            used.map(({ duration }) => duration),
            used.map(({ at }) => now + at),
          ],
        )
        const today = dayOf(now)
        for (const scope of [{ keyId: 1 }, { keyName: 'ci' }] satisfies Scope[]) {
          const told = await summarize(db.query, scope, range, today, now)
          assert.deepEqual(told.range, await naive(scope, range))
          assert.deepEqual(told.today, await naive(scope, today))
          const latest = await naive(scope, { start: now - recent, end: now + 1000 * day })
          const tokens = latest.input + latest.output + latest.cacheCreation + latest.cacheRead
          assert.deepEqual([told.recentRequests, told.recentTokens], [latest.requests, tokens])
          assert.ok(Math.abs(told.averageDuration - (await average(scope, range))) < 1e-6)
        }
      }),
      runs(60),
    )
  })

  const whose = (scope: Scope) =>
    'keyId' in scope ? `api_key_id = ${scope.keyId}` : `api_key_id = 0 AND key_name = '${scope.keyName}'`
  const within = ({ start, end }: Stretch) =>
    `created_at >= '${new Date(start).toISOString()}' AND created_at < '${new Date(end).toISOString()}'`

  async function naive(scope: Scope, stretch: Stretch): Promise<Sum> {
    const { rows: all } = await db.query<Record<string, string | number>>(
      `SELECT * FROM usage_logs WHERE ${whose(scope)} AND ${within(stretch)}`,
    )
    const sum = (column: string) => all.reduce((total, row) => total + Number(row[column]), 0)
    const money = (column: string) => all.reduce((total, row) => total + toUnits(String(row[column])), 0n)
    return {
      requests: all.length,
      input: sum('input_tokens'),
      output: sum('output_tokens'),
      cacheCreation: sum('cache_creation_tokens'),
      cacheRead: sum('cache_read_tokens'),
      cost: money('total_cost'),
      actualCost: money('actual_cost'),
    }
  }

  async function average(scope: Scope, range: Stretch): Promise<number> {
    const { rows: all } = await db.query<{ duration_ms: number }>(
      `SELECT duration_ms FROM usage_logs WHERE ${whose(scope)} AND ${within(range)}`,
    )
    return all.length === 0 ? 0 : all.reduce((total, { duration_ms: ms }) => total + ms, 0) / all.length
  }

  test('of a range far from today are read without what lies between', async () => {
    await db.query('TRUNCATE usage_logs')
    await db.query(`INSERT INTO usage_logs (api_key_id, model, created_at)
      SELECT 1, 'm', to_timestamp(${now / 1000}) - n * interval '1 minute' FROM generate_series(0, 200000) n`)
    await db.query('ANALYZE usage_logs')
    let statement = ''
    const range = { start: now - 130 * day, end: now - 129 * day }
    await summarize(
      async (text, values) => {
        statement = text
        return db.query(text, values)
      },
      { keyId: 1 },
      range,
      dayOf(now),
      now,
    )
    const today = dayOf(now)
    const { rows: plan } = await db.query<{ 'QUERY PLAN': [{ Plan: Node }] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) ${statement}`,
      [1, null, range.start, range.end, today.start, today.end, now - recent],
    )
    const read = rowsRead(plan[0]!['QUERY PLAN'][0].Plan)
    assert.ok(read < 10_000, `${read} rows were read`)
  })
})

interface Node {
  readonly 'Node Type': string
  readonly 'Actual Rows': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly Node[]
}

/** The most that one step of the plan has looked at. */
function rowsRead(node: Node): number {
  const own = node['Node Type'] === 'Aggregate' ? 0 : node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)
  return Math.max(own, ...(node.Plans ?? []).map(rowsRead))
}
