import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { definePlugin } from 'postern/plugin'
import { answer, failure, fakeUpstream, gateway, hang, virtualClock, type TestGateway } from 'postern/testing'

const chat = (gw: TestGateway) =>
  fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hello' }] }),
  })

const present = () => [
  Date,
  setTimeout,
  setInterval,
  clearTimeout,
  clearInterval,
  Object.getOwnPropertyDescriptor(performance, 'now'),
]

/** What is said, in the order in which it is said. */
const said: string[] = []
const say = (word: string) => void said.push(word)

describe('a virtual clock', () => {
  test('goes on by itself, and by as much as it is told, in Date and in performance.now', async () => {
    using clock = virtualClock()
    const [since, elapsed] = [Date.now(), performance.now()]
    await clock.advance('2h')
    const later = Date.now()
    assert.ok(later - since >= 7_200_000 && later - since < 7_260_000, String(later - since))
    assert.ok(performance.now() - elapsed >= 7_200_000)
    assert.ok(Math.abs(new Date().getTime() - clock.now) < 1000)
    assert.equal(new Date(5).getTime(), 5)
    assert.ok(new Date() instanceof Date)
    assert.equal(Date.parse('1970-01-01T00:00:01Z'), 1000)
    assert.equal(Date(), new Date().toString())
  })

  test('is the real one again behind the block', async () => {
    const before = present()
    const since = Date.now()
    {
      using clock = virtualClock()
      await clock.advance('1d')
      assert.notEqual(Date, before[0])
    }
    assert.deepEqual(present(), before)
    assert.ok(Date.now() - since < 3_600_000)
  })

  test('runs timers in their order, each at its moment, and those that they set', async () => {
    using clock = virtualClock()
    said.length = 0
    const since = clock.now
    const at = (word: string) => () => say(`${word} ${Math.round((Date.now() - since) / 1000)}`)
    setTimeout(at('b'), 20_000)
    setTimeout(() => {
      at('a')()
      setTimeout(at('c'), 15_000)
    }, 10_000)
    setTimeout(at('never'), 60_000).unref()
    await clock.advance('30s')
    assert.deepEqual(said, ['a 10', 'b 20', 'c 25'])
  })

  test('runs what repeats as often as it would, until it is cleared', async () => {
    using clock = virtualClock()
    let [runs, rounds] = [0, 0]
    const timer = setInterval(() => {
      if (++runs === 5) clearInterval(timer)
    }, 1000)
    const other = setInterval(() => rounds++, 20_000)
    await clock.advance('1m')
    assert.deepEqual([runs, rounds], [5, 3])
    clearInterval(other)
    await clock.advance('1m')
    assert.equal(rounds, 3)
  })

  test('keeps what repeats in step, however long its runs take', async () => {
    using clock = virtualClock()
    let [rounds, links] = [0, 0]
    const timer = setInterval(() => {
      rounds++
      for (const until = process.hrtime.bigint() + 3_000_000n; process.hrtime.bigint() < until;);
    }, 1000)
    const link = () => void setTimeout(() => ++links < 60 && link(), 1000)
    link()
    await clock.advance('1m')
    clearInterval(timer)
    assert.deepEqual([rounds, links], [60, 60])
  })

  test('knows timers by all their names and ways to end', async () => {
    using clock = virtualClock()
    said.length = 0
    const timers = ['cleared', 'closed', 'disposed', 'by number', 'refreshed'].map((word) =>
      setTimeout(say, 10_000, word),
    )
    clearTimeout(timers[0])
    timers[1]!.close()
    timers[2]![Symbol.dispose]()
    clearTimeout(Number(timers[3]))
    await clock.advance('9s')
    timers[4]!.refresh()
    await clock.advance('9s')
    assert.deepEqual(said, [])
    const slept = promisify(setTimeout)(1000, 'slept')
    await clock.advance('1s')
    assert.deepEqual(said, ['refreshed'])
    clearTimeout(undefined)
    await clock.advance('1s')
    assert.equal(await slept, 'slept')
  })

  test('says what a timer throws, what is no duration, and that there is one already', async () => {
    using clock = virtualClock()
    setTimeout(() => {
      throw new Error('a failure on purpose')
    }, 1000)
    await assert.rejects(clock.advance('2s'), /a failure on purpose/)
    await assert.rejects(clock.advance('soon'), { name: 'RangeError', message: /"soon" is no duration/ })
    await assert.rejects(clock.advance(-1), RangeError)
    assert.throws(() => virtualClock(), /there is a virtual clock already/)
  })
})

describe('a gateway under a virtual clock', () => {
  const upstream = (name: string, url: string, priority: number) => ({
    name,
    provider: 'openai',
    url,
    key: 'k',
    priority,
  })

  test('lets an upstream rest for its hours, and asks it again behind them', async () => {
    using clock = virtualClock()
    let isWell = false
    await using first = await fakeUpstream((asked, response, request) =>
      (isWell ? answer('well again') : failure(429, { 'retry-after': '7200' }))(asked, response, request),
    )
    await using second = await fakeUpstream(answer('Hello'))
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [upstream('first', first.url, 0), upstream('second', second.url, 1)],
    })
    assert.equal((await chat(gw)).status, 200)
    isWell = true
    await clock.advance('1h')
    assert.match(await (await chat(gw)).text(), /Hello/)
    assert.equal(first.asked.length, 1)
    await clock.advance('61m')
    assert.match(await (await chat(gw)).text(), /well again/)
  })

  test('gives up an upstream that says nothing, when its time is over', async () => {
    using clock = virtualClock()
    await using silent = await fakeUpstream(hang())
    await using gw = await gateway({
      plugins: ['openai'],
      timeouts: { headers: '10m' },
      upstreams: [upstream('silent', silent.url, 0)],
    })
    const told = chat(gw)
    while (silent.asked.length === 0) await clock.advance(1)
    await clock.advance('10m')
    const refused = await told
    assert.equal(refused.status, 504)
    assert.match(await refused.text(), /did not answer in time/)
  })

  test('does its repeated tasks, and forgets what has expired in the store', async () => {
    using clock = virtualClock()
    let runs = 0
    const seen: (string | null)[] = []
    const diary = definePlugin({
      name: 'diary',
      config: { type: 'object', additionalProperties: false, properties: {} },
      async setup(context) {
        const { store } = context
        context.every(60_000, () => void runs++)
        await store.set({ key: 'page', value: 'one', ttl: 90_000 })
        return { onRequest: async () => void seen.push(await store.get('page')) }
      },
    })
    await using gw = await gateway({ plugins: [diary, 'openai', 'demo'] })
    await chat(gw)
    await clock.advance('10m')
    await chat(gw)
    assert.equal(runs, 10)
    assert.deepEqual(seen, ['one', null])
  })
})
