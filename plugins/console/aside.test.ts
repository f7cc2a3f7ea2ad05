import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { json } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'
import { freshRedis, until } from '../../test/redis.ts'
import { act, explained, fine, send, told, upstreams } from './console.fixture.ts'

interface Told {
  readonly upstreams: readonly {
    readonly name: string
    readonly aside_until: string | null
    readonly passed_over: { reason: string; until: string | null } | null
    readonly slots: { limit: number | null; taken: number | null }
    readonly errors: number | null
    readonly first_content_ms: number | null
    readonly asked: number
    readonly failed: number
    readonly last_error: string | null
  }[]
}
const stateOf = async (gw: TestGateway, name: string) =>
  (await told<Told>(gw, '/console/data/upstreams')).upstreams.find((one) => one.name === name)!
const rest = (gw: TestGateway, upstream: string, minutes: unknown = 5) =>
  act(gw, '/console/data/rest', { upstream, minutes })
const unrest = (gw: TestGateway, upstream: string) => act(gw, '/console/data/unrest', { upstream })

describe('an upstream that is set aside', () => {
  test('is not asked until the operator says so; the trail says why', async () => {
    await using some = await upstreams({ a: fine, b: fine })
    await using gw = await gateway({ plugins: ['console', 'openai'], upstreams: some.list })
    const { status, value } = await rest(gw, 'a')
    assert.equal(status, 200)
    assert.ok(Date.parse(String(value.until)) > Date.now() + 4 * 60_000)
    const trail = await explained(gw, (await send(gw)).id)
    assert.equal(trail.upstream, 'b')
    assert.deepEqual(
      trail.attempts[0]?.passed_over.map(({ upstream, reason }) => `${upstream} ${reason}`),
      ['a was set aside by an operator'],
    )
    assert.equal((await stateOf(gw, 'a')).aside_until?.slice(0, 16), String(value.until).slice(0, 16))
    assert.equal((await unrest(gw, 'a')).status, 200)
    assert.equal((await explained(gw, (await send(gw)).id)).upstream, 'a')
    assert.equal((await stateOf(gw, 'a')).aside_until, null)
    assert.equal(gw.records.filter(({ plugin, level }) => plugin === 'console' && level === 'warn').length, 2)
  })

  test('stays so after a reload', async () => {
    await using some = await upstreams({ a: fine, b: fine })
    const options = { plugins: ['console', 'openai'], upstreams: some.list }
    await using gw = await gateway(options)
    await rest(gw, 'a')
    await gw.reload(options)
    assert.equal((await explained(gw, (await send(gw)).id)).upstream, 'b')
  })

  test('is not asked even if nobody else is left: the refusal says when', async () => {
    await using some = await upstreams({ a: fine })
    await using gw = await gateway({ plugins: ['console', 'openai', 'failover'], upstreams: some.list })
    await rest(gw, 'a', 2)
    const answer = await fetch(`${gw.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"model":"m"}',
    })
    assert.equal(answer.status, 503)
    const after = Number(answer.headers.get('retry-after'))
    assert.ok(after > 100 && after <= 120, String(after))
    assert.match(await answer.text(), /a was set aside by an operator/)
  })

  test('has to exist, and the time to be one', async () => {
    await using some = await upstreams({ a: fine })
    await using gw = await gateway({ plugins: ['console', 'openai'], upstreams: some.list })
    assert.equal((await rest(gw, 'nobody')).status, 404)
    for (const minutes of [0, -1, 0.5, 1441, '5', null, Number.NaN])
      assert.equal((await rest(gw, 'a', minutes)).status, 400, String(minutes))
    for (const body of ['', '[]', 'null', '"a"', '{', `{"upstream":"a","minutes":5,"x":"${'x'.repeat(20_000)}"}`])
      assert.equal((await act(gw, '/console/data/rest', body)).status, 404, body.slice(0, 10))
    assert.equal((await stateOf(gw, 'a')).aside_until, null)
  })
})

describe('an upstream that rests by itself', () => {
  const limited = json(429, { error: {} }, { 'retry-after': '600' })
  for (const kind of ['memory', 'redis'] as const) {
    test(`is asked again by every sidecar when an operator ends its rest, with store: ${kind}`, async () => {
      await using stack = new AsyncDisposableStack()
      const redis = kind === 'redis' ? stack.use(await freshRedis()) : null
      const some = stack.use(await upstreams({ a: limited, b: fine }))
      const options = {
        store: redis?.url ?? 'memory',
        plugins: ['console', 'openai', 'failover'],
        upstreams: some.list,
      }
      const one = stack.use(await gateway(options))
      const other = redis ? stack.use(await gateway(options)) : one
      for (const gw of [one, other]) {
        await send(gw)
        await until(async () => (await explained(gw, (await send(gw)).id)).attempts.length === 1)
        assert.match((await stateOf(gw, 'a')).passed_over?.reason ?? '', /^is resting/)
      }
      some.of('a').script = fine
      assert.equal((await unrest(one, 'a')).value.told, true)
      for (const gw of [one, other]) {
        await until(async () => (await stateOf(gw, 'a')).passed_over === null)
        await until(async () => (await explained(gw, (await send(gw)).id)).upstream === 'a')
      }
      // Connections to one are none that the other has left open.
      await Promise.all([one.stop(), other.stop()])
    })
  }
})

describe('with a store that sidecars share', () => {
  test('all of them leave it alone, those that come later too, until one of them is told otherwise', async () => {
    await using redis = await freshRedis()
    await using some = await upstreams({ a: fine, b: fine })
    const options = { plugins: ['console', 'openai'], upstreams: some.list, store: redis.url }
    await using one = await gateway(options)
    await using other = await gateway(options)
    await until(async () => (await rest(one, 'a')).value.told === true)
    await until(async () => (await stateOf(other, 'a')).aside_until !== null)
    assert.equal((await explained(other, (await send(other)).id)).upstream, 'b')
    await using third = await gateway(options)
    await until(async () => (await stateOf(third, 'a')).aside_until !== null)
    await unrest(third, 'a')
    await until(async () => (await stateOf(one, 'a')).aside_until === null)
    await until(async () => (await stateOf(other, 'a')).aside_until === null)
    assert.equal((await explained(one, (await send(one)).id)).upstream, 'a')
    // Connections to one are none that another has left open.
    await Promise.all([one.stop(), other.stop(), third.stop()])
  })

  test('that is down it is set aside here, and the operator hears that the others do not know', async () => {
    await using redis = await freshRedis()
    await using some = await upstreams({ a: fine, b: fine })
    await using gw = await gateway({ plugins: ['console', 'openai'], upstreams: some.list, store: redis.url })
    await redis[Symbol.asyncDispose]()
    const { status, value } = await rest(gw, 'a')
    assert.deepEqual([status, value.told], [200, false])
    assert.equal((await explained(gw, (await send(gw)).id)).upstream, 'b')
    const { slots, aside_until: aside } = await stateOf(gw, 'a')
    assert.ok(aside)
    assert.deepEqual(slots, { limit: 4, taken: null }, 'nobody knows')
    assert.equal((await unrest(gw, 'a')).value.told, false)
    assert.equal((await stateOf(gw, 'a')).aside_until, null)
  })
})

describe('what is known of an upstream', () => {
  test('is what it answered: errors of its own, not those of requests', async () => {
    const scripts = [json(500, {}), json(400, { error: { message: 'bad' } }), fine]
    await using some = await upstreams({ a: (asked, response, request) => scripts.shift()!(asked, response, request) })
    await using gw = await gateway({ plugins: ['console', 'openai'], upstreams: some.list })
    const fresh = await stateOf(gw, 'a')
    assert.deepEqual([fresh.asked, fresh.errors, fresh.first_content_ms], [0, null, null])
    const states = []
    for (let at = 0; at < 3; at++) {
      await explained(gw, (await send(gw)).id)
      states.push(await stateOf(gw, 'a'))
    }
    assert.deepEqual(
      states.map(({ asked, failed, errors }) => [asked, failed, errors]),
      [
        [1, 1, 0.2],
        [2, 1, 0.2],
        [3, 1, 0.16],
      ],
    )
    assert.equal(states[2]?.last_error, '500')
    assert.ok(typeof states[2]?.first_content_ms === 'number')
  })

  test('is how many of its slots are taken, and why it was passed over', async () => {
    const waiting: (() => void)[] = []
    await using some = await upstreams({
      b: json(429, {}, { 'retry-after': '60' }),
      a: async (asked, response, request) => {
        await new Promise<void>((resolve) => waiting.push(resolve))
        await fine(asked, response, request)
      },
    })
    await using gw = await gateway({ plugins: ['console', 'openai', 'concurrency', 'failover'], upstreams: some.list })
    const first = send(gw)
    await until(() => waiting.length === 1)
    const second = send(gw)
    await until(() => waiting.length === 2)
    assert.deepEqual((await stateOf(gw, 'a')).slots, { limit: 4, taken: 2 })
    for (const go of waiting) go()
    await explained(gw, (await first).id)
    await explained(gw, (await second).id)
    const { passed_over: passed } = await stateOf(gw, 'b')
    assert.match(passed?.reason ?? '', /^is resting/)
    assert.ok(Date.parse(passed?.until ?? '') > Date.now() + 30_000)
    await until(async () => (await stateOf(gw, 'a')).slots.taken === 0)
  })
})
