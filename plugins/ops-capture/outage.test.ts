/** Captured errors while their database is away, or too full of them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { findErrors, listErrors, recordId, sumErrors, type CapturedError } from 'postern/plugin'
import { openDatabase } from '../../core/database/database.ts'
import { sweep } from '../../core/database/janitor.ts'
import { silentLog } from '../../core/observe/log.ts'
import { json } from '../../test/fake-upstream.ts'
import { ownServer } from '../../test/postgres.ts'
import { databaseSink } from './database-sink.ts'
import { record, table, until } from './database.fixture.ts'
import { readLines, scene } from './scene.test.ts'

const failing = json(500, { error: { type: 'server_error', message: 'it broke' } })
const day = 86_400_000

describe('a database that is killed under load', () => {
  test('costs no record: the file takes over, and gives back without a restart', async () => {
    // What was committed stays, as it does on anybody's server.
    await using server = await ownServer({ settings: { synchronous_commit: 'on' } })
    await using it = await scene(failing, {}, { database: server.url })
    const said = (words: string) => it.gw.records.some(({ message }) => message === words)
    const exchanges: string[] = []
    const ask = async () => {
      const answer = await it.ask()
      assert.equal(answer.status, 500)
      await answer.text()
      exchanges.push(answer.headers.get('x-postern-exchange')!)
    }
    const isAsking = { until: performance.now() + 20_000 }
    const load = (async () => {
      while (performance.now() < isAsking.until) await Promise.all(Array.from({ length: 4 }, ask))
    })()
    const isUp = () => it.gw.sidecar.server.gateway.backing.database?.state === 'up'
    await until('a schema', isUp)
    const before = exchanges.length
    await until('rows', () => exchanges.length > before + 40)
    await server.kill()
    await until('lines', async () => (await readLines(it.file)).length > 0)
    assert.ok(said('captured errors go into the file: the database does not take them'))
    await server.start()
    await until('the database again', () => said('captured errors go into the database again'))
    isAsking.until = 0
    await load
    await it.gw.stop()

    const db = openDatabase(server.url, silentLog)
    await db.ready()
    const places = { database: db, file: it.file }
    const { found, problem } = await listErrors(places, {}, 1_000_000)
    const { found: summary } = await sumErrors(places, {})
    const rows = await listErrors({ ...places, file: null }, {}, 1_000_000)
    await db.close()
    assert.equal(problem, null)
    assert.ok(rows.found.length > 0 && rows.found.length < exchanges.length, 'both have some')
    assert.deepEqual(found.map(({ exchange }) => exchange).toSorted(), exchanges.toSorted(), 'each of them, once')
    assert.equal(summary.count, exchanges.length)
    assert.ok(!said('captured errors were lost'))
  })

  test('from the start costs none either, and asks the client to wait for nothing', async () => {
    await using it = await scene(failing, {}, { database: 'postgres://nobody@127.0.0.1:9/none' })
    assert.equal((await it.ask()).status, 500)
    const lines = await it.lines()
    assert.equal(lines.length, 1)
    assert.equal(lines[0]?.message, 'it broke')
  })
})

describe('the database’s sink', () => {
  const fallback = () => {
    const batches: (readonly CapturedError[])[] = []
    return { batches, sink: { write: async (batch: readonly CapturedError[]) => void batches.push(batch) } }
  }

  test('hands over to the file what PostgreSQL refuses, and writes the rest of the batch', async () => {
    await using db = await table()
    const { batches, sink } = fallback()
    const all = Array.from({ length: 20 }, (_, at) => record({ exchange: `x${at}` }))
    const bad = [record({ message: 'x'.repeat(3000) }), record({ status: 100_000 })]
    await databaseSink(db.db, sink, silentLog).write([...all.slice(0, 7), bad[0]!, ...all.slice(7), bad[1]!])
    assert.deepEqual(batches, [bad])
    assert.equal((await db.records()).length, 20)
  })

  test('writes a batch once, however often it is told of it', async () => {
    await using db = await table()
    const { batches, sink } = fallback()
    const batch = [record(), record()]
    for (let times = 0; times < 3; times++) await databaseSink(db.db, sink, silentLog).write(batch)
    assert.equal((await db.records()).length, 2)
    assert.deepEqual(batches, [])
  })
})

describe('records that are too old', () => {
  const seed = (count: number, days: number) =>
    `INSERT INTO ops_error_logs (record_id, status_code, created_at)
     SELECT 'old' || ${days} || 'x' || n, 500, now() - ${days} * interval '1 day' FROM generate_series(1, ${count}) n`

  test('are deleted while the gateway runs, and the others stay', async () => {
    await using db = await table()
    await db.db.query(seed(12_000, 31))
    await db.db.query(seed(3, 29))
    await using it = await scene(failing, {}, { database: db.url })
    await until('an empty past', async () => (await db.records()).length === 3)
    const said = () => it.gw.records.find(({ message }) => message === 'rows that had become too old were deleted')
    await until('a word of it', () => said() !== undefined)
    assert.equal(said()?.rows, 12_000)
    await (await it.ask()).text()
    await db.holds(4)
  })

  test('go a few at a time, by one sidecar, past rows that somebody holds', async () => {
    await using db = await table()
    await db.db.query(seed(1000, 31))
    const expiring = { table: 'ops_error_logs', column: 'created_at', keep: 30 * day }
    const { signal } = new AbortController()
    const held = Promise.withResolvers<void>()
    const done = Promise.withResolvers<void>()
    const holding = db.db.transaction(async (query) => {
      await query(`SELECT 1 FROM ops_error_logs WHERE record_id = 'old31x1' FOR UPDATE`)
      held.resolve()
      await done.promise
    })
    await held.promise
    const sums = await Promise.all([1, 2, 3].map(() => sweep(db.db, expiring, signal, 100)))
    // Whoever finds another at work leaves it to that one; all but the row that is held are gone in the end.
    while ((await db.records()).length > 1) sums.push(await sweep(db.db, expiring, signal, 100))
    assert.equal(
      sums.reduce((sum, rows) => sum + rows, 0),
      999,
    )
    done.resolve()
    await holding
    assert.equal(await sweep(db.db, expiring, signal, 100), 1)
  })

  test('are left alone by a gateway that has retired', async () => {
    await using db = await table()
    await db.db.query(seed(10, 31))
    const expiring = { table: 'ops_error_logs', column: 'created_at', keep: 30 * day }
    assert.equal(await sweep(db.db, expiring, AbortSignal.abort(), 100), 0)
    assert.equal((await db.records()).length, 10)
  })
})

test('one record is found by its own name, and by that of its exchange, wherever it stands', async () => {
  await using db = await table()
  await using it = await scene(failing)
  await (await it.ask()).text()
  const [line] = await it.lines()
  const row = record({ exchange: line!.exchange, at: new Date(Date.now() + 1000).toISOString() })
  await databaseSink(db.db, { write: () => Promise.reject(new Error('no')) }, silentLog).write([row])
  const places = { database: db.db, file: it.file }
  const ids = async (name: string) => (await findErrors(places, name, 10)).found.map(({ id }) => id)
  assert.deepEqual(await ids(line!.id), [line!.id])
  assert.deepEqual(await ids(row.id), [row.id])
  assert.deepEqual(await ids(row.exchange), [row.id, line!.id])
  assert.deepEqual(await ids(recordId(0)), [])
})
