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

/** A gateway before one upstream, patient for ten ms. */
const lone = (url: string, options = {}) =>
  gateway({
    plugins: ['openai', { failover: { same_upstream_delay: '10ms', ...options } }],
    upstreams: [{ name: 'one', provider: 'openai', url, key: 'key' }],
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
        switch_count: line?.switch_count,
        max_switches: line?.max_switches,
        next: line?.next,
      },
      {
        account_id: 'first',
        status_code: null,
        error: 'ECONNREFUSED',
        retry_count: 1,
        switch_count: 0,
        max_switches: 2,
        next: 'other',
      },
    )
    assert.ok(line?.exchange)
  })

  test('when the first lets the headers wait too long', async () => {
    await using first = await fakeUpstream(() => {})
    await using second = await fakeUpstream(json(200, { ok: true }))
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      timeouts: { headers: '1s' },
      upstreams: [
        { name: 'first', provider: 'openai', url: first.url, priority: 1 },
        { name: 'second', provider: 'openai', url: second.url, priority: 2 },
      ],
    })
    assert.equal((await ask(gw)).status, 200)
    assert.equal(first.asked.length, 1)
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

  test('after the first content of a stream', async () => {
    await using first = await fakeUpstream((_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {"choices":[{"delta":{"content":"one"}}]}\n\n', () => response.destroy())
    })
    await using second = await fakeUpstream(json(200, {}))
    await using gw = await before(first.url, second.url)
    const text = await (await ask(gw, '{"model":"m","stream":true}')).text().catch(() => '')
    assert.doesNotMatch(text, /two|\[DONE\]/)
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

  test('what may have been carried out and would create something twice', async () => {
    for (const [status, times] of [
      [500, 0],
      [504, 0],
      [429, 1],
      [503, 1],
    ] as const) {
      await using first = await fakeUpstream(json(status, {}))
      await using second = await fakeUpstream(json(200, {}))
      await using gw = await before(first.url, second.url)
      const headers = { 'content-type': 'application/json' }
      await fetch(`${gw.url}/v1/batches`, { method: 'POST', headers, body: '{"input_file_id":"f"}' })
      assert.equal(second.asked.length, times, `after ${status}`)
    }
  })

  test('what was sent to a connection that then broke, if it would create something twice', async () => {
    await using first = await fakeUpstream((_asked, _response, request) => void request.socket.resetAndDestroy())
    await using second = await fakeUpstream(json(200, {}))
    await using gw = await before(first.url, second.url)
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${gw.url}/v1/batches`, { method: 'POST', headers, body: '{}' })
    assert.equal(answer.status, 502)
    assert.equal(second.asked.length, 0)
    assert.equal(gw.records.find(({ level }) => level === 'warn')?.not_retried, 'it may have been carried out')
  })

  test('when the client has left', async () => {
    let reached = () => {}
    const isThere = new Promise<void>((resolve) => (reached = resolve))
    await using first = await fakeUpstream(() => reached())
    await using second = await fakeUpstream(json(200, {}))
    await using gw = await before(first.url, second.url)
    const leaving = new AbortController()
    const body = '{"model":"m"}'
    const headers = { 'content-type': 'application/json' }
    const asked = fetch(`${gw.url}/v1/chat/completions`, { method: 'POST', headers, body, signal: leaving.signal })
    await isThere
    leaving.abort()
    await assert.rejects(asked)
    await gw.stop()
    assert.equal(second.asked.length, 0)
    assert.ok(!gw.records.some(({ message }) => message.startsWith('failover')), 'nor is it held against the upstream')
  })

  test('when the retry budget is spent', async () => {
    await using first = await fakeUpstream(json(500, {}))
    await using second = await fakeUpstream(json(200, {}))
    const budget = { share: 0.25, floor: 0 }
    await using gw = await before(first.url, second.url, { budget, circuit: { enabled: false } })
    const statuses = []
    for (let times = 0; times < 8; times++) statuses.push((await ask(gw)).status)
    assert.deepEqual(statuses, [500, 500, 500, 200, 500, 500, 500, 200], 'a quarter of the exchanges')
    assert.ok(gw.records.some(({ not_retried }) => not_retried === 'the retry budget is spent'))
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

  test('a lone upstream that broke is asked once more, one that said no is not', async () => {
    let times = 0
    await using upstream = await fakeUpstream((asked, response, request) => {
      if (++times < 2) request.socket.resetAndDestroy()
      else return json(200, {})(asked, response, request)
    })
    await using gw = await lone(upstream.url)
    assert.equal((await ask(gw)).status, 200)
    const line = gw.records.find(({ level }) => level === 'warn')
    assert.equal(line?.next, 'same')
    assert.ok(Number(line?.delay_ms) >= 8 && Number(line?.delay_ms) <= 12, 'ten ms, give or take a fifth')
    upstream.script = json(401, {})
    const before = upstream.asked.length
    assert.equal((await ask(gw)).status, 401)
    assert.equal(upstream.asked.length, before + 1)
  })

  test('a lone upstream is asked again as often as it is told to, and 0 means never', async () => {
    for (const same_upstream_retries of [0, 1, 3]) {
      await using upstream = await fakeUpstream(json(500, {}))
      await using gw = await lone(upstream.url, { same_upstream_retries, attempts: 8 })
      assert.equal((await ask(gw)).status, 500)
      assert.equal(upstream.asked.length, same_upstream_retries + 1)
    }
  })

  test('no attempt begins after the deadline', async () => {
    await using upstream = await fakeUpstream(json(500, {}))
    await using gw = await lone(upstream.url, { same_upstream_delay: '2s', deadline: '1s' })
    assert.equal((await ask(gw)).status, 500)
    assert.equal(upstream.asked.length, 1)
    assert.equal(gw.records.find(({ level }) => level === 'warn')?.not_retried, 'the deadline has passed')
  })

  test('and none answered, the client is told 502', async () => {
    await using gw = await before(dead, dead)
    const answer = await ask(gw)
    assert.equal(answer.status, 502)
    assert.match(await answer.text(), /upstream_error/)
  })
})
