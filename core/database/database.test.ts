import assert from 'node:assert/strict'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { freshDatabase, ownServer } from '../../test/postgres.ts'
import { silentLog } from '../observe/log.ts'
import { DatabaseUnavailable, openDatabase, sqlState, type Database } from './database.ts'
import { until } from './until.fixture.ts'

test('a setting that is no database is refused', () => {
  for (const setting of ['mysql://localhost/a', 'none', 'localhost', 'embedded1', '']) {
    assert.throws(() => openDatabase(setting, silentLog), /postgres:\/\//)
  }
})

describe('a PostgreSQL that is gone', () => {
  test('fails queries at once, and is back as soon as it is back', async () => {
    await using server = await ownServer()
    const db = openDatabase(server.url, silentLog)
    const load = { isOn: true }
    try {
      await db.query('CREATE TABLE a (b int)')
      const heard: (string | null)[] = []
      await db.listen('c', (payload) => heard.push(payload))
      let answered = 0
      const errors: unknown[] = []
      const clients = Array.from({ length: 20 }, async () => {
        while (load.isOn) {
          await db.query('INSERT INTO a VALUES (1)').then(
            () => answered++,
            async (error: unknown) => {
              errors.push(error)
              await new Promise(setImmediate)
            },
          )
        }
      })
      await until(() => answered > 100)
      await server.kill()
      await until(() => db.state === 'down')
      assert.ok(db.lastError)
      const failed = errors.length
      await until(() => errors.length > failed + 100)
      assert.equal(db.state, 'down')
      await server.start()
      const before = answered
      await until(() => answered > before + 100)
      assert.equal(db.state, 'up')
      assert.equal(db.lastError, null)
      load.isOn = false
      await Promise.all(clients)
      for (const error of errors) assert.ok(error instanceof DatabaseUnavailable, String(error))
      await until(() => heard.includes(null))
      await db.query(`NOTIFY c, 'again'`)
      await until(() => heard.includes('again'))
    } finally {
      load.isOn = false
      await db.close()
    }
  })

  test('from the start is waited for no longer than asked, and found when it comes', async () => {
    await using server = await ownServer()
    await server.postmaster.stop()
    const db = openDatabase(server.url, silentLog)
    try {
      await assert.rejects(db.ready(100), DatabaseUnavailable)
      await assert.rejects(db.query('SELECT 1'), DatabaseUnavailable)
      assert.equal(db.state, 'down')
      const stop = await db.listen('a', () => {})
      const ready = db.ready()
      await server.start()
      await ready
      assert.equal((await db.query('SELECT 1')).rowCount, 1)
      await stop()
    } finally {
      await db.close()
    }
  })

  test('says at once what waiting does not cure', async () => {
    await using fresh = await freshDatabase()
    const db = openDatabase(fresh.url.replace(fresh.name, 'there_is_none'), silentLog)
    try {
      await assert.rejects(db.ready(), (error) => sqlState(error) === '3D000')
    } finally {
      await db.close()
    }
  })
})

describe('a PostgreSQL that says nothing', () => {
  test('holds nobody longer than the time for a connection', async () => {
    await using silent = await silentServer()
    const db = openDatabase(silent.url, silentLog, { connectTimeout: 200 })
    try {
      await assert.rejects(db.query('SELECT 1'), DatabaseUnavailable)
      await assert.rejects(
        db.transaction(async () => {}),
        DatabaseUnavailable,
      )
      await assert.rejects(
        db.session(async () => {}),
        DatabaseUnavailable,
      )
      assert.equal(db.state, 'down')
    } finally {
      await db.close()
    }
  })

  test('in the middle of a query holds it no longer than a statement may take', async () => {
    await using server = await ownServer()
    const db = openDatabase(server.url, silentLog, { statementTimeout: 200, connectTimeout: 200 })
    const pids: number[] = []
    try {
      const { rows } = await db.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      pids.push(rows[0]!.pid, server.postmaster.pid)
      for (const pid of pids) process.kill(pid, 'SIGSTOP')
      await assert.rejects(db.query('SELECT 1'), DatabaseUnavailable)
      await until(() => db.state === 'down')
      for (const pid of pids.splice(0)) process.kill(pid, 'SIGCONT')
      await db.ready()
      assert.equal((await db.query('SELECT 1')).rowCount, 1)
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT')
      await db.close()
    }
  })
})

test('a closed database leaves nothing open', async () => {
  await using fresh = await freshDatabase()
  const before = process.getActiveResourcesInfo().toSorted()
  const db: Database = openDatabase(fresh.url, silentLog)
  await Promise.all(Array.from({ length: 10 }, () => db.query('SELECT 1')))
  await db.listen('a', () => {})
  await db.close()
  await until(() => String(process.getActiveResourcesInfo().toSorted()) === String(before))
})

/** Takes connections, and never says a word. */
async function silentServer(): Promise<AsyncDisposable & { url: string }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.resume()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // it listens on a port
  return {
    url: `postgres://a:b@127.0.0.1:${port}/c`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
