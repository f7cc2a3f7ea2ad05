import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import pg from 'pg'
import { freshDatabase } from '../../test/postgres.ts'
import { silentLog } from '../observe/log.ts'
import { openDatabase, type Database } from './database.ts'
import { up } from './migrate.ts'
import { folderOf, indexOf, type TestFolder } from './migrations.fixture.ts'
import { MigrationError, type MigrationCode } from './problems.ts'

const build = `CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS a_b ON a (b)
  WHERE c = 'x'`

/** A database with a table of 500 rows, and a folder whose second file builds an index on it. */
async function withTable(use: (db: Database, folder: TestFolder, other: pg.Client) => Promise<void>): Promise<void> {
  await using fresh = await freshDatabase()
  await using folder = await folderOf({ '0001_a.sql': 'CREATE TABLE a (b int, c varchar(9))' })
  const db = openDatabase(fresh.url, silentLog)
  const other = new pg.Client({ connectionString: fresh.url })
  await other.connect()
  try {
    await up(db, { folder: folder.path })
    await db.query(`INSERT INTO a SELECT n, 'x' FROM generate_series(1, 500) n`)
    await folder.write('0002_b_notx.sql', build)
    await use(db, folder, other)
  } finally {
    await other.end()
    await db.close()
  }
}

const fails = (code: MigrationCode, place: RegExp) => (error: unknown) => {
  assert.ok(error instanceof MigrationError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, place)
  return true
}

/** Runs, and hears what happened. */
async function told(db: Database, folder: TestFolder, lockWait = 5000): Promise<string> {
  const said: string[] = []
  await up(db, { folder: folder.path, lockWait, progress: (file, text) => said.push(`${file} ${text}`) })
  return said.join('\n')
}

describe('an index', () => {
  test('that an interrupted build left behind is dropped and built again', async () => {
    await withTable(async (db, folder) => {
      await db.query(`INSERT INTO a VALUES (1, 'x')`)
      await assert.rejects(db.query(build), { code: '23505' })
      assert.equal((await indexOf(db.query, 'a_b'))?.isValid, false)
      await db.query('DELETE FROM a WHERE ctid = (SELECT max(ctid) FROM a)')
      // IF NOT EXISTS alone sees nothing to do, and says that all is well.
      await db.query(build)
      assert.equal((await indexOf(db.query, 'a_b'))?.isValid, false)
      assert.match(await told(db, folder), /0002_b_notx\.sql line 1: an invalid index was dropped, and built again/)
      assert.equal((await indexOf(db.query, 'a_b'))?.isValid, true)
    })
  })

  test('that cannot be built leaves nothing behind, says why, and is built by the next run', async () => {
    await withTable(async (db, folder) => {
      await db.query(`INSERT INTO a VALUES (1, 'x')`)
      const refused = fails('MIGRATION_FAILED', /^0002_b_notx\.sql:1 .*23505 could not create unique index "a_b"/)
      await assert.rejects(up(db, { folder: folder.path }), refused)
      assert.equal(await indexOf(db.query, 'a_b'), null)
      await db.query('DELETE FROM a WHERE ctid = (SELECT max(ctid) FROM a)')
      assert.match(await told(db, folder), /index built/)
      assert.equal((await indexOf(db.query, 'a_b'))?.isValid, true)
    })
  })

  test('that is there with the same definition is kept, however it was written', async () => {
    await withTable(async (db, folder) => {
      await db.query(`CREATE UNIQUE INDEX a_b ON public.a USING btree (b ASC NULLS LAST) WHERE ((c)::text = 'x'::text)`)
      assert.match(await told(db, folder), /line 1: the index is there already/)
    })
  })

  for (const [how, sql] of [
    ['other columns', `CREATE UNIQUE INDEX a_b ON a (b, c) WHERE c = 'x'`],
    ['another condition', `CREATE UNIQUE INDEX a_b ON a (b) WHERE c = 'y'`],
    ['no condition', 'CREATE UNIQUE INDEX a_b ON a (b)'],
    ['duplicates', `CREATE INDEX a_b ON a (b) WHERE c = 'x'`],
    ['another order', `CREATE UNIQUE INDEX a_b ON a (b DESC) WHERE c = 'x'`],
    ['another table', `CREATE TABLE d (b int, c varchar(9)); CREATE UNIQUE INDEX a_b ON d (b) WHERE c = 'x'`],
    ['no index at all', 'CREATE TABLE a_b (b int)'],
  ] as const) {
    test(`of the same name with ${how} is reported, not taken for it`, async () => {
      await withTable(async (db, folder) => {
        await db.query(sql)
        await assert.rejects(up(db, { folder: folder.path }), fails('INDEX_DIFFERS', /^0002_b_notx\.sql:1 /))
        assert.equal((await db.query(`SELECT FROM pg_class WHERE relname = 'a_b'`)).rowCount, 1)
      })
    })
  }

  test('that another connection is building is waited for, and not dropped', async () => {
    await withTable(async (db, folder, other) => {
      const { building } = await holdBuild(db, other)
      const brief = { folder: folder.path, lockWait: 300 }
      await assert.rejects(up(db, brief), fails('INDEX_BUSY', /^0002_b_notx\.sql:1 .*a_b/))
      const ours = told(db, folder)
      await other.query('COMMIT')
      assert.match(await ours, /the index is there already/)
      await building
      assert.equal((await indexOf(db.query, 'a_b'))?.isValid, true)
    })
  })

  test('that is not there need not be dropped', async () => {
    await withTable(async (db, folder) => {
      const drop = '-- rollback: CREATE INDEX CONCURRENTLY IF NOT EXISTS x ON a (b)\nDROP INDEX CONCURRENTLY IF EXISTS'
      await folder.write('0003_c_notx.sql', `${drop} c_d; ${drop} public.d_e`)
      assert.match(await told(db, folder), /line 2: there is no such index\n.*line 3: there is no such index/)
    })
  })

  test('in a schema of its own, under a name that needs quotes, is found again', async () => {
    await withTable(async (db, folder) => {
      await folder.write('0001_a.sql', 'CREATE TABLE a (b int, c varchar(9))')
      await folder.write(
        '0002_b_notx.sql',
        'CREATE INDEX CONCURRENTLY IF NOT EXISTS "A b""c" ON "S 1"."T ""2" /* here */ ("Col", lower("Text"))',
      )
      await db.query(`CREATE SCHEMA "S 1"; CREATE TABLE "S 1"."T ""2" ("Col" int, "Text" text)`)
      assert.match(await told(db, folder), /index built/)
      await db.query(`DELETE FROM pgmigrations WHERE name = '0002_b_notx'`)
      assert.match(await told(db, folder), /is there already/)
    })
  })
})

test('while an index is built, its progress is told', async () => {
  await withTable(async (db, folder, other) => {
    await other.query('BEGIN; INSERT INTO a VALUES (1000)')
    const said: string[] = []
    const tell = (_: string, text: string) => {
      said.push(text)
      if (text.startsWith('a_b: waiting')) void other.query('COMMIT')
    }
    await up(db, { folder: folder.path, progress: tell })
    assert.match(said.join('\n'), /a_b: waiting for writers before build.*\n(.*\n)*line 1: index built/)
  })
})

/** Has the index built by a connection that cannot end before `other` commits; resolves when it is under way. */
async function holdBuild(db: Database, other: pg.Client): Promise<{ building: Promise<void> }> {
  await other.query('BEGIN; INSERT INTO a VALUES (1000)')
  const building = db.session(async ({ query }) => void (await query(build)))
  const isUnderWay = async () =>
    (await db.query('SELECT FROM pg_stat_progress_create_index WHERE index_relid <> 0')).rowCount
  while ((await isUnderWay()) === 0);
  return { building }
}
