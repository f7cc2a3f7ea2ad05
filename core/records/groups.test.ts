import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { migratedDatabase } from '../../test/postgres.ts'
import { openDatabase, type Database, type Query } from '../database/database.ts'
import { silentLog } from '../observe/log.ts'
import { addGroup, listGroups, orderGroups, removeGroup, setGroup } from './groups.ts'
import { addKey } from './keys.ts'
import { addUser, setUser } from './users.ts'

async function withDatabase(use: (db: Database) => Promise<void>): Promise<void> {
  await using fresh = await migratedDatabase()
  const db = openDatabase(fresh.url, silentLog)
  try {
    await db.ready()
    await use(db)
  } finally {
    await db.close()
  }
}

const placesOf = async (db: Database) =>
  (await listGroups(db.query, { after: 0, limit: 100 })).map(({ id, sort_order }) => [id, sort_order])

/** The database, and what is asked of it in transactions. */
function counting(db: Database): { db: Database; asked: string[] } {
  const asked: string[] = []
  const counted: Pick<Database, 'transaction'> = {
    transaction: (run) =>
      db.transaction((query) => {
        const told: Query = (text, values) => {
          asked.push(text)
          return query(text, values)
        }
        return run(told)
      }),
  }
  return { db: counted as Database, asked } // nothing else of it is used
}

describe('the order of groups', () => {
  test('is written by one UPDATE, however many there are', async () => {
    await withDatabase(async (db) => {
      for (let at = 0; at < 100; at++) await addGroup(db, { name: `g${at}` })
      const counted = counting(db)
      const places = Array.from({ length: 100 }, (_, at) => ({ id: at + 1, sort_order: 100 - at }))
      assert.equal(await orderGroups(counted.db, places), 100)
      assert.equal(counted.asked.filter((text) => text.includes('UPDATE')).length, 1)
      assert.equal(counted.asked.length, 2, 'and everybody is told')
      assert.deepEqual(
        await placesOf(db),
        places.toReversed().map(({ id, sort_order }) => [id, sort_order]),
      )
    })
  })

  test('takes the last of two places, drops ids that are none, and has nothing to do for an empty list', async () => {
    await withDatabase(async (db) => {
      await addGroup(db, { name: 'a' })
      const places = [
        { id: 1, sort_order: 5 },
        { id: 0, sort_order: 6 },
        { id: -3, sort_order: 7 },
        { id: 1, sort_order: -8 },
      ]
      assert.equal(await orderGroups(db, places), 1)
      assert.deepEqual(await placesOf(db), [[1, -8]])
      const counted = counting(db)
      assert.equal(await orderGroups(counted.db, [{ id: 0, sort_order: 1 }]), 0)
      assert.equal(await orderGroups(counted.db, []), 0)
      assert.deepEqual(counted.asked, [])
    })
  })

  test('changes nothing where a group is missing or deleted, or a place is none', async () => {
    await withDatabase(async (db) => {
      for (const name of ['a', 'b', 'gone']) await addGroup(db, { name })
      await removeGroup(db, 'gone')
      const at = (...ids: number[]) => ids.map((id) => ({ id, sort_order: 9 }))
      await assert.rejects(orderGroups(db, at(1, 99, 2, 98)), {
        code: 'NOT_FOUND',
        message: 'there is no group 99, 98',
      })
      await assert.rejects(orderGroups(db, at(1, 3)), { code: 'NOT_FOUND', message: 'there is no group 3' })
      for (const sort_order of [1.5, Number.NaN, 2 ** 31]) {
        const places = [
          { id: 1, sort_order: 4 },
          { id: 2, sort_order },
        ]
        await assert.rejects(orderGroups(db, places), { code: 'INVALID' })
      }
      await assert.rejects(orderGroups(db, [{ id: 1.5, sort_order: 1 }]), { code: 'INVALID' })
      assert.deepEqual(await placesOf(db), [
        [1, 0],
        [2, 0],
      ])
    })
  })

  test('comes to an end where two put the same groups into different orders at once', async () => {
    await withDatabase(async (db) => {
      for (let at = 0; at < 20; at++) await addGroup(db, { name: `g${at}` })
      const there = Array.from({ length: 20 }, (_, at) => ({ id: at + 1, sort_order: at }))
      const back = there.toReversed().map(({ id }, at) => ({ id, sort_order: at }))
      await Promise.all(Array.from({ length: 10 }, (_, at) => orderGroups(db, at % 2 ? there : back)))
      const ids = (await placesOf(db)).map(([id]) => id)
      assert.ok(ids[0] === 1 || ids[0] === 20)
      assert.deepEqual(
        ids,
        (ids[0] === 1 ? there : back).map(({ id }) => id),
      )
    })
  })
})

describe('records', () => {
  test('are written by the names of their fields alone, whatever a caller sends', async () => {
    await withDatabase(async (db) => {
      const id = await addUser(db, { email: 'a@b' })
      const sent = { 'role = $$admin$$, notes': 'x' } as object
      await assert.rejects(setUser(db, String(id), sent), { code: 'INVALID' })
      await assert.rejects(addUser(db, { email: 'c@d', deleted_at: 'x' } as { email: string }), { code: 'INVALID' })
    })
  })

  test('of a group stay while keys call through it', async () => {
    await withDatabase(async (db) => {
      await addUser(db, { email: 'a@b' })
      await addGroup(db, { name: 'g' })
      await addKey(db, 'a@b', { group: 'g' })
      await assert.rejects(removeGroup(db, 'g'), /1 key calls through this group: give it another one first/)
      await assert.rejects(setGroup(db, 'g', { rate_multiplier: '-1' }), { code: 'INVALID' })
      await assert.rejects(addGroup(db, { name: 'g' }), { code: 'TAKEN' })
    })
  })
})
