/** More upstreams than an exchange looks at. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, type Script } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'

const count = 100
const keyOf = (authorization: string | string[] | undefined) => String(authorization).replace('Bearer ', '')
/** 200 for those with one of these keys, 429 for everybody else. */
const only =
  (...keys: readonly string[]): Script =>
  ({ headers }, response) => {
    const isGood = keys.includes(keyOf(headers.authorization))
    response.writeHead(isGood ? 200 : 429, { 'content-type': 'application/json', 'retry-after': '600' })
    response.end('{"ok":true}')
  }
const before = (url: string, plugins: readonly (string | object)[] = []) =>
  gateway({
    plugins: ['openai', ...(plugins as string[]), { failover: { attempts: 8, budget: { enabled: false } } }],
    upstreams: Array.from({ length: count }, (_, at) => ({
      name: `u${at}`,
      provider: 'openai',
      url,
      key: `key-${at}`,
      slots: 2,
      // Ten that are better than the others.
      priority: at < 10 ? 1 : 2,
    })),
  })
const ask = (gw: TestGateway, headers: Record<string, string> = {}) =>
  fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-session': 'one', ...headers },
    body: '{"model":"m"}',
  })

const sticky = { 'sticky-session': { sources: ['header:x-session'] } }
const beside: Readonly<Record<string, readonly (string | object)[]>> = {
  '': [],
  ', with concurrency': ['concurrency'],
  ', with sticky-session and concurrency': [sticky, 'concurrency'],
}
for (const [title, plugins] of Object.entries(beside)) {
  describe(`a hundred upstreams${title}`, () => {
    test('the only one that does not rest is found, whoever is looked at first', async () => {
      await using upstream = await fakeUpstream(only('key-77'))
      await using gw = await before(upstream.url, plugins)
      for (let asked = 0; asked < 3 * count && new Set(upstream.asked.map(keyed)).size < count; asked++) {
        await (await ask(gw)).arrayBuffer()
      }
      const seen = upstream.asked.length
      for (let round = 0; round < 10; round++) assert.equal((await ask(gw)).status, 200)
      assert.deepEqual(upstream.asked.slice(seen).map(keyed), Array(10).fill('key-77'))
    })

    test('where all of them rest, the refusal knows of all', async () => {
      await using upstream = await fakeUpstream(only())
      await using gw = await before(upstream.url, plugins)
      for (let asked = 0; asked < count && upstream.asked.length < count; asked++) await (await ask(gw)).arrayBuffer()
      assert.equal(new Set(upstream.asked.map(keyed)).size, count, 'nobody was asked twice')
      const refusal = await ask(gw)
      assert.equal(refusal.status, 429)
      assert.match(refusal.headers.get('retry-after') ?? '', /^5\d\d|600$/)
      const text = await refusal.text()
      for (let at = 0; at < count; at++) assert.match(text, new RegExp(`\\bu${at} is resting`))
    })

    test('those of the better priority come first', async () => {
      await using upstream = await fakeUpstream(only(...Array.from({ length: count }, (_, at) => `key-${at}`)))
      await using gw = await before(upstream.url, plugins)
      for (let round = 0; round < 20; round++) assert.equal((await ask(gw)).status, 200)
      assert.ok(upstream.asked.every((asked) => Number(keyed(asked).slice(4)) < 10))
    })
  })
}

test('sessions stay where they were answered, among a hundred', async () => {
  await using upstream = await fakeUpstream(only(...Array.from({ length: count }, (_, at) => `key-${at}`)))
  await using gw = await before(upstream.url, [sticky, 'concurrency'])
  const homes = new Map<string, string>()
  for (let round = 0; round < 3; round++) {
    for (let session = 0; session < 12; session++) {
      const name = `session-${session}`
      await (await ask(gw, { 'x-session': name })).arrayBuffer()
      const home = keyed(upstream.asked.at(-1)!)
      assert.equal(home, homes.get(name) ?? home)
      homes.set(name, home)
    }
  }
  assert.ok(new Set(homes.values()).size > 1, 'not all of them at one')
})

test('a session moves among a hundred when its own has reached its limit, and stays where it came to', async () => {
  let limited = ''
  await using upstream = await fakeUpstream((asked, response) => {
    const status = keyed(asked) === limited ? 429 : 200
    response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '600' }).end('{"ok":true}')
  })
  await using gw = await before(upstream.url, [sticky, 'concurrency'])
  const askOnce = async () => {
    assert.equal((await ask(gw)).status, 200)
    return keyed(upstream.asked.at(-1)!)
  }
  limited = await askOnce()
  const next = await askOnce()
  assert.notEqual(next, limited)
  for (let times = 0; times < 5; times++) assert.equal(await askOnce(), next)
})

function keyed({ headers }: { readonly headers: Readonly<Record<string, string | string[] | undefined>> }): string {
  return keyOf(headers['authorization'])
}
