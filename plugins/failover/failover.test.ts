import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json, type Script } from '../../test/fake-upstream.ts'
import { gateway, type TestGateway } from '../../test/harness.ts'

const dead = 'http://127.0.0.1:9'
const ask = (gw: TestGateway, body = '{"model":"m","n":1.0}') =>
  fetch(`${gw.url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })

/** A gateway before two upstreams of which the first is asked first. */
const before = (first: string, second: string, options = {}) =>
  gateway({
    plugins: ['openai', { failover: options }],
    upstreams: [
      { name: 'second', provider: 'openai', url: second, key: 'key-2', priority: 2 },
      { name: 'first', provider: 'openai', url: first, key: 'key-1', priority: 1 },
    ],
  })

describe('failover asks the next upstream', () => {
  for (const status of [401, 403, 408, 429, 500, 502, 503, 504, 529]) {
    test(`when the first answers ${status}`, async () => {
      await using first = await fakeUpstream(json(status, { error: { message: 'no' } }))
      await using second = await fakeUpstream(json(200, { ok: true }))
      await using gw = await before(first.url, second.url)
      const answer = await ask(gw)
      assert.equal(answer.status, 200)
      assert.equal(second.asked[0]?.body.toString(), '{"model":"m","n":1.0}', 'with the very bytes')
      assert.equal(first.asked[0]?.headers.authorization, 'Bearer key-1')
      assert.equal(second.asked[0]?.headers.authorization, 'Bearer key-2')
    })
  }

  const broken: Record<string, Script> = {
    'resets before the headers': (_asked, _response, request) => void request.socket.resetAndDestroy(),
    'closes before the headers': (_asked, _response, request) => void request.socket.end(),
    'answers with what is no HTTP': (_asked, _response, request) => void request.socket.end('nonsense\r\n\r\n'),
  }
  for (const [what, script] of Object.entries(broken)) {
    test(`when the first ${what}`, async () => {
      await using first = await fakeUpstream(script)
      await using second = await fakeUpstream(json(200, { ok: true }))
      await using gw = await before(first.url, second.url)
      assert.equal((await ask(gw)).status, 200)
    })
  }

  test('when the first cannot be reached', async () => {
    await using second = await fakeUpstream(json(200, { ok: true }))
    await using gw = await before(dead, second.url)
    assert.equal((await ask(gw)).status, 200)
    const line = gw.records.find(({ level }) => level === 'warn')
    assert.deepEqual(
      {
        account_id: line?.account_id,
        status_code: line?.status_code,
        error: line?.error,
        retry_count: line?.retry_count,
      },
      { account_id: 'first', status_code: null, error: 'ECONNREFUSED', retry_count: 1 },
    )
  })

  test('when the first lets the headers wait too long', async () => {
    await using first = await fakeUpstream(() => {})
    await using second = await fakeUpstream(json(200, { ok: true }))
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      timeouts: { headers: '1s' },
      upstreams: [
        { name: 'first', provider: 'openai', url: first.url },
        { name: 'second', provider: 'openai', url: second.url },
      ],
    })
    assert.equal((await ask(gw)).status, 200)
  })
})

describe('failover does not ask again', () => {
  test('after an error that is the request’s own', async () => {
    await using first = await fakeUpstream(json(400, { error: { message: 'bad request' } }))
    await using second = await fakeUpstream(json(200, {}))
    await using gw = await before(first.url, second.url)
    const answer = await ask(gw)
    assert.equal(answer.status, 400)
    assert.deepEqual(await answer.json(), { error: { message: 'bad request' } })
    assert.equal(second.asked.length, 0)
  })

  test('after the first byte of a stream', async () => {
    await using first = await fakeUpstream((_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n', () => response.destroy())
    })
    await using second = await fakeUpstream(json(200, {}))
    await using gw = await before(first.url, second.url)
    await assert.rejects(async () => (await ask(gw)).text())
    assert.equal(second.asked.length, 0)
  })

  test('a body that streams through and has begun to leave', async () => {
    await using first = await fakeUpstream(json(500, { error: { message: 'no' } }))
    await using second = await fakeUpstream(json(200, {}))
    await using gw = await before(first.url, second.url)
    const answer = await fetch(`${gw.url}/v1/files`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: 'x',
    })
    assert.equal(answer.status, 500)
    assert.equal(second.asked.length, 0)
  })

  test('more often than it may', async () => {
    await using first = await fakeUpstream(json(500, { n: 1 }))
    await using second = await fakeUpstream(json(503, { n: 2 }))
    await using gw = await before(first.url, second.url, { attempts: 1 })
    assert.equal((await ask(gw)).status, 500)
    assert.equal(second.asked.length, 0)
  })

  test('for a status that is not on the list it was given', async () => {
    await using first = await fakeUpstream(json(500, {}))
    await using second = await fakeUpstream(json(200, {}))
    await using gw = await before(first.url, second.url, { statuses: [418] })
    assert.equal((await ask(gw)).status, 500)
  })
})

describe('where no upstream is left', () => {
  test('the client is given the last one’s own answer', async () => {
    await using first = await fakeUpstream(json(429, { error: { message: 'first' } }, { 'retry-after': '7' }))
    await using second = await fakeUpstream(json(429, { error: { message: 'second' } }, { 'retry-after': '9' }))
    await using gw = await before(first.url, second.url)
    const answer = await ask(gw)
    assert.equal(answer.status, 429)
    assert.equal(answer.headers.get('retry-after'), '9')
    assert.deepEqual(await answer.json(), { error: { message: 'second' } })
    assert.equal(first.asked.length + second.asked.length, 2)
  })

  test('a lone upstream that broke is asked again, one that said no is not', async () => {
    let times = 0
    await using upstream = await fakeUpstream((asked, response, request) => {
      if (++times < 3) request.socket.resetAndDestroy()
      else return json(200, {})(asked, response, request)
    })
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'one', provider: 'openai', url: upstream.url }],
    })
    assert.equal((await ask(gw)).status, 200)
    upstream.script = json(401, {})
    const before = upstream.asked.length
    assert.equal((await ask(gw)).status, 401)
    assert.equal(upstream.asked.length, before + 1)
  })

  test('and none answered, the client is told 502', async () => {
    await using gw = await before(dead, dead)
    const answer = await ask(gw)
    assert.equal(answer.status, 502)
    assert.match(await answer.text(), /upstream_error/)
  })
})
