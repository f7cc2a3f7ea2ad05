import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'
import { ask, chooser, elsewhere, holding, spy, until, whoami } from './concurrency.fixture.ts'

/** A gateway in front of one server that stands for several upstreams, told apart by their keys, and answers when told. */
async function limited(
  slots: Record<string, number | null>,
  options: object = {},
  plugins: GatewayOptions['plugins'] = ['openai'],
) {
  const held = holding()
  const upstream = await fakeUpstream(held.script)
  const { above, below, seen } = spy()
  const settings: GatewayOptions = {
    plugins: [whoami, above, { concurrency: options }, below, ...plugins],
    upstreams: Object.entries(slots).map(([name, slots]) => ({
      name,
      provider: 'openai',
      url: upstream.url,
      key: name,
      ...(slots === null ? {} : { slots }),
    })),
  }
  const gw = await gateway(settings)
  return {
    gw,
    settings,
    upstream,
    seen,
    held,
    async send(n: number, headers: Record<string, string> = {}, signal?: AbortSignal) {
      const answer = ask(gw.url, n, headers, signal)
      answer.catch(() => {})
      await until(`exchange ${n} has arrived`, () => seen.arrived.includes(n))
      return { answer }
    },
    /** Which upstreams were asked, in the order of the asking. */
    asked: () => upstream.asked.map(({ headers }) => headers.authorization?.replace('Bearer ', '')),
    taken: () => seen.store.count(Object.keys(slots).map((name) => `slots:upstream:${name}`)),
    calls: (method: string) => seen.calls.filter((call) => call === method).length,
    async [Symbol.asyncDispose]() {
      // Before the gateway, which would wait for the answers.
      await upstream[Symbol.asyncDispose]()
      await gw[Symbol.asyncDispose]()
    },
  }
}

describe('the slots of an upstream', () => {
  test('are never more than it has; whoever waits goes on as soon as one is free', async () => {
    await using its = await limited({ a: 1 })
    const { answer } = await its.send(1)
    for (const n of [2, 3]) await its.send(n)
    await until('one is asked', () => its.held.open.length === 1)
    assert.deepEqual(await its.taken(), [1])
    its.held.finish()
    assert.equal((await answer).status, 200)
    await until('the next is asked', () => its.asked().length === 2)
    assert.equal(its.held.open.length, 1)
    its.held.finish()
    await until('the last is asked', () => its.asked().length === 3)
    its.held.finish()
    await until('all are free', async () => (await its.taken())[0] === 0)
  })

  test('cost no call to the store where no upstream has any', async () => {
    await using its = await limited({ a: null, b: null })
    const { answer } = await its.send(1)
    await until('it is asked', () => its.held.open.length === 1)
    its.held.finish()
    assert.equal((await answer).status, 200)
    assert.deepEqual(its.seen.calls, [])
    assert.deepEqual(its.seen.loads, [])
  })

  test('are read for all candidates at once, at most once per attempt, and taken with one call', async () => {
    const twenty = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`u${at}`, 1]))
    await using its = await limited(twenty)
    for (let n = 1; n <= 5; n++) {
      await its.send(n)
      await until(`${n} is asked`, () => its.held.open.length === n)
    }
    assert.ok(its.calls('count') >= 1 && its.calls('count') <= 5)
    assert.equal(its.calls('acquire'), 5, 'nobody tried in vain')
    assert.deepEqual(its.asked(), ['u0', 'u1', 'u2', 'u3', 'u4'])
  })

  test('are told to plugins further down as a share, and who is full comes last', async () => {
    await using its = await limited({ a: 1, b: 4, c: null })
    await its.send(1)
    await until('one is asked', () => its.held.open.length === 1)
    await its.send(2)
    await until('another is asked', () => its.held.open.length === 2)
    await its.send(3)
    await until('a third is asked', () => its.held.open.length === 3)
    assert.deepEqual(its.seen.loads, [
      { a: 0, b: 0, c: 0 },
      { b: 0, c: 0, a: 1 },
      { b: 0.25, c: 0, a: 1 },
    ])
    assert.deepEqual(Object.keys(its.seen.loads[1]!), ['b', 'c', 'a'])
    assert.deepEqual(its.asked(), ['a', 'b', 'b'])
  })

  test('of another upstream are used where a chosen one has lost its last in the meantime', async () => {
    await using its = await limited({ a: 1, b: 1 })
    // All at once: they read the load before any of them has taken a slot.
    const answers = [1, 2].map((n) => ask(its.gw.url, n))
    await until('both are asked', () => its.held.open.length === 2)
    assert.deepEqual(new Set(its.asked()), new Set(['a', 'b']))
    its.held.finishAll()
    for (const answer of answers) assert.equal((await answer).status, 200)
    await until('all are free', async () => (await its.taken()).every((count) => count === 0))
  })

  test('are waited for at every upstream that could be asked: the first that is free is asked', async () => {
    await using its = await limited({ a: 1, b: 1 })
    for (const n of [1, 2]) {
      await its.send(n)
      await until(`${n} is asked`, () => its.held.open.length === n)
    }
    const { answer } = await its.send(3)
    await until('the third waits', () => its.calls('acquire') >= 5)
    const [, second] = its.held.open
    second!.end('{}')
    await until('the third is asked', () => its.asked().length === 3)
    assert.deepEqual(its.asked(), ['a', 'b', 'b'])
    assert.deepEqual(await its.taken(), [1, 1])
    its.held.finishAll()
    assert.equal((await answer).status, 200)
    await until('all are free', async () => (await its.taken()).every((count) => count === 0))
  })

  test('are given back before another upstream is asked, and at the end whatever it was', async () => {
    await using its = await limited({ a: 1, b: 1 }, {}, [elsewhere, 'openai'])
    const { answer } = await its.send(1)
    await until('a is asked', () => its.held.open.length === 1)
    its.held.open.shift()!.destroy()
    await until('b is asked', () => its.held.open.length === 1)
    assert.deepEqual(await its.taken(), [0, 1])
    its.held.open.shift()!.destroy()
    assert.equal((await answer).status, 502)
    await until('all are free', async () => (await its.taken()).every((count) => count === 0))
  })

  test('hold uploads back as well, which are sent to the upstream that was chosen first', async () => {
    await using its = await limited({ a: 1, b: 1 })
    const upload = () =>
      fetch(`${its.gw.url}/v1/files`, { method: 'POST', body: new Blob(['bytes'], { type: 'audio/wav' }) })
    const answers = [upload(), upload()]
    await until('somebody is asked', () => its.held.open.length >= 1)
    const finishing = setInterval(() => its.held.finishAll(), 5)
    for (const answer of answers) assert.equal((await answer).status, 200)
    clearInterval(finishing)
  })
})

describe('who waits for an upstream', () => {
  const waiting = { wait: { upstream: '80ms', pinned: '10s' }, waiters: { upstream: 1, pinned: 1 } }

  test('is refused with 429 where the line is full or the time is over', async () => {
    await using its = await limited({ a: 1 }, waiting)
    await its.send(1)
    await until('one is asked', () => its.held.open.length === 1)
    const { answer: late } = await its.send(2)
    const { answer: surplus } = await its.send(3)
    for (const [answer, code] of [
      [surplus, 'too_many_pending'],
      [late, 'concurrency_limit'],
    ] as const) {
      const refused = await answer
      assert.equal(refused.status, 429)
      assert.ok(Number(refused.headers.get('retry-after')) > 0)
      assert.equal(((await refused.json()) as { error: { code: string } }).error.code, code) // OpenAI's shape
    }
    assert.equal(its.asked().length, 1)
  })

  test('is told why where other upstreams failed: 503', async () => {
    await using its = await limited({ a: 1, b: null }, waiting, [elsewhere, 'openai'])
    await its.send(1)
    await until('a is asked', () => its.held.open.length === 1)
    const { answer } = await its.send(2)
    await until('b is asked', () => its.held.open.length === 2)
    its.held.open.pop()!.writeHead(500).end('{}')
    const refused = await answer
    assert.equal(refused.status, 503)
    const { error } = (await refused.json()) as { error: { message: string } } // OpenAI's shape
    assert.equal(error.message, 'No upstream can take this exchange: b answered 500, a has no free slot')
  })

  test('waits longer and among fewer where the session is pinned hard, whoever else is free', async () => {
    await using its = await limited({ b: 1, a: 1 }, waiting, [chooser, 'openai'])
    const pinned = { 'x-pin': 'a!' }
    await its.send(1, pinned)
    await until('one is asked', () => its.held.open.length === 1)
    const { answer } = await its.send(2, pinned)
    const { answer: surplus } = await its.send(3, pinned)
    assert.equal((await surplus).status, 429)
    const longEnough = performance.now() + 200
    await until('others would have been refused', () => performance.now() > longEnough)
    const { answer: late } = await its.send(4, { 'x-pin': 'a' })
    await until('the soft one is asked elsewhere', () => its.held.open.length === 2)
    its.held.finish()
    await until('the second is asked', () => its.asked().length === 3)
    assert.deepEqual(its.asked(), ['a', 'b', 'a'])
    its.held.finishAll()
    assert.deepEqual([(await answer).status, (await late).status], [200, 200])
  })

  test('waits like others where enough wait for its pin already, unless nobody else will do', async () => {
    await using its = await limited({ a: 1 }, { waiters: { pinned: 0, upstream: 1 } })
    await its.send(1)
    await until('one is asked', () => its.held.open.length === 1)
    const { answer: hard } = await its.send(2, { 'x-pin': 'a!' })
    assert.equal((await hard).status, 429)
    const { answer: soft } = await its.send(3, { 'x-pin': 'a' })
    its.held.finish()
    await until('the soft one is asked', () => its.held.open.length === 1)
    its.held.finish()
    assert.equal((await soft).status, 200)
  })
})
