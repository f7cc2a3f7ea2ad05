import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { databaseSink } from '../ops-capture/database-sink.ts'
import { record, table } from '../ops-capture/database.fixture.ts'
import { silentLog } from '../../core/observe/log.ts'
import { json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { until } from '../../test/redis.ts'
import { send, told, upstreams } from './console.fixture.ts'
import { filterIn } from './errors.ts'

interface Told {
  readonly file: string | null
  readonly database: boolean
  readonly problem: string | null
  readonly errors: readonly Record<string, unknown>[]
}

async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'postern-errors-'))
  return { file: join(path, 'errors.jsonl'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

const line = (exchange: string, more: object = {}) => `${JSON.stringify({ ...record({ exchange }), ...more })}\n`
const nothing = { database: false, problem: null, errors: [] }

describe('errors', () => {
  test('are what ops-capture has kept, with the exchange that the trail explains', async () => {
    await using place = await folder()
    await using some = await upstreams({ a: json(500, { error: { message: 'out of order' } }) })
    await using gw = await gateway({
      plugins: [{ console: { errors: place.file } }, 'openai', { 'ops-capture': { file: place.file } }],
      upstreams: some.list,
    })
    assert.deepEqual(await told<Told>(gw, '/console/data/errors'), { ...nothing, file: place.file })
    const { id } = await send(gw)
    await until(async () => (await told<Told>(gw, '/console/data/errors')).errors.length === 1)
    const [error] = (await told<Told>(gw, '/console/data/errors')).errors
    assert.deepEqual([error?.exchange, error?.status, error?.phase, error?.upstream], [id, 500, 'upstream', 'a'])
    assert.match(String(error?.message), /out of order/)
    assert.deepEqual([error?.request_body, error?.error_body], [undefined, undefined], 'a list has no bodies')
    assert.equal((await told<{ exchange: string }>(gw, `/explain/${id}`)).exchange, id)
    const whole = await told<Record<string, unknown>>(gw, `/console/data/error?id=${String(error?.id)}`)
    assert.deepEqual([whole.exchange, JSON.parse(String(whole.request_body))], [id, { model: 'gpt-5', messages: [] }])
    assert.equal((await fetch(`${gw.adminUrl}/console/data/error?id=nobody`)).status, 404)
  })

  test('are those of the database where there is one, and of the file beside it, each once', async () => {
    await using place = await folder()
    await using db = await table()
    await using gw = await gateway({ plugins: [{ console: { errors: place.file } }], database: db.url })
    const [one, other] = [record({ exchange: 'in-both' }), record({ exchange: 'in-database', phase: 'routing' })]
    await databaseSink(db.db, { write: () => Promise.reject(new Error('no')) }, silentLog).write([one, other])
    await writeFile(place.file, `${JSON.stringify(one)}\n${line('in-file')}`)
    await until(async () => (await told<Told>(gw, '/console/data/errors')).problem === null)
    const { errors, database } = await told<Told>(gw, '/console/data/errors')
    assert.equal(database, true)
    assert.deepEqual(errors.map(({ exchange }) => String(exchange)).toSorted(), ['in-both', 'in-database', 'in-file'])
    const sums = await told<{ count: number; codes: object[] }>(gw, '/console/data/errors/sums?phase=upstream')
    assert.deepEqual([sums.count, sums.codes], [2, [{ name: 'server_error', count: 2 }]])
  })

  test('say why they may not be all while the database is down', async () => {
    await using place = await folder()
    await writeFile(place.file, line('outage'))
    const database = 'postgres://nobody@127.0.0.1:9/none'
    await using gw = await gateway({ plugins: [{ console: { errors: place.file } }], database })
    const { errors, problem } = await told<Told>(gw, '/console/data/errors')
    assert.deepEqual(
      errors.map(({ exchange }) => exchange),
      ['outage'],
    )
    assert.match(problem ?? '', /the database/)
  })

  test('are those that were asked for', async () => {
    await using place = await folder()
    await using gw = await gateway({ plugins: [{ console: { errors: place.file } }] })
    const old = new Date(Date.now() - 3 * 86_400_000).toISOString()
    await writeFile(
      place.file,
      line('old', { at: old }) + line('a', { status: 429, upstream: 'x' }) + line('b', { code: 'c&d' }),
    )
    for (const [query, exchanges] of [
      ['', 'ba'],
      ['days=7', 'baold'],
      ['status=429', 'a'],
      ['upstream=x&phase=upstream&owner=upstream', 'a'],
      ['code=c%26d', 'b'],
      ['exchange=a&code=', 'a'],
    ] as const) {
      const { errors } = await told<Told>(gw, `/console/data/errors?${query}`)
      assert.equal(errors.map(({ exchange }) => exchange).join(''), exchanges, query)
    }
    for (const query of ['days=0', 'days=99', 'days=x', 'status=abc', 'status=-1']) {
      assert.equal((await fetch(`${gw.adminUrl}/console/data/errors?${query}`)).status, 400, query)
      assert.equal((await fetch(`${gw.adminUrl}/console/data/errors/sums?${query}`)).status, 400, query)
    }
    assert.deepEqual(filterIn(new URLSearchParams('days=1&status=&phase='), 86_400_000), { since: 0 })
  })

  test('are not looked for where no file is named', async () => {
    await using gw = await gateway({ plugins: [{ console: { errors: '' } }] })
    assert.deepEqual(await told<Told>(gw, '/console/data/errors'), { ...nothing, file: null })
  })

  test('that cannot be read are an error', async () => {
    await using place = await folder()
    await mkdir(place.file)
    await using gw = await gateway({ plugins: [{ console: { errors: place.file } }] })
    assert.equal((await fetch(`${gw.adminUrl}/console/data/errors`)).status, 503)
  })
})
