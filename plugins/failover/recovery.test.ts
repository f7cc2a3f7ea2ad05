import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { definePlugin, refuse, type Plugin } from 'postern/plugin'
import { fakeUpstream, json, type FakeUpstream } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'

const fine = json(200, { ok: true })
const overloaded = json(503, { error: {} })

const ask = (gw: TestGateway, signal?: AbortSignal) =>
  fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"m"}',
    signal: signal ?? null,
  })

/** Upstreams called a, b, c …, asked in this order; rests are short. */
const before = (upstreams: readonly FakeUpstream[], rests = {}, more = {}, below: readonly Plugin[] = []) =>
  gateway({
    plugins: [
      'openai',
      { failover: { same_upstream_delay: '1ms', rests: { overload: '100ms', ...rests }, ...more } },
      ...below,
    ],
    upstreams: upstreams.map(({ url }, at) => ({
      name: 'abcdef'[at],
      provider: 'openai',
      url,
      key: `key-${at}`,
      priority: at,
    })),
  })

/** Waits for what has to come about, five seconds at most. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 5000; waited += 5) {
    if (await holds()) return
    await sleep(5)
  }
  assert.fail('it did not come about')
}

/** Asks until the rest of the first is over and it holds an exchange; its answer waits for `release`. */
async function probed(gw: TestGateway, a: FakeUpstream, signal?: AbortSignal) {
  const held: ServerResponse[] = []
  a.script = (_asked, response) => void held.push(response)
  const asked: Promise<unknown>[] = []
  await until(async () => {
    const one = ask(gw, signal).catch((error: unknown) => error)
    asked.push(one)
    await Promise.race([one, sleep(15)])
    return held.length > 0
  })
  return { held, all: () => Promise.all(asked) }
}

const end = (response: ServerResponse) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end('{"ok":true}')
}

describe('when the rest of an upstream that was not well is over', () => {
  test('one exchange tries it, the others go elsewhere until that one has succeeded', async () => {
    await using a = await fakeUpstream(overloaded)
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    await ask(gw)
    const { held, all } = await probed(gw, a)
    for (let times = 0; times < 5; times++) assert.equal((await ask(gw)).status, 200)
    assert.equal(held.length, 1)
    a.script = fine
    end(held[0]!)
    await all()
    const asked = a.asked.length
    await Promise.all([ask(gw), ask(gw), ask(gw)])
    assert.equal(a.asked.length, asked + 3)
  })

  test('one that fails again rests again, and longer', async () => {
    await using a = await fakeUpstream(overloaded)
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b], { overload: '600ms' })
    await ask(gw)
    await until(async () => (await ask(gw)).ok && a.asked.length === 2)
    assert.deepEqual(
      gw.records.flatMap(({ rest_s }) => rest_s ?? []),
      [1, 2],
    )
    await ask(gw)
    assert.equal(a.asked.length, 2)
  })

  test('an exchange whose client leaves has shown nothing: the next one tries', async () => {
    await using a = await fakeUpstream(overloaded)
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    await ask(gw)
    const leaving = new AbortController()
    const { all } = await probed(gw, a, leaving.signal)
    a.script = fine
    const asked = a.asked.length
    leaving.abort()
    await all()
    await until(async () => (await ask(gw)).ok && a.asked.length > asked)
  })

  test('an exchange that another plugin ends before it is sent has shown nothing either', async () => {
    await using a = await fakeUpstream(overloaded)
    await using b = await fakeUpstream(fine)
    let refuses = false
    let refused = 0
    const refuser = definePlugin({
      name: 'refuser',
      config: { type: 'object', description: 'Refuses what would go to the first.', additionalProperties: false },
      setup: () => ({
        onUpstreamRequest({ upstream }) {
          if (!refuses || upstream?.name !== 'a') return undefined
          refused++
          return refuse(503, 'NOT_NOW', 'not now')
        },
      }),
    })
    await using gw = await before([a, b], {}, {}, [refuser])
    await ask(gw)
    refuses = true
    await until(async () => (await ask(gw)).status === 503)
    refuses = false
    a.script = fine
    assert.equal((await ask(gw)).status, 200)
    assert.deepEqual([refused, a.asked.length], [1, 2])
  })

  test('many that failed together count as one failure', async () => {
    const held: ServerResponse[] = []
    await using a = await fakeUpstream((_asked, response) => void held.push(response))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b], { overload: '600ms' })
    const asked = Array.from({ length: 6 }, () => ask(gw))
    await until(() => held.length === 6)
    for (const response of held) response.writeHead(503).end('{}')
    for (const answer of await Promise.all(asked)) assert.equal(answer.status, 200)
    assert.deepEqual(
      gw.records.flatMap(({ rest_s }) => rest_s ?? []),
      [1],
    )
  })
})

describe('where too many rest for their health', () => {
  test('they are asked after all, behind those that are well', async () => {
    await using a = await fakeUpstream(overloaded)
    await using b = await fakeUpstream(overloaded)
    await using c = await fakeUpstream(fine)
    await using gw = await before([a, b, c], { overload: '30s' })
    assert.equal((await ask(gw)).status, 200)
    for (let times = 0; times < 3; times++) assert.equal((await ask(gw)).status, 200)
    assert.deepEqual(
      [a, b, c].map(({ asked }) => asked.length),
      [1, 1, 4],
    )
    c.script = overloaded
    a.script = fine
    assert.equal((await ask(gw)).status, 200)
    assert.equal(a.asked.length, 2)
  })

  test('a lone one is asked each time', async () => {
    await using a = await fakeUpstream(overloaded)
    await using gw = await before([a], { overload: '30s' }, { same_upstream_retries: 0 })
    for (let times = 0; times < 3; times++) assert.equal((await ask(gw)).status, 503)
    assert.equal(a.asked.length, 3)
  })

  test('they rest all the same if the share says so, and the client is told how long', async () => {
    await using a = await fakeUpstream(overloaded)
    const rests = { overload: '30s', max_resting_share: 1 }
    await using gw = await before([a], rests, { same_upstream_retries: 0 })
    await ask(gw)
    const answer = await ask(gw)
    assert.equal(answer.status, 503)
    assert.equal(answer.headers.get('retry-after'), '30')
    assert.match(await answer.text(), /a is resting \(30 s\)/)
    assert.equal(a.asked.length, 1)
  })

  test('half of them is not too many', async () => {
    await using a = await fakeUpstream(overloaded)
    await using b = await fakeUpstream(json(429, { error: {} }, { 'retry-after': '40' }))
    await using gw = await before([a, b], { overload: '30s' }, { same_upstream_retries: 0 })
    await ask(gw)
    const answer = await ask(gw)
    assert.equal(answer.status, 503, 'not all of them are limits')
    assert.equal(answer.headers.get('retry-after'), '30')
    assert.deepEqual([a.asked.length, b.asked.length], [1, 1])
  })
})
