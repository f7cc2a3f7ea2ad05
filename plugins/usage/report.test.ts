import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { chat, scene, serving, until, wallet, caller, type Scene } from './usage.fixture.ts'

const report = async (it: Scene, principal: Parameters<Scene['ask']>[0]) => {
  const answer = await it.ask(principal, undefined, { method: 'GET', path: '/v1/usage' })
  return { status: answer.status, told: (await answer.json()) as Record<string, unknown> }
}
const sums = (more: object = {}) => ({
  requests: 0,
  input_tokens: 0,
  output_tokens: 0,
  cache_creation_tokens: 0,
  cache_read_tokens: 0,
  total_tokens: 0,
  cost: 0,
  actual_cost: 0,
  ...more,
})

describe('/v1/usage', () => {
  test('tells a wallet what it has used and has left, even with nothing left', async () => {
    await using it = await scene(serving(() => chat(1000, 50)))
    const payer = wallet(1, { rateMultiplier: '2' })
    for (let times = 0; times < 2; times++) await (await it.ask(payer)).text()
    await (await it.ask(wallet(2))).text()
    await until('the rows', async () => (await it.rows()).length === 3)
    await it.db
      .query(`INSERT INTO usage_logs (api_key_id, model, input_tokens, total_cost, actual_cost, duration_ms, created_at)
      VALUES (1, 'm', 5, 0.5, 0.5, 100, now() - interval '3 days')`)
    await it.db.query('UPDATE users SET balance = -1.25 WHERE id = 1')
    const { status, told } = await report(it, payer)
    const { usage, ...rest } = told
    assert.equal(status, 200)
    assert.deepEqual(rest, { isValid: true, planName: '钱包余额', remaining: -1.25, balance: -1.25, unit: 'USD' })
    const { average_duration_ms: average, ...counted } = usage as Record<string, unknown>
    assert.ok(Number(average) > 33 && Number(average) < 5000)
    const today = {
      requests: 2,
      input_tokens: 2000,
      output_tokens: 100,
      total_tokens: 2100,
      cost: 0.003,
      actual_cost: 0.006,
    }
    assert.deepEqual(counted, {
      today: sums(today),
      total: sums({ ...today, requests: 3, input_tokens: 2005, total_tokens: 2105, cost: 0.503, actual_cost: 0.506 }),
      rpm: 0,
      tpm: 420,
    })
  })

  test('tells a subscriber the least that is left of three windows; one that is over counts as empty', async () => {
    await using it = await scene(serving(() => chat(1, 1)))
    await it.db.query(`INSERT INTO groups (id, name, subscription_type, daily_limit_usd, weekly_limit_usd)
        VALUES (7, 'pro', 'subscription', 3, 10), (8, 'free', 'subscription', NULL, 0);
      INSERT INTO user_subscriptions (user_id, group_id, expires_at, daily_usage_usd, weekly_usage_usd, daily_window_start, weekly_window_start)
        VALUES (1, 7, '2100-01-02T03:04:05Z', 2.5, 8.75, now() - interval '25 hours', now() - interval '25 hours'),
          (1, 8, '2100-01-02T03:04:05Z', 2.5, 8.75, now(), now())`)
    const subscriber = wallet(1, { billing: 'subscription', groupId: 7 })
    const { usage: _, ...told } = (await report(it, subscriber)).told
    assert.deepEqual(told, {
      isValid: true,
      planName: 'pro',
      remaining: 1.25,
      unit: 'USD',
      subscription: {
        daily_usage_usd: 0,
        weekly_usage_usd: 8.75,
        monthly_usage_usd: 0,
        daily_limit_usd: 3,
        weekly_limit_usd: 10,
        monthly_limit_usd: 0,
        expires_at: '2100-01-02T03:04:05.000Z',
      },
    })
    assert.equal((await report(it, { ...subscriber, groupId: 8 })).told.remaining, -1)
    assert.equal((await report(it, { ...subscriber, groupId: 9 })).told.remaining, 0)
  })

  test('counts the keys of gateway.yaml by their names', async () => {
    await using it = await scene(serving(() => chat(1, 1)))
    await (await it.ask(caller({ name: 'ci' }))).text()
    await until('a row', async () => (await it.rows()).length === 1)
    const { told } = await report(it, caller({ id: 'ci', name: 'ci' }))
    assert.deepEqual(
      [told.planName, told.remaining, (told.usage as { total: object }).total],
      [
        'ci',
        -1,
        sums({
          requests: 1,
          input_tokens: 1,
          output_tokens: 1,
          total_tokens: 2,
          cost: 0.000011,
          actual_cost: 0.000011,
        }),
      ],
    )
    const other = await report(it, caller({ id: 'other', name: 'other' }))
    assert.deepEqual((other.told.usage as { total: object }).total, sums())
  })

  test('is for those who are known, and answers no one else’s paths', async () => {
    await using it = await scene(serving(() => chat(1, 1)))
    const { status, told } = await report(it, null)
    assert.equal(status, 401)
    assert.deepEqual((told.error as { code: string }).code, 'api_key_required')
    await (await it.ask(wallet(1), {}, { path: '/v1/usage' })).text()
    assert.equal(it.upstream.asked.length, 1)
  })

  test('leaves out what nobody can tell, and says so where nobody knows what is left', async () => {
    await using it = await scene(serving(() => chat(1, 1)))
    await it.db.query('ALTER TABLE usage_logs RENAME TO hidden')
    const { status, told } = await report(it, wallet(1))
    assert.equal(status, 200)
    assert.deepEqual(told, { isValid: true, planName: '钱包余额', remaining: 10, balance: 10, unit: 'USD' })
    await it.db.query('ALTER TABLE users RENAME TO gone')
    assert.equal((await report(it, wallet(1))).status, 503)
  })
})
