import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, Secret, type Upstream } from 'postern/plugin'
import { fakeUpstream, json, type FakeUpstream } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'
import type { Decision } from './index.ts'

const fine = json(200, { ok: true })
const ask = (gw: TestGateway, headers: Record<string, string> = {}) =>
  fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: '{"model":"m"}',
  })

/** Writes the facts that other plugins would, from headers: `x-session`, `x-pin` (with a ! at its end: hard), `x-full`. */
const notes = definePlugin({
  name: 'notes',
  config: { type: 'object', description: 'Facts from headers.', additionalProperties: false },
  writes: ['session', 'pin', 'load'],
  setup: () => ({
    rankUpstreams({ facts, headers }, candidates) {
      const { 'x-session': session, 'x-pin': pin, 'x-full': full, 'x-first': first } = headers
      if (typeof session === 'string') facts.session = session
      if (typeof pin === 'string') facts.pin = { upstream: pin.replace('!', ''), isHard: pin.endsWith('!') }
      if (typeof full === 'string')
        facts.load = new Map<Upstream, number>(candidates.map((one) => [one, full.includes(one.name) ? 1 : 0.5]))
      return typeof first === 'string' ? candidates.toSorted((one) => (one.name === first ? -1 : 1)) : candidates
    },
  }),
})

/** Keeps what was decided. */
function reader(decisions: (readonly Decision[])[]) {
  return definePlugin({
    name: 'reader',
    config: { type: 'object', description: 'Reads decisions.', additionalProperties: false },
    mayRead: ['decision'],
    setup: () => ({
      onEnd({ facts }) {
        if (facts.decision) decisions.push(facts.decision)
      },
    }),
  })
}

/** Upstreams a, b, c … of one priority, or of those that are given. */
const before = (
  upstreams: readonly FakeUpstream[],
  priorities: readonly number[] = [],
  failover = {},
  more: object[] = [],
) =>
  gateway({
    plugins: ['openai', notes, { failover: { same_upstream_delay: '1ms', ...failover } }, ...(more as [])],
    upstreams: upstreams.map(({ url }, at) => ({
      name: 'abcdef'[at],
      provider: 'openai',
      url,
      key: `key-${at}`,
      priority: priorities[at] ?? 0,
    })),
  })
const counts = (upstreams: readonly FakeUpstream[]) => upstreams.map(({ asked }) => asked.length)

describe('failover chooses', () => {
  test('the best priority, and spreads exchanges without a session over its upstreams', async () => {
    await using a = await fakeUpstream(fine)
    await using b = await fakeUpstream(fine)
    await using late = await fakeUpstream(fine)
    await using gw = await before([a, b, late], [1, 1, 2])
    for (let times = 0; times < 40; times++) await ask(gw)
    assert.ok(a.asked.length > 5 && b.asked.length > 5, counts([a, b, late]).join())
    assert.equal(late.asked.length, 0)
  })

  test('one upstream for all exchanges of a session', async () => {
    await using a = await fakeUpstream(fine)
    await using b = await fakeUpstream(fine)
    await using c = await fakeUpstream(fine)
    await using gw = await before([a, b, c])
    for (let times = 0; times < 12; times++) await ask(gw, { 'x-session': 'one' })
    assert.equal(Math.max(...counts([a, b, c])), 12)
  })

  test('one with free slots, of a later priority too', async () => {
    await using a = await fakeUpstream(fine)
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b], [1, 2])
    await ask(gw, { 'x-full': 'a' })
    assert.deepEqual(counts([a, b]), [0, 1])
    await ask(gw, { 'x-full': 'ab' })
    assert.deepEqual(counts([a, b]), [1, 1])
  })

  test('rarely the one that failed of late', async () => {
    await using a = await fakeUpstream(fine)
    await using b = await fakeUpstream(json(500, {}))
    await using gw = await before([a, b], [], { circuit: { enabled: false } })
    for (let times = 0; times < 120; times++) assert.equal((await ask(gw)).status, 200)
    assert.equal(a.asked.length, 120)
    assert.ok(b.asked.length < 50, `${b.asked.length} of 120`)
  })
})

test('an upstream that is offered anew is the one that has failed, and the one that rests', async () => {
  await using a = await fakeUpstream(json(429, {}, { 'retry-after': '60' }))
  await using b = await fakeUpstream(fine)
  const offers = definePlugin({
    name: 'offers',
    config: { type: 'object', description: 'Offers upstreams all the time.', additionalProperties: false },
    setup(context) {
      const of = (name: string, { url }: FakeUpstream, priority: number): Upstream => {
        const one = { provider: 'openai', models: null, slots: null, allowsPrivate: true }
        return { ...one, name, url: new URL(url), key: new Secret(`key-${name}`), priority }
      }
      const offer = () => context.offer([of('a', a, 1), of('b', b, 2)])
      offer()
      return {
        onRequest: offer,
        onUpstreamResult: offer,
      }
    },
  })
  await using gw = await gateway({
    plugins: ['openai', offers, 'failover'],
    upstreams: [{ name: 'other', provider: 'openai', url: b.url, models: ['other'] }],
  })
  for (let times = 0; times < 4; times++) assert.equal((await ask(gw)).status, 200)
  assert.deepEqual(counts([a, b]), [1, 4])
})

describe('a session that is pinned', () => {
  test('goes to its upstream', async () => {
    await using a = await fakeUpstream(fine)
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    for (let times = 0; times < 8; times++) await ask(gw, { 'x-pin': 'b' })
    assert.deepEqual(counts([a, b]), [0, 8])
  })

  test('leaves it where a better priority is free again, unless it is put before it', async () => {
    await using a = await fakeUpstream(fine)
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b], [1, 2])
    await ask(gw, { 'x-pin': 'b' })
    assert.deepEqual(counts([a, b]), [1, 0])
    await ask(gw, { 'x-pin': 'b', 'x-first': 'b' })
    assert.deepEqual(counts([a, b]), [1, 1])
  })

  test('goes elsewhere while it rests, and where it is full', async () => {
    await using a = await fakeUpstream(fine)
    await using b = await fakeUpstream(json(429, {}, { 'retry-after': '60' }))
    await using gw = await before([a, b])
    for (let times = 0; times < 3; times++) assert.equal((await ask(gw, { 'x-pin': 'b' })).status, 200)
    assert.deepEqual(counts([a, b]), [3, 1])
    await ask(gw, { 'x-pin': 'a', 'x-full': 'a' })
    assert.deepEqual(counts([a, b]), [4, 1])
  })

  test('escapes from one that fails far more often than the others', async () => {
    await using a = await fakeUpstream(fine)
    await using b = await fakeUpstream(json(500, {}))
    await using gw = await before([a, b], [], { circuit: { enabled: false } })
    for (let times = 0; times < 30; times++) assert.equal((await ask(gw, { 'x-pin': 'b' })).status, 200)
    assert.ok(b.asked.length < 20, `${b.asked.length} of 30`)
  })

  test('and held by it fails truthfully where it cannot be asked', async () => {
    await using a = await fakeUpstream(json(429, {}, { 'retry-after': '60' }))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    const first = await ask(gw, { 'x-pin': 'a!' })
    assert.equal(first.status, 429)
    assert.equal(first.headers.get('retry-after'), '60', 'its own answer')
    const second = await ask(gw, { 'x-pin': 'a!' })
    assert.equal(second.status, 429)
    assert.equal(second.headers.get('retry-after'), '60')
    assert.match(await second.text(), /a is resting \(60 s\), b does not hold this conversation, a does/)
    const gone = await ask(gw, { 'x-pin': 'gone!' })
    assert.equal(gone.status, 503)
    assert.match(await gone.text(), /b does not hold this conversation, gone does/)
    assert.deepEqual(counts([a, b]), [1, 0])
  })

  test('and held by it is asked there once more after a fault that may pass', async () => {
    let times = 0
    await using a = await fakeUpstream((...more) => (++times === 1 ? json(502, {}) : fine)(...more))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    assert.equal((await ask(gw, { 'x-pin': 'a!' })).status, 200)
    assert.deepEqual(counts([a, b]), [2, 0])
  })
})

describe('a decision', () => {
  test('is there for whoever reads it: upstream, score, parts and reason of each attempt', async () => {
    await using a = await fakeUpstream(json(500, {}))
    await using b = await fakeUpstream(fine)
    await using c = await fakeUpstream(json(429, {}, { 'retry-after': '60' }))
    const decisions: (readonly Decision[])[] = []
    await using gw = await before([a, b, c], [1, 2, 0], {}, [reader(decisions)])
    await ask(gw)
    await ask(gw, { 'x-pin': 'a' })
    await gw.stop()
    const [first, second] = decisions
    assert.deepEqual(
      first?.map(({ upstream }) => upstream),
      ['c', 'a', 'b'],
    )
    assert.deepEqual(
      second?.map(({ upstream, reason, passedOver }) => ({ upstream, reason, passedOver })),
      [
        { upstream: 'a', reason: "the session's own", passedOver: ['c is resting (60 s)'] },
        { upstream: 'b', reason: 'a cannot be asked', passedOver: ['c is resting (60 s)'] },
      ],
    )
    const [{ score, parts }] = second as readonly [Decision, ...Decision[]] // it has two
    assert.ok(parts && score !== null && Math.abs(parts.load + parts.errors + parts.pace + parts.idle - score) < 1e-9)
    assert.ok(parts.errors < 0.8, 'it has failed once')
  })

  test('is not made where nobody reads it', async () => {
    await using a = await fakeUpstream(fine)
    await using b = await fakeUpstream(fine)
    let decision: unknown = 'none'
    const peek = definePlugin({
      name: 'peek',
      config: { type: 'object', description: 'Looks.', additionalProperties: false },
      setup: () => ({
        onEnd({ facts }) {
          decision = (facts as { decision?: unknown }).decision // without declaring that it reads it
        },
      }),
    })
    await using gw = await before([a, b], [], {}, [peek])
    await ask(gw)
    await gw.stop()
    assert.equal(decision, null)
  })
})
