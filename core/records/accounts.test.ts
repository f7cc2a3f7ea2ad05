import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { migratedDatabase } from '../../test/postgres.ts'
import { openDatabase, type Database } from '../database/database.ts'
import { until } from '../database/until.fixture.ts'
import { silentLog } from '../observe/log.ts'
import {
  addAccount,
  disableAccount,
  enableAccount,
  listAccounts,
  removeAccount,
  resealAccounts,
  restAccount,
  setAccount,
  wakeAccount,
  type AccountRecord,
} from './accounts.ts'
import { addGroup } from './groups.ts'

const about = { name: 'one', platform: 'openai' }
const seal = (id: number) => Buffer.from(`sealed for ${id}`)

async function withDatabase(use: (db: Database, heard: (string | null)[]) => Promise<void>): Promise<void> {
  await using fresh = await migratedDatabase()
  const db = openDatabase(fresh.url, silentLog)
  try {
    await db.ready()
    const heard: (string | null)[] = []
    await db.listen('accounts_changed', (payload) => void heard.push(payload))
    await use(db, heard)
  } finally {
    await db.close()
  }
}

const first = async (db: Database): Promise<AccountRecord> => (await listAccounts(db.query, { after: 0, limit: 9 }))[0]!

describe('an account', () => {
  test('is added whole or not at all, and nobody hears of one that was not', async () => {
    await withDatabase(async (db, heard) => {
      await addGroup(db, { name: 'g' })
      const wrong = [{ groups: ['g', 'nobody'] }, { url: 'ftp://x' }, { url: 'https://u:p@x' }, { concurrency: -1 }]
      for (const more of wrong)
        await assert.rejects(addAccount(db, { ...about, ...more }, seal), { name: 'RecordProblem' })
      const refusing = () => {
        throw new Error('no seal')
      }
      await assert.rejects(addAccount(db, about, refusing), /no seal/)
      assert.deepEqual(await listAccounts(db.query, { after: 0, limit: 9 }), [])
      const id = await addAccount(db, { ...about, groups: ['g'], models: ['a*'] }, seal)
      await until(() => heard.length > 0)
      assert.deepEqual(heard, [String(id)])
      const { rows } = await db.query<{ credentials: Buffer }>('SELECT credentials FROM accounts')
      assert.equal(rows[0]?.credentials.toString(), `sealed for ${id}`, 'bound to the id it has')
      await assert.rejects(addAccount(db, about, null), { code: 'TAKEN' })
    })
  })

  test('is in the groups it was put into last, all of them or none', async () => {
    await withDatabase(async (db) => {
      for (const name of ['a', 'b', 'c']) await addGroup(db, { name })
      await addAccount(db, { ...about, groups: ['a', 'b'] }, null)
      await setAccount(db, 'one', { groups: ['b', '3', 'c'] })
      assert.deepEqual((await first(db)).groups, ['b', 'c'])
      await assert.rejects(setAccount(db, 'one', { groups: ['a', 'nobody'], priority: 1 }), { code: 'NOT_FOUND' })
      const { groups, priority } = await first(db)
      assert.deepEqual([groups, priority], [['b', 'c'], 50])
      await setAccount(db, 'one', { groups: [] })
      assert.deepEqual((await first(db)).groups, [])
    })
  })

  test('says in one word whether it can be asked', async () => {
    await withDatabase(async (db, heard) => {
      const id = String(await addAccount(db, about, null))
      const state = async () => (await first(db)).state
      assert.equal(await state(), 'ready')
      await restAccount(db, 'one', 60_000, 'x')
      assert.equal(await state(), 'resting')
      await disableAccount(db, 'one')
      await wakeAccount(db, 'one')
      assert.equal(await state(), 'inactive', 'an operator’s word is not taken back by another kind of word')
      await enableAccount(db, 'one')
      await db.query(`UPDATE accounts SET status = 'error', error_message = 'no'`)
      assert.equal(await state(), 'error')
      await wakeAccount(db, 'one')
      const woken = await first(db)
      assert.deepEqual([woken.state, woken.error_message], ['ready', null])
      await setAccount(db, 'one', { expires_at: new Date(Date.now() - 1000) })
      assert.equal(await state(), 'expired')
      await setAccount(db, 'one', { expires_at: null, schedulable: false })
      assert.equal(await state(), 'paused')
      await until(() => heard.length === 8)
      const woke = `woken ${id}`
      assert.deepEqual(heard, [id, id, id, woke, woke, woke, id, id])
      await removeAccount(db, 'one')
      await assert.rejects(wakeAccount(db, id), { code: 'NOT_FOUND' })
      assert.equal(await addAccount(db, about, null), Number(id) + 1, 'its name is free again')
    })
  })

  test('is sealed anew with all the others, or none of them is', async () => {
    await withDatabase(async (db) => {
      for (const name of ['a', 'b', 'c']) await addAccount(db, { ...about, name }, seal)
      await addAccount(db, about, null)
      const sealed = async () => {
        const { rows } = await db.query<{ text: string | null }>(
          `SELECT convert_from(credentials, 'UTF8') AS text FROM accounts ORDER BY id`,
        )
        return rows.map(({ text }) => text)
      }
      const failing = resealAccounts(db, (id, was) => {
        if (id === 3) throw new Error('cannot be opened')
        return Buffer.concat([was, Buffer.from('!')])
      })
      await assert.rejects(failing, /cannot be opened/)
      assert.deepEqual(await sealed(), ['sealed for 1', 'sealed for 2', 'sealed for 3', null])
      const anew = await resealAccounts(db, (id, was) => (id === 2 ? null : Buffer.concat([was, Buffer.from('!')])))
      assert.equal(anew, 2)
      assert.deepEqual(await sealed(), ['sealed for 1!', 'sealed for 2', 'sealed for 3!', null])
    })
  })
})
