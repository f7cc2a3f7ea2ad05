import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { ask, holding, spy, until, whoami } from './concurrency.fixture.ts'

const bodies = (asked: readonly { body: Buffer }[]) =>
  asked.map(({ body }) => (JSON.parse(body.toString()) as { n: number }).n) // what `ask` has sent

/** A gateway that limits callers, in front of an upstream that answers when told. */
async function limited(options: object) {
  const { script, ...held } = holding()
  const upstream = await fakeUpstream(script)
  const { above, seen } = spy()
  const gw = await gateway({
    plugins: [whoami, above, { concurrency: options }, 'openai'],
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
  })
  return {
    gw,
    upstream,
    seen,
    held,
    /** Sends one and waits until it has come to the plugin. */
    async send(n: number, headers: Record<string, string> = {}, signal?: AbortSignal) {
      const answer = ask(gw.url, n, headers, signal)
      answer.catch(() => {})
      await until(`exchange ${n} has arrived`, () => seen.arrived.includes(n))
      return { answer }
    },
    taken: (principal: string) => seen.store.count([`slots:principal:${principal}`]).then(([count]) => count),
    async [Symbol.asyncDispose]() {
      // Before the gateway, which would wait for the answers.
      await upstream[Symbol.asyncDispose]()
      await gw[Symbol.asyncDispose]()
    },
  }
}

const alice = { 'x-user': 'alice' }

describe('the slots of a caller', () => {
  test('are as many as a principal may have; who comes later goes in as they came, as soon as one is free', async () => {
    await using its = await limited({ per_principal: 2 })
    const answers = []
    for (const n of [1, 2, 3, 4, 5]) answers.push((await its.send(n, alice)).answer)
    await until('two are asked', () => its.held.open.length === 2)
    assert.equal(await its.taken('alice'), 2)
    for (const next of [3, 4, 5]) {
      its.held.finish()
      await until(`${next} is asked`, () => its.upstream.asked.length === next)
      assert.equal(its.held.open.length, 2)
    }
    assert.deepEqual(bodies(its.upstream.asked), [1, 2, 3, 4, 5])
    its.held.finishAll()
    for (const answer of answers) assert.equal((await answer).status, 200)
    await until('all are free', async () => (await its.taken('alice')) === 0)
  })

  test('are a principal’s own number where it has one, and one principal does not hold up another', async () => {
    await using its = await limited({ per_principal: 1 })
    for (const n of [1, 2, 3]) await its.send(n, { ...alice, 'x-concurrency': '2' })
    for (const n of [4, 5]) await its.send(n, { 'x-user': 'bob' })
    for (const n of [6, 7, 8]) await its.send(n, { 'x-user': 'carol', 'x-concurrency': '0' })
    await until('six are asked', () => its.upstream.asked.length === 6)
    assert.deepEqual(
      bodies(its.upstream.asked).toSorted((a, b) => a - b),
      [1, 2, 4, 6, 7, 8],
    )
    assert.equal(await its.taken('carol'), 0, 'without a limit nothing is counted')
  })

  test('are the same for all keys of a user', async () => {
    await using its = await limited({ per_principal: 1 })
    for (const n of [1, 2]) await its.send(n, { 'x-user': `key:${n}`, 'x-user-id': '7' })
    await its.send(3, { 'x-user': 'key:3', 'x-user-id': '8' })
    await until('two are asked', () => its.upstream.asked.length === 2)
    assert.deepEqual(new Set(bodies(its.upstream.asked)), new Set([1, 3]))
    assert.deepEqual(await its.seen.store.count(['slots:user:7', 'slots:user:8']), [1, 1])
  })

  test('are those of its address where nobody says who it is', async () => {
    await using its = await limited({ per_client: 1, per_principal: 5 })
    for (const n of [1, 2]) await its.send(n)
    await its.send(3, alice)
    await until('two are asked', () => its.upstream.asked.length === 2)
    assert.deepEqual(
      bodies(its.upstream.asked).toSorted((a, b) => a - b),
      [1, 3],
    )
    assert.deepEqual(await its.seen.store.count(['slots:client:127.0.0.1']), [1])
  })

  test('are taken once by an exchange whose body streams through or that has none', async () => {
    await using its = await limited({ per_principal: 1 })
    const body = new Blob(['bytes'], { type: 'audio/wav' })
    const upload = fetch(`${its.gw.url}/v1/files`, { method: 'POST', headers: alice, body })
    await until('the upload is asked', () => its.held.open.length === 1)
    const list = fetch(`${its.gw.url}/v1/models`, { headers: alice })
    await until('the second one was refused a slot', () => its.seen.calls.filter((c) => c === 'acquire').length >= 2)
    assert.equal(its.upstream.asked.length, 1)
    its.held.finish()
    assert.equal((await upload).status, 200)
    await until('the other is asked', () => its.held.open.length === 1)
    assert.equal(await its.taken('alice'), 1)
    assert.deepEqual(its.seen.arrived, [], 'nobody was asked about a body')
    its.held.finish()
    assert.equal((await list).status, 200)
    await until('all are free', async () => (await its.taken('alice')) === 0)
  })

  test('are waited for by so many, and no more: 429 in the words of the API', async () => {
    await using its = await limited({ per_principal: 1, waiters: { principal: 1 } })
    for (const n of [1, 2, 3]) await its.send(n, alice)
    const { answer } = await its.send(4, alice)
    const refused = await answer
    assert.equal(refused.status, 429)
    assert.ok(Number(refused.headers.get('retry-after')) > 0)
    assert.deepEqual(await refused.json(), {
      error: {
        type: 'rate_limit_error',
        code: 'too_many_pending',
        param: null,
        message: 'Too many pending requests, please retry later',
      },
    })
    await its.send(5, { 'x-user': 'bob' })
    await until('bob is asked', () => its.upstream.asked.length === 2)
  })

  test('are waited for as long as it says: then 429', async () => {
    await using its = await limited({ per_principal: 1, wait: { principal: '60ms' } })
    await its.send(1, alice)
    const refused = await (await its.send(2, alice)).answer
    assert.equal(refused.status, 429)
    assert.ok(Number(refused.headers.get('retry-after')) > 0)
    const { error } = (await refused.json()) as { error: { code: string; message: string } } // the shape is tested above
    assert.equal(error.code, 'concurrency_limit')
    assert.equal(error.message, 'Concurrency limit exceeded for user, please retry later')
    assert.equal(its.upstream.asked.length, 1)
  })

  test('are given back when the client leaves, and a place in the line too', async () => {
    await using its = await limited({ per_principal: 1, waiters: { principal: 1 } })
    const [running, waiting] = [new AbortController(), new AbortController()]
    await its.send(1, alice, running.signal)
    await its.send(2, alice, waiting.signal)
    await its.send(3, alice)
    waiting.abort()
    await until('the second has ended', () => its.gw.records.some(({ error }) => error === 'CLIENT_GONE'))
    await its.send(4, alice)
    running.abort()
    await until('the third is asked', () => its.upstream.asked.length === 2)
    its.held.finishAll()
    await until('the fourth is asked', () => its.upstream.asked.length === 3)
    assert.deepEqual(bodies(its.upstream.asked), [1, 3, 4])
  })

  test('are given back where a plugin refuses the exchange', async () => {
    const { above, seen } = spy()
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: [whoami, above, { concurrency: { per_principal: 1 } }, 'openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k', models: ['another'] }],
    })
    for (const n of [1, 2, 3]) assert.equal((await ask(gw.url, n, alice)).status, 404)
    await until('none is taken', async () => (await seen.store.count(['slots:principal:alice']))[0] === 0)
    assert.equal(seen.calls.filter((call) => call === 'acquire').length, 3)
  })
})
