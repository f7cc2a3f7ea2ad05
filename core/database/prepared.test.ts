import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { freshDatabase } from '../../test/postgres.ts'
import { silentLog } from '../observe/log.ts'
import { openDatabase } from './database.ts'
import { prepared } from './prepared.ts'

const count = 'SELECT count(*)::int AS count FROM api_keys'

describe('a database whose schema is being looked at', () => {
  test('answers who asks in the moment the process begins, once it has the schema', async () => {
    await using db = await freshDatabase()
    const database = prepared(openDatabase(db.url, silentLog), { migrate: 'auto' }, silentLog)
    try {
      // A new process is asked by clients of the one before it, and has yet to connect.
      const [asked, inTransaction, inSession] = await Promise.all([
        database.query<{ count: number }>(count),
        database.transaction((query) => query<{ count: number }>(count)),
        database.session(({ query }) => query<{ count: number }>(count)),
      ])
      for (const { rows } of [asked, inTransaction, inSession]) assert.deepEqual(rows, [{ count: 0 }])
      assert.equal(database.state, 'up')
    } finally {
      await database.close()
    }
  })

  test('refuses at once where the schema is known not to be this one', async () => {
    await using db = await freshDatabase()
    const database = prepared(openDatabase(db.url, silentLog), { migrate: 'check' }, silentLog)
    try {
      await assert.rejects(database.query(count), /cannot be used yet: .*have not run/s)
      assert.equal(database.state, 'down')
      await assert.rejects(database.query(count), /have not run/)
    } finally {
      await database.close()
    }
  })

  test('refuses who waits when it is closed', async () => {
    const database = prepared(openDatabase('postgres://x@127.0.0.1:9/none', silentLog), { migrate: 'auto' }, silentLog)
    const asked = assert.rejects(database.query(count))
    await database.close()
    await asked
  })
})
