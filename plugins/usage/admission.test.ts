import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import { json } from '../../test/fake-upstream.ts'
import { caller, chat, model, scene, serving, until, wallet, type Scene } from './usage.fixture.ts'

/** 30 bytes of a body are ten tokens at 12 500 units (the dearest input), and 1000 tokens of output cost a cent. */
const cent = { model, max_tokens: 1000 }

/** Answers nobody until it is told. */
function holding() {
  const open: ServerResponse[] = []
  return {
    open,
    script: (_asked: unknown, response: ServerResponse) => void open.push(response),
    finishAll(make: () => object) {
      // A script of this kind looks at nothing but the response.
      for (const response of open.splice(0)) void serving(make)(undefined as never, response, undefined as never)
    },
  }
}

const code = async (answer: Response) => ((await answer.json()) as { error: { code: string; message: string } }).error
const setBalance = (it: Scene, dollars: string) => it.db.query('UPDATE users SET balance = $1 WHERE id = 1', [dollars])

describe('admission', () => {
  test('lets in as many at once as there is money for, and the next ones when the rest is given back', async () => {
    const held = holding()
    await using it = await scene(held.script)
    await setBalance(it, '0.035')
    const answers = Array.from({ length: 8 }, () => it.ask(wallet(1), cent))
    const refused: Response[] = []
    for (const one of answers) void one.then((answer) => answer.status === 403 && refused.push(answer))
    await until('three upstream, five refused', () => held.open.length === 3 && refused.length === 5)
    for (const answer of refused)
      assert.deepEqual(await code(answer), {
        message: 'Insufficient account balance',
        type: 'permission_error',
        param: null,
        code: 'insufficient_balance',
      })
    held.finishAll(() => chat(10, 1))
    const served = (await Promise.all(answers)).filter(({ status }) => status === 200)
    await Promise.all(served.map((answer) => answer.text()))
    assert.equal(served.length, 3)
    await until('the rows', async () => (await it.rows()).length === 3)
    assert.equal(await it.balanceOf(1), '0.0349400000')
    const more = Array.from({ length: 3 }, () => it.ask(wallet(1), cent))
    await until('three upstream again', () => held.open.length === 3)
    held.finishAll(() => chat(10, 1))
    for (const answer of await Promise.all(more)) assert.equal(answer.status, 200)
    await until('the rows', async () => (await it.rows()).length === 6)
  })

  test('gives back what a failure, a refusal or a client that leaves has kept', async () => {
    await using it = await scene(json(500, { error: {} }))
    await setBalance(it, '0.012')
    for (let times = 0; times < 5; times++) assert.equal((await it.ask(wallet(1), cent)).status, 500)
    assert.equal((await it.ask(wallet(1), { model: 'none-serves', max_tokens: 1 }, { path: '/nowhere' })).status, 404)
    const held = holding()
    it.upstream.script = held.script
    for (let times = 0; times < 5; times++) {
      const leaving = new AbortController()
      const asking = it.ask(wallet(1), cent, { signal: leaving.signal })
      await until('an open exchange', () => held.open.length === times + 1)
      leaving.abort()
      await assert.rejects(asking)
      await until('its end', () => it.gw.sidecar.server.gateway.exchanges.length === 0)
    }
    it.upstream.script = serving(() => chat(1, 1))
    const answer = await it.ask(wallet(1), cent)
    assert.equal(answer.status, 200)
    await answer.text()
  })

  test('counts the limit that a request sets, else a default, and never more than the model gives', async () => {
    await using it = await scene(
      serving(() => chat(1, 1)),
      { usage: { reserve: { output: 500 } } },
    )
    await setBalance(it, '0.0051')
    const status = async (more: object) => {
      const answer = await it.ask(wallet(1), { model, ...more })
      await answer.text()
      return answer.status
    }
    assert.equal(await status({}), 200)
    assert.equal(await status({ max_tokens: 600 }), 403)
    assert.equal(await status({ max_completion_tokens: 600 }), 403)
    assert.equal(await status({ max_tokens: 300, n: 2 }), 403)
    assert.equal(await status({ max_tokens: 1 }), 200)
    await until('the rows', async () => (await it.rows()).length === 2)
    await setBalance(it, '0.011')
    await it.db.query(`NOTIFY access_changed, 'all'`)
    await until('another balance', async () => (await status({ max_tokens: 1_000_000_000 })) === 200)
  })

  test('keeps no more than `reserve.most`, and a fixed amount for a body that is not held', async () => {
    await using it = await scene(
      serving(() => chat(1, 1)),
      { usage: { reserve: { most: '0.001', fixed: '0.02' } } },
    )
    await setBalance(it, '0.005')
    assert.equal((await it.ask(wallet(1), cent)).status, 200)
    const form = { headers: { 'content-type': 'multipart/form-data; boundary=x' }, path: '/v1/audio/transcriptions' }
    assert.equal((await it.ask(wallet(1), {}, form)).status, 403)
    await it.db.query('UPDATE users SET balance = 1 WHERE id = 2')
    assert.equal((await it.ask(wallet(2), {}, form)).status, 200)
  })

  test('asks nothing of those who pay nothing', async () => {
    await using it = await scene(serving(() => chat(1, 1)))
    for (const principal of [caller(), null]) assert.equal((await it.ask(principal, cent)).status, 200)
    await until('the rows', async () => (await it.rows()).length === 2)
    assert.deepEqual(
      (await it.rows()).map(({ key_name, api_key_id }) => [key_name, api_key_id]),
      [
        ['tester', 0],
        [null, 0],
      ],
    )
  })

  test('lets nobody through whose money nobody knows', async () => {
    await using it = await scene(serving(() => chat(1, 1)))
    await it.db.query('ALTER TABLE users RENAME TO hidden')
    const answer = await it.ask(wallet(1), cent)
    assert.equal(answer.status, 503)
    assert.deepEqual((await code(answer)).message, 'Billing service temporarily unavailable. Please retry later.')
    assert.equal(it.upstream.asked.length, 0)
    await it.db.query('ALTER TABLE hidden RENAME TO users')
    assert.equal((await it.ask(wallet(1), cent)).status, 200)
  })

  test('says of a subscription which window is full, with what runs now counted', async () => {
    const held = holding()
    await using it = await scene(held.script)
    await it.db
      .query(`INSERT INTO groups (id, name, subscription_type, weekly_limit_usd) VALUES (7, 'pro', 'subscription', 0.025);
      INSERT INTO user_subscriptions (user_id, group_id, expires_at) VALUES (1, 7, now() + interval '9 days')`)
    const subscriber = wallet(1, { billing: 'subscription', groupId: 7, group: 'pro', rateMultiplier: '5' })
    const running = [it.ask(subscriber, cent), it.ask(subscriber, cent)]
    await until('two upstream', () => held.open.length === 2)
    const third = await it.ask(subscriber, cent)
    assert.deepEqual([third.status, (await code(third)).message], [429, 'The weekly usage limit is reached'])
    const stranger = await it.ask(wallet(2, { billing: 'subscription', groupId: 7 }), cent)
    assert.deepEqual([stranger.status, (await code(stranger)).code], [403, 'subscription_not_found'])
    held.finishAll(() => chat(100, 10))
    for (const answer of await Promise.all(running)) await answer.text()
    await until('the rows', async () => (await it.rows()).length === 2)
    const { rows } = await it.db.query('SELECT daily_usage_usd, weekly_usage_usd FROM user_subscriptions')
    assert.deepEqual(rows, [{ daily_usage_usd: '0.0004000000', weekly_usage_usd: '0.0004000000' }])
    assert.equal(await it.balanceOf(1), '10.0000000000')
  })
})
