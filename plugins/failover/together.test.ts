/** Two sidecars and a real Redis. */
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import { fakeUpstream, json, type FakeUpstream } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'
import { freshRedis, until } from '../../test/redis.ts'

const fine = json(200, { ok: true })
const ask = (gw: TestGateway, model = 'm') =>
  fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model }),
  })
/** Together: each looks for what is left open when it ends, and another one's connections are. */
const stop = (...all: readonly TestGateway[]) => Promise.all(all.map((gw) => gw.stop()))
const before = (store: string, a: string, b: FakeUpstream, failover = {}) =>
  gateway({
    store,
    plugins: ['openai', { failover }],
    upstreams: [
      { name: 'a', provider: 'openai', url: a, key: 'key-a', priority: 1 },
      { name: 'b', provider: 'openai', url: b.url, key: 'key-b', priority: 2 },
    ],
  })

describe('sidecars that share a store', () => {
  test('leave an upstream alone that one of them has met at its limit, also one that starts later', async () => {
    await using redis = await freshRedis()
    await using a = await fakeUpstream(json(429, {}, { 'retry-after': '60' }))
    await using b = await fakeUpstream(fine)
    await using one = await before(redis.url, a.url, b)
    await using other = await before(redis.url, a.url, b)
    assert.equal((await ask(one)).status, 200)
    await until(async () => {
      const asked = a.asked.length
      assert.equal((await ask(other)).status, 200)
      return a.asked.length === asked
    })
    const asked = a.asked.length
    await using late = await before(redis.url, a.url, b)
    assert.equal((await ask(late)).status, 200)
    assert.equal(a.asked.length, asked)
    await stop(one, other, late)
  })

  test('keep rests of one model to that model', async () => {
    await using redis = await freshRedis()
    const spent = { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '60s' }
    await using a = await fakeUpstream(json(429, {}, spent))
    await using b = await fakeUpstream(fine)
    await using one = await before(redis.url, a.url, b)
    await using other = await before(redis.url, a.url, b)
    await ask(one, 'x')
    a.script = fine
    await until(async () => {
      const asked = a.asked.length
      await ask(other, 'x')
      return a.asked.length === asked
    })
    const asked = a.asked.length
    await ask(other, 'y')
    assert.equal(a.asked.length, asked + 1)
    await stop(one, other)
  })

  test('keep what the network did to one of them to that one', async () => {
    await using redis = await freshRedis()
    await using a = await fakeUpstream((_asked, _response, request) => void request.socket.resetAndDestroy())
    await using b = await fakeUpstream(fine)
    await using one = await before(redis.url, a.url, b)
    for (let times = 0; times < 6; times++) assert.equal((await ask(one)).status, 200)
    assert.equal(a.asked.length, 5, 'it rests')
    assert.deepEqual(await redis.ask('KEYS', 'failover:*'), [])
  })

  test('try an upstream that was not well with one exchange of all of theirs', async () => {
    await using redis = await freshRedis()
    await using a = await fakeUpstream(json(503, {}))
    await using b = await fakeUpstream(fine)
    const rests = { overload: '400ms' }
    await using one = await before(redis.url, a.url, b, { rests })
    await using other = await before(redis.url, a.url, b, { rests })
    await Promise.all([ask(one), ask(other)])
    const held: ServerResponse[] = []
    a.script = (_asked, response) => void held.push(response)
    const asked: Promise<Response>[] = []
    await until(() => {
      asked.push(ask(one), ask(other))
      return held.length > 0
    })
    for (let times = 0; times < 20; times++) asked.push(ask(one), ask(other))
    await Promise.all(asked.map((answer) => Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 300))])))
    assert.equal(held.length, 1)
    a.script = fine
    held[0]!.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    for (const answer of await Promise.all(asked)) assert.equal(answer.status, 200)
    const count = a.asked.length
    await until(async () => {
      await Promise.all([ask(one), ask(other)])
      return a.asked.length >= count + 4
    })
    await stop(one, other)
  })

  test('go on, each for itself, while the store is gone', async () => {
    await using redis = await freshRedis()
    await using a = await fakeUpstream(json(503, {}))
    await using b = await fakeUpstream(fine)
    await using gw = await before(redis.url, a.url, b, { rests: { overload: '50ms' } })
    await ask(gw)
    await redis.stop()
    a.script = fine
    await until(async () => {
      assert.equal((await ask(gw)).status, 200)
      return a.asked.length > 3
    })
    await redis.start()
  })
})
