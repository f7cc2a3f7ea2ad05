import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { freshDatabase, scratchFolder } from '../../test/postgres.ts'
import { folderOf } from '../database/migrations.fixture.ts'
import { migrate, type MigrateCommandOptions } from './migrate.ts'

/** A command, and what it wrote. */
async function run(options: Partial<MigrateCommandOptions>): Promise<{ code: number; told: string; said: string }> {
  const told: string[] = []
  const said: string[] = []
  const out = { tell: (line: string) => void told.push(line), say: (line: string) => void said.push(line) }
  const code = await migrate({ config: 'gateway.yaml', json: false, action: undefined, ...options }, out)
  return { code, told: told.join('\n'), said: said.join('\n') }
}

describe('postern migrate', () => {
  test('says what is pending, plans it, runs it, and then has nothing to do', async () => {
    await using db = await freshDatabase()
    await using files = await folderOf({
      '0001_a.sql': '-- a table\nCREATE TABLE a (\n  b int -- a column\n);',
      '0002_b_notx.sql': 'CREATE INDEX CONCURRENTLY IF NOT EXISTS a_b ON a (b)',
    })
    const call = (action: string) => run({ action, database: db.url, folder: files.path })

    const before = await call('status')
    assert.deepEqual(
      [before.code, before.told.split('\n')],
      [3, ['0001_a', '0002_b_notx'].map((name) => `pending${' '.repeat(19)}${name}`)],
    )
    const planned = await call('plan')
    assert.equal(planned.code, 0)
    assert.deepEqual(planned.told.split('\n'), [
      '0001_a  in one transaction',
      '     2  CREATE TABLE a ( b int )',
      '0002_b_notx  statement by statement, outside a transaction',
      '     1  build: CREATE INDEX CONCURRENTLY IF NOT EXISTS a_b ON a (b)',
    ])
    const ran = await call('up')
    assert.deepEqual([ran.code, ran.told], [0, '2 run: 0001_a, 0002_b_notx'])
    assert.equal(ran.said, '0001_a.sql: 1 statement in a transaction\n0002_b_notx.sql: line 1: index built')
    assert.deepEqual(await call('up'), { code: 0, told: 'Nothing to do.', said: '' })
    assert.deepEqual(await call('plan'), { code: 0, told: 'Nothing to do.', said: '' })
    const after = await call('status')
    assert.equal(after.code, 0)
    assert.match(after.told, /^\d{4}-\d\d-\d\dT[\d:.]+Z {2}0001_a\n.* {2}0002_b_notx$/)
  })

  test('refuses with every problem in its place, as text and as JSON', async () => {
    await using db = await freshDatabase()
    await using files = await folderOf({ '0001_a.sql': 'SELECT 1;\nVACUUM', '0002_b_notx.sql': 'SELECT 1' })
    const options = { database: db.url, folder: files.path }
    for (const action of ['plan', 'up']) {
      const { code, said } = await run({ ...options, action })
      assert.equal(code, 1)
      assert.match(said, /^0001_a\.sql:2 TX_OUTSIDE_ONLY .*\n0002_b_notx\.sql:1 NOTX_MIXED /)
    }
    const { code, told } = await run({ ...options, action: 'up', json: true })
    const { ok, problems } = JSON.parse(told) as {
      ok: boolean
      problems: { code: string; file: string; line: number }[]
    }
    assert.deepEqual([code, ok], [1, false])
    assert.deepEqual(
      problems.map(({ code, file, line }) => `${file}:${line} ${code}`),
      ['0001_a.sql:2 TX_OUTSIDE_ONLY', '0002_b_notx.sql:1 NOTX_MIXED'],
    )
    assert.equal((await run({ ...options, action: 'status' })).code, 1)
  })

  test('knows what it was asked for, and says what it knows otherwise', async () => {
    for (const action of [undefined, 'down', 'toString']) {
      assert.deepEqual(await run({ action }), {
        code: 2,
        told: '',
        said: 'postern: migrate what? postern migrate plan|up|status',
      })
    }
  })

  test('needs a database, and says how to name one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-cli-'))
    const config = join(folder, 'gateway.yaml')
    await writeFile(config, 'listen: 127.0.0.1:0\nplugins: []\n')
    const { code, said } = await run({ action: 'status', config })
    assert.equal(code, 1)
    assert.match(said, /names no database: add "database: postgres:\/\/…" to it, or call with --database URL/)
    const gone = await run({ action: 'status', config: join(folder, 'none.yaml') })
    assert.equal(gone.code, 1)
    assert.match(gone.said, /there is no such file/)
    await rm(folder, { recursive: true })
  })

  test('takes the database of gateway.yaml, an embedded one as well', async () => {
    const folder = scratchFolder('postern-cli-')
    const config = join(folder, 'gateway.yaml')
    await using files = await folderOf({ '0001_a.sql': 'CREATE TABLE a (b int)' })
    await writeFile(config, `plugins: []\ndatabase: "embedded:${join(folder, 'pg')}"\n`)
    assert.equal((await run({ action: 'up', config, folder: files.path })).told, '1 run: 0001_a')
    assert.equal((await run({ action: 'status', config, folder: files.path })).code, 0)
    await using db = await freshDatabase()
    await writeFile(config, `plugins: []\ndatabase: "${db.url}"\n`)
    assert.equal((await run({ action: 'status', config, folder: files.path })).code, 3)
    await rm(folder, { recursive: true })
  })

  test('says why a database cannot be asked', async () => {
    await using db = await freshDatabase()
    const { code, said } = await run({ action: 'up', database: db.url.replace(db.name, 'there_is_none') })
    assert.deepEqual([code, said], [1, 'postern: database "there_is_none" does not exist'])
    const other = await run({ action: 'up', database: 'mysql://a' })
    assert.deepEqual([other.code, other.told], [1, ''])
    assert.match(other.said, /^postern: a database is `embedded`, or a URL postgres:\/\/…$/)
  })
})
