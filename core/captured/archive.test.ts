/** What is asked for is found, wherever it stands: in a real database, in files, in both. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { databaseSink } from '../../plugins/ops-capture/database-sink.ts'
import { record, table } from '../../plugins/ops-capture/database.fixture.ts'
import { silentLog } from '../observe/log.ts'
import { listErrors, sumErrors, type Places } from './archive.ts'
import { recordId, type CapturedError } from './captured.ts'
import type { Filter } from './filter.ts'
import { linesFromEnd } from './lines.ts'

async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'postern-archive-'))
  return { path, file: join(path, 'errors.jsonl'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) }
}

const noFile = { write: () => Promise.reject(new Error('the database has to take it')) }
const lines = (records: readonly CapturedError[]) => records.map((one) => `${JSON.stringify(one)}\n`).join('')
const noon = Date.parse('2026-05-01T12:00:00.000Z')
const minute = 60_000
const at = (minutes: number) => new Date(noon + minutes * minute).toISOString()

const all = [
  record({ exchange: 'a', at: at(-5000), code: 'old' }),
  record({ exchange: 'b', at: at(-90), upstream: 'x', status: 429, type: 'rate_limit_error' }),
  record({ exchange: 'c', at: at(-30), phase: 'routing', owner: 'gateway', upstream: null, code: 'no_upstream' }),
  record({ exchange: 'd', at: at(-20), upstream: 'x', type: null }),
  record({ exchange: 'e', at: at(-10), recovered: true, status: 200 }),
]
const questions: readonly (readonly [Filter, string])[] = [
  [{}, 'edcba'],
  [{ since: noon - 60 * minute }, 'edc'],
  [{ since: noon - 30 * minute, until: noon - 10 * minute }, 'dc'],
  [{ status: 429 }, 'b'],
  [{ upstream: 'x' }, 'db'],
  [{ phase: 'routing' }, 'c'],
  [{ owner: 'upstream' }, 'edba'],
  [{ code: 'no_upstream' }, 'c'],
  // It has a code, which goes before its type.
  [{ code: 'server_error' }, 'e'],
  [{ exchange: 'a' }, 'a'],
  [{ upstream: 'x', status: 500 }, 'd'],
  [{ upstream: "'; DROP TABLE ops_error_logs; --" }, ''],
]

describe('captured errors', () => {
  test('are the same from the database, from files, and from both', async () => {
    await using db = await table()
    await using empty = await table()
    await using place = await folder()
    await using other = await folder()
    await databaseSink(db.db, noFile, silentLog).write(all)
    await databaseSink(empty.db, noFile, silentLog).write(all.slice(0, 3))
    await writeFile(`${place.file}.2`, lines(all.slice(0, 1)))
    await writeFile(`${place.file}.1`, lines(all.slice(1, 3)))
    await writeFile(place.file, lines(all.slice(3)))
    await writeFile(other.file, lines(all.slice(2)))
    const everywhere: readonly (readonly [string, Places])[] = [
      ['rows', { database: db.db, file: null }],
      ['lines', { database: null, file: place.file }],
      ['both', { database: empty.db, file: other.file }],
    ]
    for (const [where, places] of everywhere) {
      for (const [filter, expected] of questions) {
        const { found } = await listErrors(places, filter, 100)
        const told = found.map(({ exchange }) => exchange).join('')
        assert.equal(told, expected, `${where} ${JSON.stringify(filter)}`)
        assert.equal((await sumErrors(places, filter)).found.count, expected.length, where)
      }
      assert.equal((await listErrors(places, {}, 2)).found.length, 2)
    }
    const [rows, ...rest] = await Promise.all(everywhere.map(async ([, places]) => sumErrors(places, {})))
    for (const other of rest) assert.deepEqual(other, rows)
    assert.deepEqual(rows?.found.hours.at(-1), {
      at: '2026-05-01T11:00:00.000Z',
      count: 3,
      phases: { routing: 1, upstream: 2 },
    })
    assert.deepEqual(rows?.found.codes[0], { name: null, count: 1 })
  })

  test('come back from a row as they went in', async () => {
    await using db = await table()
    const attempt = { attempt: 1, at_unix_ms: 1, upstream: 'o', kind: 'http_error', status: 429, error: null } as const
    const whole = record({
      attempts: [{ ...attempt, request_id: 'r', ms: 2.5, message: 'slow' }],
      upstream_statuses: [429],
      passed_over: [{ upstream: 'p', reason: 'is resting' }],
      key: 'laptop',
      key_id: 2 ** 40,
      user_id: 3,
      group_id: 4,
      stream: null,
      client: '2001:db8::1',
      ms: 12.3,
      headers: { 'anthropic-version': '2023-06-01' },
      error_body: 'no',
      request_body: '{"a":1,"a":2}',
      request_bytes: 13,
    })
    await databaseSink(db.db, noFile, silentLog).write([whole, record({ exchange: 'y', client: '' })])
    const [found] = (await listErrors({ database: db.db, file: null }, { exchange: whole.exchange }, 10)).found
    assert.deepEqual(found, whole)
  })

  test('in a file of anybody’s hold no secret, and what is no record is passed over', async () => {
    await using place = await folder()
    const key = 'sk-canary0123456789abcdef'
    const bad = record({
      message: key,
      path: `/x?key=${key}`,
      key,
      headers: { 'anthropic-beta': key },
      error_body: key,
    })
    const body = JSON.stringify({
      ...bad,
      request_body: { api_key: key },
      status: 'x',
      attempts: [7, { message: key }],
    })
    await writeFile(place.file, `null\n[]\n7\n{"at":7}\n{"at":"never"}\n${body}\n{"torn":\n\n`)
    const { found } = await listErrors({ database: null, file: place.file }, {}, 10)
    assert.equal(found.length, 1)
    assert.ok(!JSON.stringify(found).includes('canary'), JSON.stringify(found))
    assert.equal(found[0]?.status, 0)
  })

  test('are read no further than they have to be', async () => {
    await using place = await folder()
    await writeFile(place.file, lines(all))
    // Whoever read on would fail here.
    await mkdir(`${place.file}.1`)
    const places = { database: null, file: place.file }
    assert.equal((await listErrors(places, {}, 5)).found.length, 5)
    assert.equal((await listErrors(places, { since: noon - 60 * minute }, 100)).found.length, 3)
    await assert.rejects(listErrors(places, {}, 100), { code: 'EISDIR' })
  })
})

test('lines come from the end, whatever their lengths', async () => {
  await using place = await folder()
  const line = fc.string({ minLength: 1, maxLength: 40 }).map((text) => text.replaceAll(/[\r\n]/g, 'ü') || 'x')
  const texts = fc.array(
    fc.oneof({ weight: 9, arbitrary: line }, { weight: 1, arbitrary: fc.constant('é'.repeat(200_000)) }),
  )
  await fc.assert(
    fc.asyncProperty(texts, fc.boolean(), async (some, isEnded) => {
      const wanted = some.map((text) => Buffer.from(text).toString())
      await writeFile(place.file, wanted.join('\n') + (isEnded ? '\n' : ''))
      assert.deepEqual(await readAll(place.file), wanted.toReversed())
    }),
    { numRuns: 50 },
  )
  assert.deepEqual(await readAll(join(place.path, 'none')), [])
})

async function readAll(path: string): Promise<string[]> {
  const some: string[] = []
  for await (const one of linesFromEnd(path)) some.push(one)
  return some
}

test('names of records sort as time does', () => {
  const names = [0, 1, 35, 36, Date.now(), Date.now() + 1e12].map(recordId)
  assert.deepEqual(names.toSorted(), names)
  assert.ok(names.every((name) => /^[0-9a-z]{14}$/.test(name)))
})
