import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { openDatabase, type Database } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { migratedDatabase, type FreshDatabase } from '../../test/postgres.ts'
import { bill } from './bill.ts'
import { rowFor } from './row.fixture.ts'
import type { UsageRow } from './row.ts'
import { seed, until } from './usage.fixture.ts'

describe('billing', () => {
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
  beforeEach(async () => {
    await db.query('TRUNCATE users, groups, api_keys, user_subscriptions, usage_logs, usage_billing_dedup CASCADE')
    await db.query(seed)
  })
  const one = async <Row>(sql: string) => (await db.query<Row>(sql)).rows[0]!
  const balance = async (id = 1) =>
    (await one<{ balance: string }>(`SELECT balance FROM users WHERE id = ${id}`)).balance
  const count = async () => (await one<{ count: number }>('SELECT count(*) FROM usage_logs')).count

  test('of the same rows again and again debits once', async () => {
    const rows = [rowFor({ actual_cost: '0.25' }), rowFor({ actual_cost: '0.5', user_id: 2, api_key_id: 2 })]
    const first = await bill(db, rows)
    assert.deepEqual([first.billed.size, first.before.size], [2, 0])
    for (let times = 0; times < 3; times++) {
      const again = await bill(db, rows.toReversed())
      assert.deepEqual([again.billed.size, again.before.size, again.renamed.length], [0, 2, 0])
    }
    assert.deepEqual([await balance(1), await balance(2), await count()], ['9.7500000000', '9.5000000000', 2])
  })

  test('by eight at once, in any order, debits once', async () => {
    const rows = Array.from({ length: 200 }, (_, at) =>
      rowFor({ actual_cost: '0.0000000001', user_id: 1 + (at % 3), api_key_id: 1 + (at % 3) }),
    )
    const shuffled = () => rows.toSorted(() => Math.random() - 0.5)
    const all = await Promise.all(Array.from({ length: 8 }, () => bill(db, shuffled())))
    assert.equal(
      all.reduce((sum, { billed }) => sum + billed.size, 0),
      200,
    )
    assert.equal(await count(), 200)
    const spent = await one<{ sum: string }>('SELECT sum(10 - balance) FROM users')
    assert.equal(spent.sum, '0.0000000200')
  })

  test('finds a row that is twice in one batch', async () => {
    const row = rowFor({ actual_cost: '1' })
    const { billed, before: known } = await bill(db, [row, { ...row, id: 'postern-other' }])
    assert.deepEqual([billed.size, known.size, await balance()], [1, 1, '9.0000000000'])
  })

  test('under a name that an upstream gave to another answer is done under the own name, once', async () => {
    await bill(db, [rowFor({ request_id: 'chatcmpl-constant-0001', actual_cost: '1' })])
    const other = rowFor({ request_id: 'chatcmpl-constant-0001', actual_cost: '2' })
    const { billed, renamed } = await bill(db, [other])
    assert.deepEqual([[...billed], renamed.map(({ request_id }) => request_id)], [[other.id], [other.id]])
    const again = await bill(db, [other])
    assert.deepEqual([again.billed.size, again.before.size], [0, 1])
    assert.equal(await balance(), '7.0000000000')
  })

  test('keeps the names of two keys apart', async () => {
    const name = { request_id: 'req_0123456789abcdef', actual_cost: '1' }
    await bill(db, [rowFor(name), rowFor({ ...name, user_id: 2, api_key_id: 2 })])
    assert.deepEqual([await balance(1), await balance(2)], ['9.0000000000', '9.0000000000'])
  })

  test('is all or nothing', async () => {
    const tooLong = { ...rowFor({ actual_cost: '1' }), user_agent: 'x'.repeat(600) }
    await assert.rejects(bill(db, [rowFor({ actual_cost: '1' }), tooLong]), { code: '23514' })
    const dedup = await one<{ count: number }>('SELECT count(*) FROM usage_billing_dedup')
    assert.deepEqual([await balance(), await count(), dedup.count], ['10.0000000000', 0, 0])
  })

  test('takes nothing from those who pay nothing, and knows keys that are not in the database', async () => {
    await bill(db, [rowFor({ billing: 'none', actual_cost: '3', user_id: null, api_key_id: 0, key_name: 'ci' })])
    assert.deepEqual([await balance(), await count()], ['10.0000000000', 1])
  })

  test('may take a wallet below zero: what was served is billed', async () => {
    await bill(db, [rowFor({ actual_cost: '12.5' })])
    assert.equal(await balance(), '-2.5000000000')
  })

  test('counts the quota of a key, and tells when it is reached, once', async () => {
    await db.query('UPDATE api_keys SET quota = 1 WHERE id = 1')
    const heard: (string | null)[] = []
    const stop = await db.listen('access_changed', (change) => void heard.push(change))
    await until('the listener', async () => {
      await db.query(`NOTIFY access_changed, 'ready'`)
      return heard.includes('ready')
    })
    for (const cost of ['0.6', '0.5', '0.1']) await bill(db, [rowFor({ actual_cost: cost })])
    await db.query(`NOTIFY access_changed, 'end'`)
    await until('the end', () => heard.includes('end'))
    await stop()
    const { hash } = await one<{ hash: string }>(`SELECT encode(key_hash, 'hex') AS hash FROM api_keys WHERE id = 1`)
    assert.deepEqual(
      heard.filter((change) => change !== 'ready' && change !== 'end' && change !== null),
      [hash],
    )
    assert.equal(
      (await one<{ quota_used: string }>('SELECT quota_used FROM api_keys WHERE id = 1')).quota_used,
      '1.2000000000',
    )
  })

  describe('of a subscription', () => {
    const row = (more: Partial<UsageRow> = {}) =>
      rowFor({ billing: 'subscription', group_id: 7, total_cost: '1.5', actual_cost: '3', ...more })
    const subscription = () =>
      one<Record<string, unknown>>(
        'SELECT id, daily_usage_usd, weekly_usage_usd, monthly_usage_usd, daily_window_start FROM user_subscriptions',
      )
    beforeEach(() =>
      db.query(`INSERT INTO groups (id, name, subscription_type) VALUES (7, 'pro', 'subscription');
        INSERT INTO user_subscriptions (id, user_id, group_id, expires_at) VALUES (70, 1, 7, now() + interval '9 days')`),
    )

    test('adds the total, without the multiplier, to three windows, and leaves the wallet alone', async () => {
      await bill(db, [row(), row()])
      const { daily_window_start, ...rest } = await subscription()
      assert.deepEqual(rest, {
        id: 70,
        daily_usage_usd: '3.0000000000',
        weekly_usage_usd: '3.0000000000',
        monthly_usage_usd: '3.0000000000',
      })
      assert.equal(Number(daily_window_start), new Date().setHours(0, 0, 0, 0))
      assert.equal(await balance(), '10.0000000000')
      const { rows } = await db.query('SELECT subscription_id, billing_type FROM usage_logs')
      assert.deepEqual(rows, [
        { subscription_id: 70, billing_type: 1 },
        { subscription_id: 70, billing_type: 1 },
      ])
    })

    test('begins a window that is over anew, and goes on with those that are not', async () => {
      await db.query(`UPDATE user_subscriptions SET daily_usage_usd = 5, weekly_usage_usd = 5, monthly_usage_usd = 5,
        daily_window_start = now() - interval '25 hours', weekly_window_start = now() - interval '25 hours',
        monthly_window_start = now() - interval '31 days'`)
      await bill(db, [row()])
      const { daily_usage_usd, weekly_usage_usd, monthly_usage_usd } = await subscription()
      assert.deepEqual(
        [daily_usage_usd, weekly_usage_usd, monthly_usage_usd],
        ['1.5000000000', '6.5000000000', '1.5000000000'],
      )
    })
  })
})
