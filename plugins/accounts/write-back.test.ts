import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../../core/database/until.fixture.ts'
import { enableAccount, setAccount, wakeAccount } from '../../core/records/accounts.ts'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { ask, askUntil, before, options, records, sealer, type Records } from './accounts.fixture.ts'

const quick = { health: { delay: '20ms' } }

async function rowOf({ db }: Records, id: number) {
  const { rows } = await db.query(
    `SELECT status, error_message, rate_limited_at, temp_unschedulable_reason, last_used_at, extra,
       extract(epoch FROM rate_limit_reset_at - now())::float8 AS limited,
       extract(epoch FROM overload_until - now())::float8 AS overloaded,
       extract(epoch FROM temp_unschedulable_until - now())::float8 AS paused FROM accounts WHERE id = $1`,
    [id],
  )
  return rows[0]!
}

describe('the health of an account, in the database', () => {
  test('says that its credential was refused; it is asked again when an operator enables it', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(401, { error: { message: 'Invalid key' } }))
    const id = await db.add('one', { url: upstream.url })
    await using gw = await before(db.url, quick)
    await askUntil(gw, 401)
    await askUntil(gw, 503)
    const row = await rowOf(db, id)
    assert.deepEqual([row['status'], row['error_message']], ['error', '401 Invalid key'])
    upstream.script = json(200, {})
    await enableAccount(db.db, 'one')
    await askUntil(gw, 200)
    await until(async () => (await rowOf(db, id))['last_used_at'] !== null)
  })

  test('does not hold the old credential’s refusal against a new one', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(401, { error: { message: 'no' } }))
    const id = await db.add('one', { url: upstream.url })
    await using gw = await before(db.url, { health: { delay: '400ms' } })
    await askUntil(gw, 401)
    upstream.script = json(200, {})
    await setAccount(db.db, 'one', {}, (account) => sealer.seal(account, { key: 'new' }))
    // The use is written along with the refusal, by the same transaction.
    await until(async () => (await rowOf(db, id))['last_used_at'] !== null)
    assert.equal((await rowOf(db, id))['status'], 'active')
    assert.equal((await ask(gw)).status, 200)
    assert.equal(upstream.asked.at(-1)?.headers.authorization, 'Bearer new')
  })

  test('says how long it rests after a limit, an overload, or by a rule of its own', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(429, {}, { 'retry-after': '100' }))
    const extra = {
      temp_unschedulable_enabled: true,
      temp_unschedulable_rules: [{ error_code: 503, keywords: ['capacity'], duration_minutes: 2, description: 'full' }],
    }
    const id = await db.add('one', { url: upstream.url, extra })
    await using gw = await before(db.url, quick)
    await askUntil(gw, 429)
    await until(async () => (await rowOf(db, id))['limited'] !== null)
    const limited = await rowOf(db, id)
    assert.ok(Number(limited['limited']) > 95 && Number(limited['limited']) <= 100)
    assert.ok(limited['rate_limited_at'] instanceof Date)
    upstream.script = json(529, {})
    await wakeAccount(db.db, 'one')
    await askUntil(gw, 529)
    await until(async () => (await rowOf(db, id))['overloaded'] !== null)
    upstream.script = json(503, { error: { message: 'At CAPACITY' } })
    await wakeAccount(db.db, 'one')
    await until(async () => {
      await (await ask(gw)).text()
      return (await rowOf(db, id))['paused'] !== null
    })
    const paused = await rowOf(db, id)
    assert.ok(Number(paused['paused']) > 110 && Number(paused['paused']) <= 120)
    assert.equal(paused['temp_unschedulable_reason'], '503 full')
    assert.equal(paused['status'], 'active')
  })

  test('is only ever extended', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(429, {}, { 'retry-after': '5' }))
    const id = await db.add('one', { url: upstream.url })
    await using gw = await before(db.url, { health: { delay: '400ms' } })
    await askUntil(gw, 429)
    // Somebody else has learnt more, meanwhile.
    await db.db.query(`UPDATE accounts SET rate_limit_reset_at = now() + interval '1 hour' WHERE id = $1`, [id])
    await until(async () => (await rowOf(db, id))['last_used_at'] !== null)
    assert.ok(Number((await rowOf(db, id))['limited']) > 3500)
  })

  test('does not bring back what an operator has ended since the request left', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(429, {}, { 'retry-after': '100' }))
    const id = await db.add('one', { url: upstream.url })
    await using gw = await before(db.url, { health: { delay: '400ms' } })
    await askUntil(gw, 429)
    await wakeAccount(db.db, 'one')
    await until(async () => (await rowOf(db, id))['last_used_at'] !== null)
    assert.equal((await rowOf(db, id))['limited'], null)
    await askUntil(gw, 429)
    await until(async () => (await rowOf(db, id))['limited'] !== null)
  })

  test('says which model is limited, and the others are asked on', async () => {
    await using db = await records()
    const limited = {
      error: {
        message: 'x',
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.QuotaFailure',
            violations: [{ quotaId: 'GenerateRequestsPerMinutePerProjectPerModel' }],
          },
          { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '40s' },
        ],
      },
    }
    await using upstream = await fakeUpstream((asked, response, request) => {
      const isLimited = asked.body.includes('"limited')
      return json(isLimited ? 429 : 200, isLimited ? limited : {})(asked, response, request)
    })
    const id = await db.add('one', {
      url: upstream.url,
      extra: {
        keep: 1,
        model_rate_limits: {
          odd: 'x',
          past: { rate_limit_reset_at: '2020-01-01T00:00:00Z' },
          wrong: { rate_limit_reset_at: '9999-99-99' },
        },
      },
    })
    await using gw = await before(db.url, quick)
    const how = { model: 'limited' }
    await askUntil(gw, 200)
    await askUntil(gw, 429, how)
    await until(async () => {
      const text = await (await ask(gw, how)).text()
      return /account:1 is resting/.test(text)
    })
    assert.equal((await ask(gw)).status, 200)
    const { extra } = (await rowOf(db, id)) as { extra: { keep: number; model_rate_limits: Record<string, unknown> } }
    assert.equal(extra.keep, 1)
    assert.deepEqual(Object.keys(extra.model_rate_limits), ['limited'])
    await wakeAccount(db.db, 'one')
    await askUntil(gw, 429, how)
  })

  test('tells every gateway', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(200, {}))
    await db.add('one', { url: upstream.url })
    await using first = await before(db.url, quick)
    await askUntil(first, 200)
    await using second = await before(db.url, quick)
    await askUntil(second, 200)
    upstream.script = json(429, {}, { 'retry-after': '100' })
    await askUntil(first, 429)
    upstream.script = json(200, {})
    await until(async () => /is resting/.test(await (await ask(second)).text()))
  })

  test('waits for a database that is away, and no exchange waits with it', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(200, {}))
    const id = await db.add('one', { url: upstream.url })
    await db.add('two', { url: upstream.url, priority: 90 })
    await using gw = await before(db.url, quick)
    await askUntil(gw, 200)
    await until(async () => (await rowOf(db, id))['last_used_at'] !== null)
    await db.db.query('ALTER TABLE accounts RENAME TO gone')
    upstream.script = json(402, { error: { message: 'unpaid' } })
    await askUntil(gw, 402)
    await until(() => gw.records.some(({ message }) => message.includes('could not be written yet')))
    upstream.script = json(200, {})
    assert.equal((await ask(gw)).status, 200)
    await db.db.query('ALTER TABLE gone RENAME TO accounts')
    await until(async () => (await rowOf(db, id))['error_message'] === '402 unpaid')
  })

  test('is written before a gateway has retired', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(401, { error: { message: 'no' } }))
    const id = await db.add('one', { url: upstream.url })
    {
      await using gw = await before(db.url, { health: { delay: '1h' } })
      await askUntil(gw, 401)
    }
    assert.equal((await rowOf(db, id))['status'], 'error')
  })

  test('is left alone where it shall not be written', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(401, { error: { message: 'no' } }))
    const id = await db.add('one', { url: upstream.url })
    {
      await using gw = await before(db.url, { health: { enabled: false } })
      await askUntil(gw, 401)
      assert.deepEqual(await gw.reload(options(db.url, { health: { refused: [402], delay: '10ms' } })), [])
      await askUntil(gw, 401)
    }
    const row = await rowOf(db, id)
    assert.equal(row['status'], 'active')
    assert.ok(row['last_used_at'])
  })
})
