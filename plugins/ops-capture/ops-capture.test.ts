import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { scene } from './scene.test.ts'

const failing = json(
  500,
  { error: { type: 'server_error', code: 'oops', message: 'it broke' } },
  { 'x-request-id': 'r-1' },
)

describe('ops-capture', () => {
  test('keeps what is needed to understand an exchange that failed', async () => {
    await using it = await scene(failing)
    const answer = await it.ask({ model: 'm', stream: false, messages: [{ role: 'user', content: 'Hello' }] })
    assert.equal(answer.status, 500)
    await answer.text()
    const [line, ...others] = await it.lines()
    assert.deepEqual(others, [])
    const { id, at, ms, attempts, ...rest } = line!
    assert.deepEqual(rest, {
      exchange: answer.headers.get('x-postern-exchange'),
      phase: 'upstream',
      owner: 'upstream',
      source: 'upstream_http',
      severity: 'P1',
      is_retryable: true,
      type: 'server_error',
      code: 'oops',
      message: 'it broke',
      recovered: false,
      status: 500,
      upstream_statuses: [500],
      passed_over: [],
      provider: 'openai',
      operation: 'chat.completions',
      model: 'm',
      upstream: 'o',
      key: null,
      key_id: null,
      user_id: null,
      group_id: null,
      stream: false,
      method: 'POST',
      path: '/v1/chat/completions',
      client: '127.0.0.1',
      headers: {},
      error_body: '{"error":{"type":"server_error","code":"oops","message":"it broke"}}',
      request_body: { model: 'm', stream: false, messages: [{ role: 'user', content: 'Hello' }] },
      request_bytes: 75,
    })
    assert.match(id, /^0[0-9a-z]{13}$/)
    assert.ok(Math.abs(Date.parse(at) - Date.now()) < 60_000)
    assert.ok(ms !== null && ms > 0)
    const [{ at_unix_ms, ms: took, ...attempt } = assert.fail()] = attempts
    assert.deepEqual(attempt, {
      attempt: 1,
      upstream: 'o',
      kind: 'http_error',
      status: 500,
      error: null,
      request_id: 'r-1',
      message: 'it broke',
    })
    assert.ok(at_unix_ms !== null && took !== null)
    assert.equal((await stat(it.file)).mode & 0o777, 0o600)
  })

  test('keeps nothing of an exchange that went well, and makes no file for it', async () => {
    await using it = await scene(json(200, { ok: true }))
    for (let times = 0; times < 3; times++) await (await it.ask()).text()
    assert.deepEqual(await it.lines(), [])
    assert.ok(!existsSync(it.file))
  })

  describe('says whose matter it is', () => {
    const own = { authorization: 'Bearer client-key-0123456789' }
    const table: readonly [
      status: number,
      hasKey: boolean,
      phase: string,
      owner: string,
      severity: string,
      retryable: boolean,
    ][] = [
      [400, true, 'request', 'client', 'P3', false],
      [401, true, 'auth', 'gateway', 'P1', false],
      [401, false, 'auth', 'client', 'P3', false],
      [403, true, 'auth', 'gateway', 'P1', false],
      [404, true, 'request', 'client', 'P3', false],
      [408, true, 'upstream', 'upstream', 'P2', true],
      [429, true, 'upstream', 'upstream', 'P1', true],
      [503, true, 'upstream', 'upstream', 'P1', true],
      [529, true, 'upstream', 'upstream', 'P1', true],
    ]
    for (const [status, hasKey, phase, owner, severity, retryable] of table) {
      test(`where the upstream answers ${status} to ${hasKey ? 'our' : 'the client’s'} key`, async () => {
        await using upstream = await fakeUpstream(json(status, { error: { message: 'no' } }))
        const upstreams = [{ name: 'x', provider: 'openai', url: upstream.url, ...(hasKey ? { key: 'k' } : {}) }]
        await using it = await scene(failing, {}, { upstreams })
        await (await it.ask({}, own)).text()
        const [line] = await it.lines()
        assert.deepEqual(
          [line?.phase, line?.owner, line?.severity, line?.is_retryable, line?.source],
          [phase, owner, severity, retryable, 'upstream_http'],
        )
      })
    }

    test('where the upstream cannot be reached', async () => {
      const upstreams = [{ name: 'dead', provider: 'openai', url: 'http://127.0.0.1:9', key: 'k' }]
      await using it = await scene(failing, {}, { upstreams })
      assert.equal((await it.ask()).status, 502)
      const [line] = await it.lines()
      assert.deepEqual(
        [line?.phase, line?.owner, line?.source, line?.severity, line?.is_retryable, line?.code],
        ['upstream', 'upstream', 'upstream_network', 'P1', true, 'ECONNREFUSED'],
      )
      assert.deepEqual(line?.upstream_statuses, [null])
      assert.equal(line?.attempts[0]?.error, 'ECONNREFUSED')
    })

    test('where the gateway has no upstream to ask', async () => {
      await using it = await scene(failing, {}, { upstreams: [] })
      assert.equal((await it.ask()).status, 503)
      const [line] = await it.lines()
      assert.deepEqual(
        [line?.phase, line?.owner, line?.source, line?.severity],
        ['routing', 'gateway', 'gateway', 'P1'],
      )
      assert.deepEqual(line?.request_body, { model: 'm' })
    })

    test('where a plugin above refuses, before there was a body', async () => {
      await using it = await scene(failing, {}, { plugins: [{ 'ip-rules': { deny: ['127.0.0.1'] } }, 'openai'] })
      assert.equal((await it.ask()).status, 403)
      const [line] = await it.lines()
      assert.deepEqual([line?.phase, line?.owner, line?.source], ['auth', 'client', 'client_request'])
      assert.deepEqual([line?.request_body, line?.ms, line?.upstream], [null, null, null])
    })

    test('where the path is nobody’s', async () => {
      await using it = await scene(failing)
      assert.equal((await it.ask({}, {}, '/nowhere')).status, 404)
      const [line] = await it.lines()
      assert.deepEqual([line?.phase, line?.owner, line?.provider], ['request', 'client', null])
    })

    test('where a plugin is broken', async () => {
      const broken = {
        name: 'broken',
        config: { type: 'object' },
        reads: [],
        mayRead: [],
        writes: [],
        setup: () => ({
          onBody() {
            throw new Error('no such thing: sk-0123456789')
          },
        }),
      } as const
      await using it = await scene(failing, {}, { plugins: ['openai', broken] })
      assert.equal((await it.ask()).status, 500)
      const [line] = await it.lines()
      assert.deepEqual([line?.phase, line?.owner, line?.type], ['internal', 'gateway', 'HookError'])
      assert.equal(line?.message, 'broken failed in onBody: no such thing: sk-***')
    })

    test('where the client leaves before there is an answer', async () => {
      const controller = new AbortController()
      await using it = await scene(() => controller.abort())
      const answer = fetch(`${it.gw.url}/v1/chat/completions`, {
        method: 'POST',
        body: '{}',
        signal: controller.signal,
      })
      await assert.rejects(answer, /abort/)
      const [line] = await it.lines()
      assert.deepEqual(
        [line?.phase, line?.owner, line?.severity, line?.is_retryable, line?.code, line?.status],
        ['request', 'client', 'P3', false, 'CLIENT_GONE', 0],
      )
    })
  })

  test('keeps what failover has saved, without its body', async () => {
    await using first = await fakeUpstream(json(429, { error: { message: 'too fast', type: 'rate_limit_error' } }))
    await using it = await scene(json(200, { ok: 1 }), {}, { plugins: ['openai', 'failover'] })
    const [o] = it.options.upstreams!
    const upstreams = [
      { name: 'first', provider: 'openai', url: first.url, key: 'k', priority: 1 },
      { ...o, priority: 2 },
    ]
    assert.deepEqual(await it.gw.reload({ ...it.options, upstreams }), [])
    assert.equal((await it.ask()).status, 200)
    const [line, ...others] = await it.lines()
    assert.deepEqual(others, [])
    assert.deepEqual(
      [line?.recovered, line?.status, line?.severity, line?.owner, line?.message],
      [true, 200, 'P1', 'upstream', 'Recovered upstream error 429: too fast'],
    )
    assert.deepEqual(line?.upstream_statuses, [429])
    assert.deepEqual([line?.attempts[0]?.upstream, line?.upstream], ['first', 'o'])
    assert.deepEqual([line?.request_body, line?.error_body], [null, null])
  })

  test('lists every attempt of an exchange that all have failed', async () => {
    await using upstream = await fakeUpstream(failing)
    const upstreams = ['a', 'b', 'c'].map((name) => ({ name, provider: 'openai', url: upstream.url, key: 'k' }))
    await using it = await scene(failing, {}, { upstreams, plugins: ['openai', { failover: { attempts: 3 } }] })
    assert.equal((await it.ask()).status, 500)
    const [line] = await it.lines()
    assert.deepEqual(
      line?.attempts.map(({ attempt, status }) => [attempt, status]),
      [
        [1, 500],
        [2, 500],
        [3, 500],
      ],
    )
    assert.deepEqual(line?.attempts.map(({ upstream }) => upstream).toSorted(), ['a', 'b', 'c'])
    assert.equal(line?.recovered, false)
  })

  test('leaves out what it is told to leave out', async () => {
    await using recovered = await scene(failing, { ignore_statuses: [500] })
    await (await recovered.ask()).text()
    assert.deepEqual(await recovered.lines(), [])

    await using operations = await scene(failing, { ignore_operations: ['embeddings'] })
    await (await operations.ask({}, {}, '/v1/embeddings')).text()
    await (await operations.ask()).text()
    assert.deepEqual(
      (await operations.lines()).map(({ operation }) => operation),
      ['chat.completions'],
    )

    const controller = new AbortController()
    await using left = await scene(() => controller.abort(), { ignore_client_gone: true })
    await assert.rejects(fetch(`${left.gw.url}/v1/models`, { signal: controller.signal }))
    assert.deepEqual(await left.lines(), [])
  })

  test('loses nothing when gateways come and go, and writes one file with both', async () => {
    await using it = await scene(failing)
    for (let times = 0; times < 5; times++) {
      await Promise.all(Array.from({ length: 20 }, async () => (await it.ask()).text()))
      assert.deepEqual(await it.gw.reload(it.options), [])
    }
    const lines = await it.lines()
    assert.equal(lines.length, 100)
    assert.equal(new Set(lines.map(({ exchange }) => exchange)).size, 100)
  })

  test('bounds what stands on disk', async () => {
    await using it = await scene(failing, { max_size: '64KiB', keep: 1 })
    const body = { model: 'm', messages: [{ content: 'x'.repeat(8000) }] }
    for (let times = 0; times < 30; times++) await (await it.ask(body)).text()
    const lines = await it.lines()
    assert.ok(lines.length > 0)
    const folder = join(it.file, '..')
    const names = (await readdir(folder)).toSorted()
    assert.deepEqual(names, ['errors.jsonl', 'errors.jsonl.1'])
    for (const name of names) assert.ok((await stat(join(folder, name))).size <= 64 * 1024)
  })

  test('says that records were lost where the file cannot be written any more, and goes on', async () => {
    await using it = await scene(failing)
    await (await it.ask()).text()
    const folder = join(it.file, '..')
    assert.deepEqual(await it.gw.reload(it.options), [])
    await rm(folder, { recursive: true })
    await writeFile(folder, 'in the way')
    assert.equal((await it.ask()).status, 500)
    await it.gw.stop()
    const warning = it.gw.records.find(({ message }) => message === 'captured errors were lost')
    assert.deepEqual([warning?.level, warning?.unwritten, warning?.dropped], ['warn', 1, 0])
  })
})
