import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { fakeUpstream } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'
import { ask, breakDown, holding, spy, until } from './concurrency.fixture.ts'

/** A gateway with one upstream that has `slots` and answers when told. */
async function limited(slots: number, options: object = {}) {
  const held = holding()
  const upstream = await fakeUpstream(held.script)
  const { above, seen } = spy()
  const settings: GatewayOptions = {
    plugins: [above, { concurrency: options }, 'openai'],
    upstreams: [{ name: 'a', provider: 'openai', url: upstream.url, key: 'k', slots }],
  }
  const gw = await gateway(settings)
  return {
    gw,
    settings,
    upstream,
    held,
    seen,
    async send(n: number) {
      const answer = ask(gw.url, n)
      answer.catch(() => {})
      await until(`exchange ${n} has arrived`, () => seen.arrived.includes(n))
      return { answer }
    },
    taken: async () => (await seen.store.count(['slots:upstream:a']))[0],
    argumentsOf: (method: string) => seen.arguments.filter((_, at) => seen.calls[at] === method),
    async [Symbol.asyncDispose]() {
      // Before the gateway, which would wait for the answers.
      await upstream[Symbol.asyncDispose]()
      await gw[Symbol.asyncDispose]()
    },
  }
}

describe('a slot', () => {
  test('outlives a reload, and so does the line of those who wait for it', async () => {
    await using its = await limited(1)
    await its.send(1)
    await until('one is asked', () => its.held.open.length === 1)
    await its.send(2)
    assert.deepEqual(await its.gw.reload(its.settings), [])
    assert.equal(await its.taken(), 1)
    const { answer } = await its.send(3)
    for (const next of [2, 3]) {
      its.held.finish()
      await until(`${next} is asked`, () => its.upstream.asked.length === next)
      assert.equal(await its.taken(), 1)
    }
    its.held.finish()
    assert.equal((await answer).status, 200)
    const order = its.upstream.asked.map(({ body }) => Number(/"n":(\d)/.exec(body.toString())?.[1]))
    assert.deepEqual(order, [1, 2, 3])
    const holders = its.argumentsOf('acquire').map(([, holder]) => String(holder))
    assert.equal(new Set(holders.map((id) => id.split('-')[0])).size, 1, 'one process, one prefix')
  })

  test('is kept by an answer that lasts longer than its time to live, all of them renewed with one call', async () => {
    await using its = await limited(3, { ttl: '600ms' })
    for (const n of [1, 2, 3]) await its.send(n)
    await until('three are asked', () => its.held.open.length === 3)
    await its.send(4)
    const longEnough = performance.now() + 1500
    await until('twice the time to live has passed', () => performance.now() > longEnough)
    assert.equal(await its.taken(), 3)
    assert.equal(its.upstream.asked.length, 3, 'nobody got in meanwhile')
    const renewals = its.argumentsOf('renew') as [{ holder: string }[], number][] // as Store.renew declares
    assert.ok(renewals.length >= 3)
    for (const [slots, ttl] of renewals) assert.deepEqual([slots.length, ttl], [3, 600])
  })

  test('of a process that has died comes free when its time is over', async () => {
    await using its = await limited(1)
    await its.seen.store.acquire('slots:upstream:a', 'rdead-0', 1, 300)
    const { answer } = await its.send(1)
    assert.equal(its.upstream.asked.length, 0)
    await until('it is asked', () => its.upstream.asked.length === 1)
    its.held.finish()
    assert.equal((await answer).status, 200)
  })

  test('cannot have a time to live that is too short to be renewed, or endless', async () => {
    await using its = await limited(1)
    for (const [ttl, message] of [
      ['50ms', /a ttl below 100ms/],
      ['90d', /a ttl above 1d/],
    ] as const) {
      const problems = await its.gw.reload({ ...its.settings, plugins: [{ concurrency: { ttl } }, 'openai'] })
      assert.match(problems[0]!.message, message)
    }
  })

  test('has a holder that no other slot has, in this process and in others', () => {
    const script = `import { Holder } from ${JSON.stringify(new URL('slots.ts', import.meta.url).href)}
      const holder = new Holder({}, console), ids = []
      for (let n = 0; n < 500_000; n++) ids.push(holder.nextId())
      process.stdout.write(ids.join('\\n'))`
    const ids = [1, 2].flatMap(() => {
      const told = execFileSync(process.execPath, ['--input-type=module', '-e', script], { maxBuffer: 2 ** 28 })
      return told.toString().split('\n')
    })
    assert.equal(new Set(ids).size, 1_000_000)
    for (const id of ids.slice(0, 100)) assert.match(id, /^r[0-9a-z]{1,13}-[0-9a-z]+$/)
  })
})

describe('a store that is down', () => {
  const warnings = (its: { gw: { records: readonly { level: string; plugin?: unknown }[] } }) =>
    its.gw.records.filter(({ level, plugin }) => level === 'warn' && plugin === 'concurrency')

  test('lets every exchange go on, those that waited too, and is told of once', async () => {
    await using its = await limited(1)
    await its.send(1)
    await until('one is asked', () => its.held.open.length === 1)
    for (const n of [2, 3, 4]) await its.send(n)
    const repair = breakDown(its.seen.store)
    for (const n of [5, 6]) await its.send(n)
    await until('all are asked', () => its.held.open.length === 6)
    assert.equal(warnings(its).length, 1)
    assert.match(JSON.stringify(warnings(its)[0]), /the store cannot be asked/)
    repair()
  })

  test('limits again as soon as it answers, and what was released meanwhile is free', async () => {
    await using its = await limited(1)
    const { answer } = await its.send(1)
    await until('one is asked', () => its.held.open.length === 1)
    const repair = breakDown(its.seen.store)
    const { answer: unlimited } = await its.send(2)
    await until('both are asked', () => its.held.open.length === 2)
    its.held.finishAll()
    assert.deepEqual([(await answer).status, (await unlimited).status], [200, 200])
    repair()
    assert.equal(await its.taken(), 1, 'its release was lost')
    // Exchanges find out that the store is back.
    for (let n = 10; !its.gw.records.some(({ message }) => message.startsWith('the store answers again')); n++) {
      const { answer: again } = await its.send(n)
      await until('it is asked', () => its.held.open.length === 1)
      its.held.finish()
      assert.equal((await again).status, 200)
    }
    await until('all are free', async () => (await its.taken()) === 0)
    for (const n of [3, 4]) await its.send(n)
    await until('one is asked', () => its.held.open.length === 1)
    assert.equal(await its.taken(), 1)
    assert.equal(warnings(its).length, 1)
  })
})
