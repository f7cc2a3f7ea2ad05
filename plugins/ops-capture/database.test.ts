/** Captured errors in a real PostgreSQL, written by running gateways. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { fakeUpstream, json, stream, type Script } from '../../test/fake-upstream.ts'
import { table, until } from './database.fixture.ts'
import { readLines, scene } from './scene.test.ts'

const failing = json(
  500,
  { error: { type: 'server_error', code: 'oops', message: 'it broke' } },
  { 'x-request-id': 'r-1' },
)
const breaking: Script = (_asked, response) => void response.destroy()
/** Says who calls: a key of the database. */
const keyed = definePlugin({
  name: 'keyed',
  config: { type: 'object', description: 'For tests.' },
  writes: ['principal'],
  setup: () => ({
    onRequest({ facts }) {
      facts.principal = {
        id: 'key:17',
        name: 'laptop',
        keyId: 17,
        userId: 4,
        groupId: 2,
        group: 'acme',
        concurrency: null,
        billing: 'none',
        rateMultiplier: '1',
      }
    },
  }),
})

describe('with a database', () => {
  test('a record has the same fields as in the file', async () => {
    await using db = await table()
    await using it = await scene(failing, {}, { database: db.url, plugins: [keyed, 'openai'] })
    const ask = { model: 'm', stream: false, messages: [{ role: 'user', content: 'Hello' }] }
    await (await it.ask(ask, { 'anthropic-version': '2023-06-01' })).text()
    const [row] = await db.holds(1)
    assert.deepEqual(await it.lines(), [], 'the file has nothing')

    await using alone = await scene(failing, { database: false }, { database: db.url, plugins: [keyed, 'openai'] })
    await (await alone.ask(ask, { 'anthropic-version': '2023-06-01' })).text()
    const [line, ...others] = await alone.lines()
    assert.deepEqual(others, [])
    assert.equal((await db.records()).length, 1, 'and where it is told to use the file the database has nothing')
    const timeless = (one: object) => {
      const { id, at, ms, exchange, attempts, request_body: body, ...rest } = one as typeof row & object // one of the two
      const [{ at_unix_ms: began, ms: took, ...attempt } = assert.fail()] = attempts
      assert.ok(id && at && ms! > 0 && exchange && began && took !== null)
      return { ...rest, attempt, body: typeof body === 'string' ? (JSON.parse(body) as unknown) : body }
    }
    assert.deepEqual(timeless(row!), timeless(line!))
    assert.deepEqual([row?.key, row?.key_id, row?.user_id, row?.group_id], ['laptop', 17, 4, 2])
    assert.deepEqual(row?.headers, { 'anthropic-version': '2023-06-01' })
  })

  test('every way to fail is one row, with whose matter it is', async () => {
    await using db = await table()
    const chat = `data: ${JSON.stringify({ choices: [{ delta: { content: 'Hel' } }] })}\n\n`
    const late = `data: ${JSON.stringify({ error: { type: 'server_error', message: 'lost it' } })}\n\n`
    const ways = [
      ['answer500', failing, ['upstream', 'upstream', 'upstream_http', 500]],
      ['answer401', json(401, { error: { message: 'bad key' } }), ['auth', 'gateway', 'upstream_http', 401]],
      ['answer400', json(400, { error: { message: 'bad' } }), ['request', 'client', 'upstream_http', 400]],
      ['answer429', json(429, { error: { message: 'slow' } }), ['upstream', 'upstream', 'upstream_http', 429]],
      ['midstream', stream(Buffer.from(chat + late), 64), ['upstream', 'upstream', 'upstream_event', 200]],
      ['broken', breaking, ['upstream', 'upstream', 'upstream_network', 502]],
    ] as const
    await using upstream = await fakeUpstream(failing)
    await using it = await scene(failing, {}, { database: db.url })
    const expected: unknown[] = []
    for (const [name, script, told] of ways) {
      await using one = await fakeUpstream(script)
      const upstreams = [{ name, provider: 'openai', url: one.url, key: 'k' }]
      assert.deepEqual(await it.gw.reload({ ...it.options, upstreams }), [])
      await (await it.ask({ model: 'm', stream: name === 'midstream' })).text()
      expected.push([name, ...told])
      await db.holds(expected.length)
    }
    const refusing = [{ 'ip-rules': { deny: ['127.0.0.1'] } }, ...it.options.plugins]
    assert.deepEqual(await it.gw.reload({ ...it.options, plugins: refusing }), [])
    assert.equal((await it.ask()).status, 403)
    expected.push([null, 'auth', 'client', 'client_request', 403])
    await db.holds(expected.length)
    assert.deepEqual(await it.gw.reload({ ...it.options, upstreams: [] }), [])
    assert.equal((await it.ask()).status, 503)
    expected.push([null, 'routing', 'gateway', 'gateway', 503])
    const saved = [
      { name: 'first', provider: 'openai', url: upstream.url, key: 'k', priority: 1 },
      ...it.options.upstreams!.map((one) => ({ ...one, priority: 2 })),
    ]
    await db.holds(expected.length)
    await using good = await fakeUpstream(json(200, { ok: true }))
    const upstreams = [saved[0]!, { ...saved[1], url: good.url }]
    const plugins = ['openai', 'failover', it.options.plugins.at(-1)!]
    assert.deepEqual(await it.gw.reload({ ...it.options, plugins, upstreams }), [])
    assert.equal((await it.ask()).status, 200)
    expected.push(['o', 'upstream', 'upstream', 'upstream_http', 200])
    const rows = (await db.holds(expected.length)).toReversed()
    assert.deepEqual(
      rows.map((one) => [one.upstream, one.phase, one.owner, one.source, one.status]),
      expected,
    )
    assert.deepEqual(
      rows.map(({ recovered }) => recovered),
      expected.map((_, at) => at === expected.length - 1),
    )
    const { rows: retries } = await db.db.query('SELECT retry_count FROM ops_error_logs WHERE is_recovered')
    assert.deepEqual(retries, [{ retry_count: 1 }])
  })

  test('the gateway’s own refusals have their codes and words', async () => {
    await using db = await table()
    await using it = await scene(failing, {}, { database: db.url, upstreams: [] })
    await (await it.ask()).text()
    const [row] = await db.holds(1)
    assert.equal(row?.code, 'no_upstream')
    assert.match(row?.message ?? '', /none is configured for openai/)
  })

  test('no secret is in any row, wherever it stood', async () => {
    await using db = await table()
    const canary = 'sk-canary0123456789abcdefghij'
    const body = { error: { type: 'x', code: canary, message: `the key ${canary} is no key` } }
    await using it = await scene(json(401, body, { 'x-request-id': canary }), {}, { database: db.url })
    const request = { model: canary, api_key: canary, messages: [{ role: 'user', content: `use ${canary} please` }] }
    const headers = {
      authorization: `Bearer ${canary}`,
      'anthropic-beta': canary,
      cookie: `session=${canary}`,
      'x-request-id': canary,
    }
    await (await it.ask(request, headers, `/v1/chat/completions?key=${canary}&access_token=${canary}`)).text()
    await db.holds(1)
    const { rows } = await db.db.query<{ text: string }>('SELECT row_to_json(e)::text AS text FROM ops_error_logs e')
    assert.equal(rows.length, 1)
    assert.ok(!rows[0]!.text.includes('canary'), rows[0]!.text)
    assert.match(rows[0]!.text, /please/, 'what is no secret is there')
  })

  test('what PostgreSQL has no place for is taken out, not the record', async () => {
    await using db = await table()
    const message = 'a\0b \ud800 c'
    await using it = await scene(json(500, { error: { message, code: '\0' } }), {}, { database: db.url })
    await (await it.ask('{"model":"m","a":1e400,"a":2,"text":"\\u0000\\ud800"}')).text()
    const [row] = await db.holds(1)
    assert.match(row?.message ?? '', /^ab . c$/u)
    assert.equal(row?.request_body, '{"model":"m","a":1e400,"a":2,"text":"\\u0000\\ud800"}', 'as it came')
    assert.deepEqual(await it.lines(), [])
  })

  test('two sidecars write one table', async () => {
    await using db = await table()
    await using one = await scene(failing, {}, { database: db.url })
    await using other = await scene(failing, {}, { database: db.url })
    const asked = [one, other].flatMap((it) => Array.from({ length: 50 }, async () => (await it.ask()).text()))
    await Promise.all(asked)
    const rows = await db.holds(100)
    assert.equal(new Set(rows.map(({ id }) => id)).size, 100)
    assert.equal(new Set(rows.map(({ exchange }) => exchange)).size, 100)
    assert.deepEqual([...(await one.lines()), ...(await other.lines())], [])
  })

  test('what does not fit into the queue is counted, and the answers come all the same', async () => {
    await using db = await table()
    await using it = await scene(failing, { queue: 2 }, { database: db.url })
    await (await it.ask()).text()
    await db.holds(1)
    const locked = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const holding = db.db.transaction(async (query) => {
      await query('LOCK TABLE ops_error_logs IN EXCLUSIVE MODE')
      locked.resolve()
      await released.promise
    })
    await locked.promise
    const statuses = await Promise.all(Array.from({ length: 20 }, async () => (await it.ask()).status))
    assert.deepEqual(new Set(statuses), new Set([500]))
    const dropped = async () => {
      const text = await (await fetch(`${it.gw.adminUrl}/metrics`)).text()
      return Number(/postern_captured_errors_lost_total\{why="dropped"\} (\d+)/.exec(text)?.[1] ?? 0)
    }
    await until('a count', async () => (await dropped()) >= 17)
    const lost = await dropped()
    released.resolve()
    await holding
    await it.gw.stop()
    const all = [...(await db.records()), ...(await readLines(it.file))]
    assert.equal(all.length, 21 - lost, 'what was not counted as dropped was written')
    assert.ok(it.gw.records.some(({ message }) => message === 'captured errors were lost'))
  })
})
