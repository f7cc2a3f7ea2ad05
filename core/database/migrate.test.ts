import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runner } from 'node-pg-migrate'
import pg from 'pg'
import { freshDatabase } from '../../test/postgres.ts'
import { silentLog } from '../observe/log.ts'
import { openDatabase, type Database } from './database.ts'
import { readMigrations, shippedMigrations } from './files.ts'
import { plan, status, up, type Planned } from './migrate.ts'
import { catalogOf, folderOf } from './migrations.fixture.ts'
import { MigrationError, type MigrationCode } from './problems.ts'
import { until } from './until.fixture.ts'

/** A database of its own, empty, for the length of `use`. */
async function withDatabase(use: (db: Database, url: string) => Promise<void>): Promise<void> {
  await using fresh = await freshDatabase()
  const db = openDatabase(fresh.url, silentLog)
  try {
    await use(db, fresh.url)
  } finally {
    await db.close()
  }
}

const shipped = { folder: shippedMigrations }
const fails = (code: MigrationCode, place: RegExp) => (error: unknown) => {
  assert.ok(error instanceof MigrationError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, place)
  return true
}

describe('the shipped migrations', () => {
  test('end in the same schema from every place on the way, and from the middle of a file outside a transaction', async () => {
    const { files } = await readMigrations(shippedMigrations)
    let whole: string[] = []
    await withDatabase(async (db) => {
      assert.deepEqual(
        await up(db, shipped),
        files.map(({ name }) => name),
      )
      whole = await catalogOf(db.query)
      assert.ok(whole.length > 200)
      assert.ok(whole.every((line) => !line.endsWith('valid f')))
    })
    for (let count = 1; count <= files.length; count++) {
      await withDatabase(async (db) => {
        await using half = await folderOf(
          Object.fromEntries(files.slice(0, count).map(({ file, text }) => [file, text])),
        )
        assert.equal((await up(db, { folder: half.path })).length, count)
        assert.equal((await up(db, shipped)).length, files.length - count)
        assert.deepEqual(await catalogOf(db.query), whole)
      })
    }
    await withDatabase(async (db) => {
      // The runner died in front of the last index of the last file outside a transaction.
      const place = files.findLastIndex(({ isOutsideTransaction }) => isOutsideTransaction)
      await using half = await folderOf(
        Object.fromEntries(files.slice(0, place + 1).map(({ file, text }) => [file, text])),
      )
      await up(db, { folder: half.path })
      await db.query('DELETE FROM pgmigrations WHERE name = $1', [files[place]!.name])
      await db.query('DROP INDEX ops_error_logs_code_created_at_idx')
      const left = files.slice(place).map(({ name }) => name)
      assert.deepEqual(await up(db, shipped), left)
      assert.deepEqual(await catalogOf(db.query), whole)
    })
  })

  test('change nothing the second time', async () => {
    await withDatabase(async (db) => {
      await up(db, shipped)
      const before = await db.query('SELECT oid, relfilenode, xmin::text FROM pg_class ORDER BY oid')
      assert.deepEqual(await up(db, shipped), [])
      assert.deepEqual(await plan(db, shipped), [])
      assert.deepEqual(await db.query('SELECT oid, relfilenode, xmin::text FROM pg_class ORDER BY oid'), before)
    })
  })

  for (const runners of [2, 8]) {
    test(`run once when ${runners} runners begin at once`, async () => {
      await withDatabase(async (db, url) => {
        const others = Array.from({ length: runners }, () => openDatabase(url, silentLog))
        try {
          const ran = await Promise.all(others.map((other) => up(other, shipped)))
          const names = (await readMigrations(shippedMigrations)).files.map(({ name }) => name)
          assert.deepEqual(ran.flat().toSorted(), names)
          assert.deepEqual((await status(db, shipped)).pending, [])
          const { rows } = await db.query('SELECT name FROM pgmigrations ORDER BY id')
          assert.deepEqual(
            rows,
            names.map((name) => ({ name })),
          )
        } finally {
          await Promise.all(others.map((other) => other.close()))
        }
      })
    })
  }
})

describe('history', () => {
  const files = { '0001_a.sql': 'CREATE TABLE a (b int)', '0002_b.sql': 'CREATE TABLE b (b int)' }

  test('keeps an applied file from being edited, but for its line ends', async () => {
    await withDatabase(async (db) => {
      await using folder = await folderOf(files)
      await up(db, { folder: folder.path })
      await folder.write('0001_a.sql', '\uFEFFCREATE TABLE a (b int)')
      await up(db, { folder: folder.path })
      await folder.write('0001_a.sql', 'CREATE TABLE a (b bigint)')
      await folder.write('0003_c.sql', 'CREATE TABLE c (b int)')
      await assert.rejects(up(db, { folder: folder.path }), fails('MIGRATION_EDITED', /0001_a\.sql .*when it ran/))
      await assert.rejects(plan(db, { folder: folder.path }), fails('MIGRATION_EDITED', /0001_a\.sql/))
      const { problems, pending } = await status(db, { folder: folder.path })
      assert.deepEqual([problems.map(({ code }) => code), pending], [['MIGRATION_EDITED'], ['0003_c']])
    })
  })

  test('misses a file that is gone', async () => {
    await withDatabase(async (db) => {
      await using folder = await folderOf(files)
      await up(db, { folder: folder.path })
      await folder.remove('0002_b.sql')
      await assert.rejects(up(db, { folder: folder.path }), fails('MIGRATION_MISSING', /^0002_b\.sql/))
    })
  })

  test('that goes further than the folder is well for who says so, as long as nothing of the folder is pending', async () => {
    await withDatabase(async (db) => {
      await using folder = await folderOf({ ...files, '0004_d.sql': 'CREATE TABLE d (b int)' })
      await up(db, { folder: folder.path })
      await folder.remove('0004_d.sql')
      const older = { folder: folder.path, isAheadFine: true }
      await assert.rejects(up(db, { folder: folder.path }), fails('MIGRATION_MISSING', /^0004_d\.sql/))
      assert.deepEqual([await up(db, older), (await status(db, older)).problems], [[], []])
      await folder.write('0003_c.sql', 'CREATE TABLE c (b int)')
      await assert.rejects(up(db, older), fails('MIGRATION_ORDER', /^0003_c\.sql/))
      await folder.remove('0003_c.sql')
      await folder.remove('0001_a.sql')
      await assert.rejects(up(db, older), fails('MIGRATION_MISSING', /^0001_a\.sql/))
    })
  })

  test('has no place for a file before those that have run', async () => {
    await withDatabase(async (db) => {
      await using folder = await folderOf({ '0002_b.sql': files['0002_b.sql'] })
      await up(db, { folder: folder.path })
      await folder.write('0001_a.sql', files['0001_a.sql'])
      await assert.rejects(up(db, { folder: folder.path }), fails('MIGRATION_ORDER', /^0001_a\.sql/))
    })
  })

  test('does not trust what another tool has run', async () => {
    await withDatabase(async (db, url) => {
      await using folder = await folderOf(files)
      const logger = { info() {}, warn() {}, error() {} }
      await runner({ databaseUrl: url, dir: folder.path, migrationsTable: 'pgmigrations', direction: 'up', logger })
      await assert.rejects(up(db, { folder: folder.path }), fails('MIGRATION_UNVERIFIED', /^0001_a\.sql/))
    })
  })

  test('is empty in an empty database, and asking for it makes nothing', async () => {
    await withDatabase(async (db) => {
      const { applied, pending, problems } = await status(db, shipped)
      assert.deepEqual([applied, problems], [[], []])
      assert.equal((await plan(db, shipped)).length, pending.length)
      assert.deepEqual(await catalogOf(db.query), [])
    })
  })
})

describe('a file that fails', () => {
  test('in a transaction leaves nothing behind, says where, and is run by the next run', async () => {
    await withDatabase(async (db) => {
      await using folder = await folderOf({
        '0001_a.sql': 'CREATE TABLE a (b int)',
        '0002_b.sql': 'CREATE TABLE b (b int);\n-- twice\nINSERT INTO b\nVALUES (1),\n  (no_such_column)',
        '0003_c.sql': 'CREATE TABLE c (b int)',
      })
      await assert.rejects(
        up(db, { folder: folder.path }),
        fails('MIGRATION_FAILED', /^0002_b\.sql:5 MIGRATION_FAILED .*42703 column "no_such_column"/),
      )
      const { rows } = await db.query(
        `SELECT to_regclass('a')::text AS a, to_regclass('b') AS b, to_regclass('c') AS c`,
      )
      assert.deepEqual(rows, [{ a: 'a', b: null, c: null }])
      await folder.write('0002_b.sql', 'CREATE TABLE b (b int)')
      assert.deepEqual(await up(db, { folder: folder.path }), ['0002_b', '0003_c'])
    })
  })

  test('its rules keeps every file from running', async () => {
    await withDatabase(async (db) => {
      await using folder = await folderOf({ '0001_a.sql': 'CREATE TABLE a (b int)', '0002_b_notx.sql': 'VACUUM' })
      await assert.rejects(up(db, { folder: folder.path }), fails('NOTX_MIXED', /^0002_b_notx\.sql:1/))
      await assert.rejects(plan(db, { folder: folder.path }), fails('NOTX_MIXED', /^0002_b_notx\.sql:1/))
      assert.deepEqual(await catalogOf(db.query), [])
    })
  })

  test('because its runner lost the connection is run by the next runner', async () => {
    await withDatabase(async (db) => {
      await using folder = await folderOf({
        '0001_a.sql': 'CREATE TABLE a (b int)',
        '0002_b.sql': 'CREATE TABLE b (b int); SELECT pg_terminate_backend(pg_backend_pid())',
      })
      await assert.rejects(up(db, { folder: folder.path }), fails('MIGRATION_FAILED', /^0002_b\.sql:1 /))
      await folder.write('0002_b.sql', 'CREATE TABLE b (b int)')
      assert.deepEqual(await up(db, { folder: folder.path }), ['0002_b'])
    })
  })
})

describe('a lock', () => {
  test('of another runner is waited for, but not for ever; its holder is named', async () => {
    await withDatabase(async (db) => {
      await db.session(async (holder) => {
        await holder.query('SELECT pg_advisory_lock(7241865325823964)')
        const said: string[] = []
        const options = { ...shipped, lockWait: 300, progress: (_: string, text: string) => said.push(text) }
        await assert.rejects(up(db, options), fails('MIGRATION_LOCKED', /waited 300 ms for process \d+ \(postern\)/))
        assert.match(said.join(), /waiting for process \d+/)
        const later = up(db, shipped)
        await holder.query('SELECT pg_advisory_unlock(7241865325823964)')
        assert.ok((await later).length > 0)
      })
    })
  })

  test('keeps the plain command of node-pg-migrate out', async () => {
    await withDatabase(async (db, url) => {
      await using folder = await folderOf({ '0001_a.sql': 'SELECT pg_sleep(0.5)' })
      const ours = up(db, { folder: folder.path })
      await until(
        async () =>
          (await db.query(`SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()`))
            .rowCount > 0,
      )
      const logger = { info() {}, warn() {}, error() {} }
      const options = { dir: folder.path, migrationsTable: 'pgmigrations', direction: 'up', logger } as const
      await assert.rejects(runner({ databaseUrl: url, ...options }), /Another migration is already running/)
      assert.deepEqual(await ours, ['0001_a'])
    })
  })

  test('on a table is waited for briefly, so that nobody queues behind it, and tried again', async () => {
    await withDatabase(async (db, url) => {
      await using folder = await folderOf({ '0001_a.sql': 'CREATE TABLE a (b int)' })
      await up(db, { folder: folder.path })
      await folder.write('0002_b.sql', 'CREATE TABLE b (b int); ALTER TABLE a ADD c int')
      const other = new pg.Client({ connectionString: url })
      await other.connect()
      try {
        await other.query('BEGIN; LOCK TABLE a')
        const brief = { folder: folder.path, lockTimeout: 50 }
        await assert.rejects(up(db, brief), fails('MIGRATION_FAILED', /^0002_b\.sql:1 .*55P03/))
        const release = (_: string, text: string) => void (/locked by others/.test(text) && other.query('ROLLBACK'))
        assert.deepEqual(await up(db, { ...brief, lockTimeout: 200, progress: release }), ['0002_b'])
      } finally {
        await other.end()
      }
    })
  })
})

test('a plan says what each statement would do to this database, and does none of it', async () => {
  await withDatabase(async (db) => {
    await using folder = await folderOf({ '0001_a.sql': 'CREATE TABLE a (b int, c int)' })
    await up(db, { folder: folder.path })
    await db.query('CREATE INDEX there ON a (b)')
    const before = await catalogOf(db.query)
    await folder.write(
      '0002_b_notx.sql',
      `CREATE INDEX CONCURRENTLY IF NOT EXISTS there ON a (b);
       CREATE INDEX CONCURRENTLY IF NOT EXISTS new ON a (c);
       -- rollback: CREATE INDEX CONCURRENTLY IF NOT EXISTS gone ON a (b, c)
       DROP INDEX CONCURRENTLY IF EXISTS gone;`,
    )
    await folder.write('0003_c.sql', 'ALTER TABLE a\nADD d int;')
    assert.deepEqual(await plan(db, { folder: folder.path }).then(brief), [
      ['0002_b_notx', '1 keep', '2 build', '4 nothing'],
      ['0003_c', '1 run'],
    ])
    assert.deepEqual(await catalogOf(db.query), before)
  })
})

function brief(planned: Planned[]): string[][] {
  return planned.map(({ name, statements }) => [name, ...statements.map(({ line, action }) => `${line} ${action}`)])
}
