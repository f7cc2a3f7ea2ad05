import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { migratedDatabase } from '../../test/postgres.ts'
import { silentLog } from '../observe/log.ts'
import { openDatabase, type Database } from './database.ts'
import { readMigrations, shippedMigrations } from './files.ts'
import { observe, plan, status, up } from './migrate.ts'
import { folderOf, indexOf, type TestFolder } from './migrations.fixture.ts'

const drop = `-- rollback: CREATE INDEX CONCURRENTLY IF NOT EXISTS users_deleted_at ON users (deleted_at)
DROP INDEX CONCURRENTLY IF EXISTS users_deleted_at;`

/** A migrated database with an index on `deleted_at` alone, and a folder that wants it gone. */
async function withOldIndex(use: (db: Database, folder: TestFolder) => Promise<void>): Promise<void> {
  await using fresh = await migratedDatabase()
  const { files } = await readMigrations(shippedMigrations)
  await using folder = await folderOf({
    ...Object.fromEntries(files.map(({ file, text }) => [file, text])),
    '9001_drop_notx.sql': drop,
    '9002_after.sql': 'CREATE TABLE after_it (a int)',
  })
  const db = openDatabase(fresh.url, silentLog)
  try {
    await db.query('CREATE INDEX users_deleted_at ON users (deleted_at)')
    await use(db, folder)
  } finally {
    await db.close()
  }
}

/** As if the last `days` days had been observed, each with this number of scans. */
async function remember(db: Database, days: number, scans: (age: number) => number, gap = -1): Promise<void> {
  for (let age = 0; age <= days; age++) {
    if (age === gap) continue
    await db.query(
      `INSERT INTO gate_counters (gate, name, day, value) VALUES ('index_scans', '"users_deleted_at"', (now() AT TIME ZONE 'UTC')::date - $1::int, $2)
       ON CONFLICT (gate, name, day) DO UPDATE SET value = excluded.value`,
      [age, scans(age)],
    )
  }
}

const heldBy = async (db: Database, folder: TestFolder) =>
  (await plan(db, { folder: folder.path })).find(({ name }) => name === '9001_drop_notx')?.held

describe('an index that is to be dropped', () => {
  test('stays, and its file waits, until it was seen without a scan for seven days', async () => {
    await withOldIndex(async (db, folder) => {
      const said: string[] = []
      const progress = (file: string, text: string) => said.push(`${file} ${text}`)
      assert.deepEqual(await up(db, { folder: folder.path, progress }), [])
      assert.deepEqual(said, [
        '9001_drop_notx.sql held: "users_deleted_at" has been seen without a scan for 0 of 7 days',
      ])
      const { pending, due } = await status(db, { folder: folder.path })
      assert.deepEqual([pending, due], [['9001_drop_notx', '9002_after'], []])
      const { rows } = await db.query('SELECT gate, value FROM gate_counters')
      assert.deepEqual(rows, [{ gate: 'index_scans', value: 0 }], 'the first day has been written down')

      await remember(db, 6, () => 0)
      assert.match(String(await heldBy(db, folder)), /6 of 7 days/)
      await remember(db, 7, () => 0)
      assert.deepEqual((await status(db, { folder: folder.path })).due, ['9001_drop_notx', '9002_after'])
      assert.deepEqual(await up(db, { folder: folder.path }), ['9001_drop_notx', '9002_after'])
      assert.equal(await indexOf(db.query, 'users_deleted_at'), null)
    })
  })

  test('is observed once a day, however often it is asked for', async () => {
    await withOldIndex(async (db, folder) => {
      await observe(db, { folder: folder.path })
      await observe(db, { folder: folder.path })
      assert.equal((await db.query('SELECT FROM gate_counters')).rowCount, 1)
    })
  })

  test('waits from the last day that saw a scan, a gap, or a reset of the statistics', async () => {
    await withOldIndex(async (db, folder) => {
      await remember(db, 20, (age) => (age > 3 ? 5 : 0))
      assert.match(String(await heldBy(db, folder)), /3 of 7 days/)
      await db.query('DELETE FROM gate_counters')
      await remember(db, 20, () => 0, 5)
      assert.match(String(await heldBy(db, folder)), /4 of 7 days/)
      await remember(db, 20, () => 7)
      assert.match(String(await heldBy(db, folder)), /0 of 7 days/)
    })
  })

  test('waits for another index on its column', async () => {
    await withOldIndex(async (db, folder) => {
      await remember(db, 8, () => 0)
      assert.deepEqual(await heldBy(db, folder), [])
      // Of the indexes that cover it, all have the column in their condition only.
      await db.query('DROP INDEX users_email_key')
      assert.match(
        String(await heldBy(db, folder)),
        /no other index of its table has deleted_at, which "users_deleted_at" has/,
      )
    })
  })

  test('stays when the files before it have to be tried again', async () => {
    await withOldIndex(async (db, folder) => {
      await folder.write('8001_a.sql', 'CREATE TABLE before_it (a int)')
      await folder.write('8002_b.sql', 'ALTER TABLE groups ADD b int')
      let release = (): void => {}
      const isReleased = new Promise<void>((resolve) => {
        release = resolve
      })
      let blocked: Promise<void> | undefined
      const locked = new Promise<void>((resolve) => {
        blocked = db.transaction(async (query) => {
          await query('LOCK TABLE groups')
          resolve()
          await isReleased
        })
      })
      await locked
      const progress = (_: string, text: string) => void (text.includes('locked by others') && release())
      assert.deepEqual(await up(db, { folder: folder.path, lockTimeout: 100, progress }), ['8001_a', '8002_b'])
      await blocked
      assert.ok(await indexOf(db.query, 'users_deleted_at'))
      assert.deepEqual((await status(db, { folder: folder.path })).pending, ['9001_drop_notx', '9002_after'])
    })
  })

  test('that is not there holds nobody', async () => {
    await withOldIndex(async (db, folder) => {
      await db.query('DROP INDEX users_deleted_at')
      assert.deepEqual(await up(db, { folder: folder.path }), ['9001_drop_notx', '9002_after'])
    })
  })
})
