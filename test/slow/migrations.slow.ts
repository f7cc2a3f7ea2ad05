/**
 * Migrations whose runner, or whose server, is killed in the middle, on every PostgreSQL there is here. Run with
 * `node test/run.ts test/slow/migrations.slow.ts`.
 */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { openDatabase, type Database } from '../../core/database/database.ts'
import { shippedMigrations } from '../../core/database/files.ts'
import { status, up } from '../../core/database/migrate.ts'
import { catalogOf, folderOf, indexOf, type TestFolder } from '../../core/database/migrations.fixture.ts'
import { until } from '../../core/database/until.fixture.ts'
import { silentLog } from '../../core/observe/log.ts'
import { ownServer, type OwnServer } from '../postgres.ts'

const build = 'CREATE INDEX CONCURRENTLY IF NOT EXISTS a_b ON a (b)'

for (const source of ['system', 'package'] as const) {
  describe(`with the PostgreSQL of the ${source},`, () => {
    test('a runner killed while it builds an index is followed by one that waits for the build, and keeps it', async () => {
      await withBlockedBuild(source, async ({ db, folder, runner, blocker }) => {
        runner.kill('SIGKILL')
        await once(runner, 'exit')
        const said: string[] = []
        const second = up(db, { folder: folder.path, progress: (_, text) => said.push(text) })
        await until(() => said.some((text) => text.startsWith('waiting for process')))
        assert.equal((await indexOf(db.query, 'a_b'))?.isValid, false)
        await blocker.query('COMMIT')
        assert.deepEqual(await second, ['0002_b_notx'])
        assert.match(said.join('\n'), /the index is there already/)
        assert.equal((await indexOf(db.query, 'a_b'))?.isValid, true)
      })
    })

    test('a build that was cut off with its runner is dropped and done again by the next', async () => {
      await withBlockedBuild(source, async ({ db, folder, runner, blocker }) => {
        runner.kill('SIGKILL')
        await once(runner, 'exit')
        await db.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index`)
        await until(async () => (await db.query('SELECT FROM pg_stat_progress_create_index')).rowCount === 0)
        assert.equal((await indexOf(db.query, 'a_b'))?.isValid, false)
        await blocker.query('COMMIT')
        const said: string[] = []
        await up(db, { folder: folder.path, progress: (_, text) => said.push(text) })
        assert.match(said.join('\n'), /an invalid index was dropped, and built again/)
        assert.equal((await indexOf(db.query, 'a_b'))?.isValid, true)
      })
    })

    test('a server killed in the middle of a build comes back, and the next run ends where it should', async () => {
      await withBlockedBuild(source, async ({ db, folder, runner, server }) => {
        const failed = once(runner, 'exit')
        await server.kill()
        assert.deepEqual((await failed)[0], 1)
        await server.start()
        await db.ready()
        assert.equal((await indexOf(db.query, 'a_b'))?.isValid, false)
        assert.deepEqual(await up(db, { folder: folder.path }), ['0002_b_notx'])
        assert.equal((await indexOf(db.query, 'a_b'))?.isValid, true)
      })
    })

    test('runners killed at any moment, again and again, end in the same schema as one that was left alone', async () => {
      await using server = await ownServer({ sources: [source] })
      const other = new URL(server.url)
      other.pathname = '/left_alone'
      const db = openDatabase(server.url, silentLog)
      await db.query('CREATE DATABASE left_alone')
      const alone = openDatabase(other.href, silentLog)
      try {
        await up(alone, { folder: shippedMigrations })
        const wanted = await catalogOf(alone.query)
        let killed = 0
        for (let wait = 0; (await status(db, { folder: shippedMigrations })).pending.length > 0; wait += 4) {
          const runner = startRunner(server.url, shippedMigrations)
          const exit = once(runner, 'exit')
          await Promise.race([once(runner.stdout!, 'data'), exit])
          await sleep(wait)
          if (runner.kill('SIGKILL')) killed++
          await exit
        }
        assert.ok(killed > 1)
        await up(db, { folder: shippedMigrations })
        assert.deepEqual(await catalogOf(db.query), wanted)
        const { rows } = await db.query(
          'SELECT name, count(*) AS n FROM pgmigrations GROUP BY name HAVING count(*) > 1',
        )
        assert.deepEqual(rows, [])
      } finally {
        await alone.close()
        await db.close()
      }
    })
  })
}

interface Blocked {
  readonly server: OwnServer
  readonly db: Database
  readonly folder: TestFolder
  /** A process that is building the index, and cannot end before `blocker` commits. */
  readonly runner: ChildProcess
  readonly blocker: pg.Client
}

async function withBlockedBuild(source: 'system' | 'package', use: (blocked: Blocked) => Promise<void>): Promise<void> {
  // What a server that is killed had committed is still there.
  const settings = { synchronous_commit: 'on' }
  await using server = await ownServer({ sources: [source], settings })
  await using folder = await folderOf({
    '0001_a.sql': 'CREATE TABLE a AS SELECT n AS b FROM generate_series(1, 200000) n',
  })
  const db = openDatabase(server.url, silentLog)
  const blocker = new pg.Client({ connectionString: server.url })
  blocker.on('error', () => {})
  let runner: ChildProcess | undefined
  try {
    await blocker.connect()
    await up(db, { folder: folder.path })
    await folder.write('0002_b_notx.sql', build)
    await blocker.query('BEGIN; INSERT INTO a VALUES (0)')
    runner = startRunner(server.url, folder.path)
    await until(
      async () => (await db.query('SELECT FROM pg_stat_progress_create_index WHERE index_relid <> 0')).rowCount > 0,
    )
    await use({ server, db, folder, runner, blocker })
  } finally {
    runner?.kill('SIGKILL')
    await blocker.end().catch(() => {})
    await db.close()
  }
}

/** `up` in a process of its own; says so when it begins. */
function startRunner(url: string, folder: string): ChildProcess {
  const script = `
    const { openDatabase } = await import(${JSON.stringify(import.meta.resolve('../../core/database/database.ts'))})
    const { up } = await import(${JSON.stringify(import.meta.resolve('../../core/database/migrate.ts'))})
    const { silentLog } = await import(${JSON.stringify(import.meta.resolve('../../core/observe/log.ts'))})
    const [url, folder] = process.argv.slice(1)
    const db = openDatabase(url, silentLog)
    await db.ready()
    process.stdout.write('up')
    try {
      await up(db, { folder })
    } catch {
      process.exitCode = 1
    }
    await db.close()
  `
  return spawn(process.execPath, ['--input-type=module', '-e', script, url, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}
