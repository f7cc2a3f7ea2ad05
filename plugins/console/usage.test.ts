import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import pg from 'pg'
import { gateway } from '../../test/harness.ts'
import { migratedDatabase } from '../../test/postgres.ts'
import { until } from '../../test/redis.ts'
import { act, caller, explained, fine, send, told, upstreams } from './console.fixture.ts'

interface Told {
  readonly source: string
  readonly days: readonly string[]
  readonly rows: readonly {
    day: string
    key: string
    model: string
    requests: number
    input: number
    output: number
    cost: string | null
  }[]
}
const today = () => new Date().toISOString().slice(0, 10)

describe('usage without a database', () => {
  test('is what this process has seen, by day, key and model, and outlives a reload', async () => {
    await using some = await upstreams({ a: fine })
    const options = { plugins: ['console', caller, 'openai'], upstreams: some.list }
    await using gw = await gateway(options)
    for (const [name, model] of [
      ['ann', 'gpt-5'],
      ['ann', 'gpt-5'],
      ['bob', 'gpt-5-mini'],
    ] as const)
      await explained(gw, (await send(gw, { 'x-caller': name }, { model })).id)
    await gw.reload(options)
    const { source, days, rows } = await told<Told>(gw, '/console/data/usage?days=2')
    assert.deepEqual([source, days.length, days[1]], ['memory', 2, today()])
    assert.deepEqual(
      rows.map(({ key, model, requests, input, output, cost }) => [key, model, requests, input, output, cost]),
      [
        ['ann', 'gpt-5', 2, 24, 60, null],
        ['bob', 'gpt-5-mini', 1, 12, 30, null],
      ],
    )
  })

  test('of so many days and no others can be asked for', async () => {
    await using gw = await gateway({ plugins: ['console'] })
    for (const days of ['0', '32', 'x', '1.5', ''])
      assert.equal((await fetch(`${gw.adminUrl}/console/data/usage?days=${days}`)).status, 400, days)
    assert.equal((await told<Told>(gw, '/console/data/usage')).days.length, 7)
  })
})

describe('usage with a database', () => {
  test('is what was billed, with its cost to the last digit, in days of UTC', async () => {
    await using database = await migratedDatabase()
    const client = new pg.Client(database.url)
    await client.connect()
    const insert = (at: string, key: string, cost: string) =>
      client.query(
        `INSERT INTO usage_logs (request_id, key_name, model, input_tokens, output_tokens, cache_read_tokens, actual_cost, created_at)
         VALUES (gen_random_uuid()::text, $1, 'gpt-5', 10, 5, 3, $2, $3)`,
        [key, cost, at],
      )
    await insert(`${today()}T00:00:00Z`, 'ann', '0.1000000001')
    await insert(`${today()}T00:00:01Z`, 'ann', '0.2')
    await insert('2020-01-01T00:00:00Z', 'ann', '7')
    await client.end()
    await using gw = await gateway({ plugins: ['console', 'openai'], database: database.url })
    await until(async () => (await fetch(`${gw.adminUrl}/console/data/usage`)).ok)
    const { source, rows } = await told<Told>(gw, '/console/data/usage?days=1')
    assert.equal(source, 'database')
    assert.deepEqual(rows, [
      { day: today(), key: 'ann', model: 'gpt-5', requests: 2, input: 20, output: 10, cache: 6, cost: '0.3000000001' },
    ])
  })

  test('that is down is an error of this part alone', async () => {
    await using gw = await gateway({
      plugins: ['console'],
      database: 'postgres://nobody:secret-canary@127.0.0.1:1/none',
    })
    const answer = await fetch(`${gw.adminUrl}/console/data/usage`)
    assert.equal(answer.status, 503)
    assert.doesNotMatch(await answer.text(), /canary/)
    assert.equal((await fetch(`${gw.adminUrl}/console/data/upstreams`)).status, 200)
  })
})

test('sessions tell how many found their upstream again, and how many were answered there', async () => {
  await using some = await upstreams({ a: fine, b: fine })
  await using gw = await gateway({ plugins: ['console', 'openai', 'sticky-session', 'failover'], upstreams: some.list })
  const read = () => told<Record<string, number | null>>(gw, '/console/data/sessions')
  assert.deepEqual(await read(), { exchanges: 0, sessions: 0, pinned: 0, kept: 0, hit_rate: null, kept_rate: null })
  for (const conversation of ['one', 'one', 'one', 'two'])
    await explained(gw, (await send(gw, {}, { prompt_cache_key: conversation })).id)
  assert.deepEqual(await read(), { exchanges: 4, sessions: 2, pinned: 2, kept: 2, hit_rate: 0.5, kept_rate: 1 })
})

test('a session that is let go may be answered anywhere', async () => {
  await using some = await upstreams({ a: fine, b: fine })
  // By its old key, which names no tenant, it would still be found.
  const sticky = { session_hash_dual_write_old: false, session_hash_read_old_fallback: false }
  await using gw = await gateway({ plugins: ['console', 'openai', { 'sticky-session': sticky }], upstreams: some.list })
  const turn = async (conversation: string) =>
    explained(gw, (await send(gw, {}, { prompt_cache_key: conversation })).id)
  for (const conversation of ['one', 'two']) await turn(conversation)
  const { session, pin } = await turn('one')
  assert.equal(pin, 'a')
  const { value } = await act(gw, `/sticky/flush?session=${encodeURIComponent(session ?? '')}`, {})
  assert.ok(Number(value.flushed) >= 1)
  assert.equal((await turn('two')).pin, 'a', 'another one stays')
  assert.equal((await turn('one')).pin, null)
})
