import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, type PageHandler, type PageOptions } from 'postern/plugin'
import { gateway } from '../test/harness.ts'
import { ask } from './admin.fixture.ts'
import { isLoopbackAddress } from './admin-guard.ts'

const key = 'an-admin-key-of-some-length'
const bearer = { authorization: `Bearer ${key}` }

/** A plugin with one page. */
const shows = (
  name: string,
  path: string,
  handle: PageHandler,
  options: PageOptions = {},
  method: 'GET' | 'POST' = 'GET',
) =>
  definePlugin({
    name,
    config: { type: 'object', description: 'A page.' },
    setup(context) {
      context.page(method, path, handle, options)
      return {}
    },
  })
const says =
  (text: string): PageHandler =>
  (_request, response) =>
    void response.end(text)

describe('a page of a plugin', () => {
  test('is on the admin listener and nowhere else', async () => {
    await using gw = await gateway({ plugins: [shows('a', '/a', says('hello'))] })
    const answer = await ask(`${gw.adminUrl}/a?x=1`)
    assert.deepEqual([answer.status, answer.body], [200, 'hello'])
    assert.equal(answer.headers['x-content-type-options'], 'nosniff')
    assert.equal(answer.headers['cache-control'], 'no-store')
    assert.equal((await ask(`${gw.url}/a`)).status, 404)
    assert.match((await ask(`${gw.adminUrl}/b`)).body, /there are GET \/healthz, .*GET \/a"/)
  })

  test('is the new gateway’s after a reload, and gone with the plugin', async () => {
    let times = 0
    const counted = definePlugin({
      name: 'counted',
      config: { type: 'object', description: 'A page.' },
      setup(context) {
        const time = ++times
        context.page('GET', '/time', (_request, response) => void response.end(String(time)))
        return {}
      },
    })
    await using gw = await gateway({ plugins: [counted] })
    assert.equal((await ask(`${gw.adminUrl}/time`)).body, '1')
    await gw.reload({ plugins: [counted] })
    assert.equal((await ask(`${gw.adminUrl}/time`)).body, '2')
    await gw.reload({ plugins: ['openai'] })
    assert.equal((await ask(`${gw.adminUrl}/time`)).status, 404)
  })

  test('that two plugins want keeps the configuration from running: the problem names both', async () => {
    await using gw = await gateway({ plugins: [shows('a', '/p', says('a'))] })
    const problems = await gw.reload({ plugins: [shows('a', '/p', says('a')), shows('b', '/p', says('b'))] })
    assert.match(
      problems[0]?.message ?? '',
      /^b cannot be set up: the page GET \/p belongs to a already, and b wants it/,
    )
    assert.equal((await ask(`${gw.adminUrl}/p`)).body, 'a')
  })

  test('that throws is a 503 without its secrets, and a line in the log', async () => {
    const fails = shows('a', '/fails', () => Promise.reject(new Error('no: api_key=sk-canary-0123456789abcdef')))
    await using gw = await gateway({ plugins: [fails] })
    const { status, body } = await ask(`${gw.adminUrl}/fails`)
    assert.equal(status, 503)
    assert.doesNotMatch(body, /canary/)
    assert.ok(
      gw.records.some(({ level, message }) => level === 'warn' && /page of the admin listener failed/.test(message)),
    )
  })
})

describe('without a key, on a loopback address', () => {
  test('everything is open to those who ask by address or as localhost', async () => {
    await using gw = await gateway({ plugins: [shows('a', '/a', says('hello'))] })
    const { port } = new URL(gw.adminUrl)
    for (const host of [
      `127.0.0.1:${port}`,
      '127.0.0.1',
      `localhost:${port}`,
      'LOCALHOST',
      `[::1]:${port}`,
      'postern.localhost',
    ])
      for (const path of ['/healthz', '/metrics', '/gates', '/configuration', '/a'])
        assert.equal((await ask(gw.adminUrl + path, { headers: { host } })).status, 200, `${host} ${path}`)
  })

  test('a foreign name is refused, for every path: it may have been bound to this address a moment ago', async () => {
    await using gw = await gateway({ plugins: [shows('a', '/a', says('hello'), { isPublic: true })] })
    for (const host of [
      'evil.example',
      'evil.example:80',
      '127.0.0.1.evil.example',
      'localhost.evil.example',
      'a b',
      '[::1',
      '1.2.3',
    ])
      for (const path of ['/healthz', '/a', '/nothing']) {
        const { status, body } = await ask(gw.adminUrl + path, { headers: { host } })
        assert.equal(status, 421, `${host} ${path}`)
        assert.match(body, /admin\.hosts/)
      }
  })

  test('a name in admin.hosts is none of the foreign', async () => {
    await using gw = await gateway({ plugins: ['openai'], admin: { listen: '127.0.0.1:0', hosts: ['Postern-Admin'] } })
    assert.equal((await ask(`${gw.adminUrl}/gates`, { headers: { host: 'postern-admin:8788' } })).status, 200)
    assert.equal((await ask(`${gw.adminUrl}/gates`, { headers: { host: 'postern' } })).status, 421)
  })

  test('a foreign origin is refused, this one’s own is not', async () => {
    await using gw = await gateway({ plugins: ['openai'] })
    const { host } = new URL(gw.adminUrl)
    const as = (headers: Record<string, string>) => ask(`${gw.adminUrl}/healthz`, { headers: { host, ...headers } })
    for (const origin of ['https://evil.example', 'null', `http://${host}0`, 'http://localhost', 'x'])
      assert.equal((await as({ origin })).status, 403, origin)
    assert.equal((await as({ origin: `http://${host}` })).status, 200)
    assert.equal((await as({ origin: `https://${host}` })).status, 200, 'TLS may end before it')
    assert.equal((await as({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).status, 403)
    assert.equal((await as({ 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' })).status, 403)
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
    assert.equal((await as({ ...link, 'sec-fetch-dest': 'document' })).status, 200, 'a link')
    assert.equal((await as({ ...link, 'sec-fetch-dest': 'iframe' })).status, 403)
    assert.equal((await as({ 'sec-fetch-site': 'same-origin', 'sec-fetch-mode': 'cors' })).status, 200)
  })

  test('a POST has to be JSON, which no form of another page can send', async () => {
    await using gw = await gateway({ plugins: [shows('a', '/act', says('done'), {}, 'POST')] })
    const post = (type?: string) =>
      ask(`${gw.adminUrl}/act`, {
        method: 'POST',
        headers: type === undefined ? {} : { 'content-type': type },
        body: '{}',
      })
    for (const type of [
      undefined,
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/jsonp',
    ])
      assert.equal((await post(type)).status, 415, type)
    assert.equal((await post('application/json')).body, 'done')
    assert.equal((await post('Application/JSON; charset=utf-8')).body, 'done')
    const foreign = { 'content-type': 'application/json', origin: 'https://evil.example' }
    assert.equal((await ask(`${gw.adminUrl}/act`, { method: 'POST', headers: foreign, body: '{}' })).status, 403)
    assert.equal((await ask(`${gw.adminUrl}/sticky/flush?session=x`, { method: 'POST' })).status, 415)
    const json = { 'content-type': 'application/json' }
    const flushed = await ask(`${gw.adminUrl}/sticky/flush?session=x`, { method: 'POST', headers: json })
    assert.deepEqual(JSON.parse(flushed.body), { flushed: 0 })
  })
})

describe('with a key', () => {
  test('everything needs it but health, readiness and what is public', async () => {
    const plugins = [shows('a', '/a', says('hello')), shows('b', '/b', says('open'), { isPublic: true })]
    await using gw = await gateway({ plugins, admin: { listen: '127.0.0.1:0', key } })
    const as = async (path: string, headers: Record<string, string> = {}) =>
      (await ask(gw.adminUrl + path, { headers })).status
    for (const path of ['/healthz', '/readyz', '/b']) assert.equal(await as(path), 200, path)
    for (const path of ['/metrics', '/gates', '/configuration', '/a', '/nothing']) {
      assert.equal(await as(path), 401, path)
      assert.equal(await as(path, { authorization: `Bearer ${key}x` }), 401, path)
      assert.equal(await as(path, { authorization: `Basic ${key}` }), 401, path)
      assert.equal(await as(path, bearer), path === '/nothing' ? 404 : 200, path)
    }
    assert.equal((await ask(`${gw.adminUrl}/a`)).headers['www-authenticate'], 'Bearer')
  })

  test('who has it may ask by any name, from no other origin', async () => {
    await using gw = await gateway({ plugins: ['openai'], admin: { listen: '127.0.0.1:0', key } })
    const as = async (headers: Record<string, string>) => (await ask(`${gw.adminUrl}/gates`, { headers })).status
    assert.equal(await as({ ...bearer, host: 'postern.svc' }), 200)
    assert.equal(await as({ ...bearer, host: 'postern.svc', origin: 'https://evil.example' }), 403)
    assert.equal(await as({ authorization: 'Bearer no', host: 'postern.svc' }), 421)
  })

  test('the metrics may be told without it', async () => {
    const admin = { listen: '127.0.0.1:0', key, metrics_without_key: true }
    await using gw = await gateway({ plugins: ['openai'], admin })
    assert.equal((await ask(`${gw.adminUrl}/metrics`)).status, 200)
    assert.equal((await ask(`${gw.adminUrl}/gates`)).status, 401)
  })

  test('one that is too short keeps the listener closed', async () => {
    const short = gateway({ plugins: ['openai'], admin: { listen: '127.0.0.1:0', key: 'short' } })
    await assert.rejects(short, /admin\.key must have 16 characters or more/)
  })
})

describe('on an address that other machines reach', () => {
  test('only health and readiness are told where there is no key', async () => {
    const plugins = [shows('a', '/a', says('hello'))]
    await using gw = await gateway({ plugins, admin: { listen: '0.0.0.0:0' } })
    const as = (path: string) => ask(gw.adminUrl + path, { address: '127.0.0.1' })
    for (const path of ['/healthz', '/readyz']) assert.equal((await as(path)).status, 200, path)
    for (const path of ['/metrics', '/gates', '/configuration', '/a', '/nothing']) {
      const { status, body } = await as(path)
      assert.equal(status, 403, path)
      assert.match(body, /set admin\.key, or listen on 127\.0\.0\.1/)
    }
    assert.ok(gw.records.some(({ level, message }) => level === 'warn' && message.includes('no admin.key')))
  })

  test('the key opens it', async () => {
    await using gw = await gateway({ plugins: ['openai'], admin: { listen: '0.0.0.0:0', key } })
    const as = async (headers: Record<string, string>) =>
      (await ask(`${gw.adminUrl}/configuration`, { address: '127.0.0.1', headers })).status
    assert.equal(await as({}), 401)
    assert.equal(await as(bearer), 200)
  })
})

describe('whom a drain waits for', () => {
  const held = (until: Promise<void>) =>
    definePlugin({
      name: 'held',
      config: { type: 'object', description: 'Waits.' },
      setup: () => ({ onRequest: () => until.then(() => undefined) }),
    })
  const cases: [who: string, admin: object, headers: Record<string, string>, isTold: boolean][] = [
    ['told to whoever asks on a loopback address', { listen: '127.0.0.1:0' }, {}, true],
    ['told to who has the key', { listen: '0.0.0.0:0', key }, bearer, true],
    ['a number for who has not', { listen: '0.0.0.0:0', key }, {}, false],
    ['a number for who has not, on a loopback address too', { listen: '127.0.0.1:0', key }, {}, false],
    ['a number where other machines reach the listener and there is no key', { listen: '0.0.0.0:0' }, {}, false],
  ]
  for (const [who, admin, headers, isTold] of cases) {
    test(`is ${who}`, async () => {
      const released = Promise.withResolvers<void>()
      await using gw = await gateway({ plugins: [held(released.promise)], admin })
      const asking = fetch(`${gw.url}/v1/x`, { headers: { 'x-request-id': 'the-one' } })
      const health = async () =>
        JSON.parse((await ask(`${gw.adminUrl}/healthz`, { address: '127.0.0.1', headers })).body) as {
          exchanges: number
          retiring: { exchanges: number; waits: object }[]
        } // our own page
      while ((await health()).exchanges === 0);
      await gw.reload({ plugins: ['openai'], admin })
      const [retiring] = (await health()).retiring
      assert.equal(retiring?.exchanges, 1)
      if (isTold) assert.match(JSON.stringify(retiring.waits), /"the-one".*"held".*"onRequest"/)
      else assert.deepEqual(retiring.waits, { exchanges: 1 })
      released.resolve()
      await asking
    })
  }
})

test('loopback is what no other machine reaches', () => {
  for (const address of ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'])
    assert.ok(isLoopbackAddress(address), address)
  for (const address of ['0.0.0.0', '::', '10.0.0.1', '::ffff:10.0.0.1', '1127.0.0.1'])
    assert.ok(!isLoopbackAddress(address), address)
})
