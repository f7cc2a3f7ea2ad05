import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openDatabase } from '../../core/database/database.ts'
import { up } from '../../core/database/migrate.ts'
import { shippedMigrations } from '../../core/database/files.ts'
import { until } from '../../core/database/until.fixture.ts'
import { silentLog } from '../../core/observe/log.ts'
import { addAccount, setAccount } from '../../core/records/accounts.ts'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { ownServer } from '../../test/postgres.ts'
import { ask, askUntil, before, options, records, sealer } from './accounts.fixture.ts'
import { Directory } from './directory.ts'

/** What was committed is there after a kill. */
const lasting = { settings: { synchronous_commit: 'on' } }

describe('a database that goes away', () => {
  test('leaves the accounts as they were, delays no exchange, and is heard again when it is back', async () => {
    await using server = await ownServer(lasting)
    await using upstream = await fakeUpstream(json(200, {}))
    const db = openDatabase(server.url, silentLog)
    try {
      await db.ready()
      await up(db, { folder: shippedMigrations })
      const about = { name: 'one', platform: 'openai', url: upstream.url }
      await addAccount(db, about, (id) => sealer.seal(id, { key: 'before' }))
      await using gw = await before(server.url, { refresh: '1h', health: { delay: '10ms' } })
      await askUntil(gw, 200)
      await server.kill()
      await until(() => db.state === 'down')
      for (let times = 0; times < 50; times++) assert.equal((await ask(gw)).status, 200)
      upstream.script = json(402, { error: { message: 'unpaid' } })
      assert.equal((await ask(gw)).status, 402)
      upstream.script = json(200, {})
      assert.equal((await ask(gw)).status, 200, 'nobody knows better')
      await server.start()
      await db.ready()
      // What was learnt meanwhile is written, and then heard.
      await askUntil(gw, 503)
      const { rows } = await db.query('SELECT status, error_message FROM accounts')
      assert.deepEqual(rows, [{ status: 'error', error_message: '402 unpaid' }])
      await setAccount(db, 'one', { status: 'active' }, (id) => sealer.seal(id, { key: 'after' }))
      await askUntil(gw, 200)
      assert.equal(upstream.asked.at(-1)?.headers.authorization, 'Bearer after')
    } finally {
      await db.close()
    }
  })

  test('is none at the start: the gateway listens at once, and asks the accounts when it knows them', async () => {
    await using server = await ownServer(lasting)
    const db = openDatabase(server.url, silentLog)
    await using upstream = await fakeUpstream(json(200, {}))
    try {
      await db.ready()
      await up(db, { folder: shippedMigrations })
      await addAccount(db, { name: 'one', platform: 'openai', url: upstream.url }, null)
      await server.kill()
      await until(() => db.state === 'down')
      await using gw = await before(server.url)
      assert.equal((await ask(gw)).status, 503)
      await server.start()
      await until(async () => (await ask(gw)).status === 200)
    } finally {
      await db.close()
    }
  })
})

describe('the directory', () => {
  test('reads once for many changes, and once more for those that came while it was reading', async () => {
    await using db = await records()
    const directory = new Directory(db.db, silentLog)
    let readings = 0
    directory.onReading(() => readings++)
    try {
      await until(() => readings === 1)
      for (let times = 0; times < 200; times++) await db.db.query(`SELECT pg_notify('accounts_changed', '${times}')`)
      await db.add('last')
      await until(() => directory.reading?.rows.length === 1)
      assert.ok(readings < 50, `${readings} readings`)
    } finally {
      await directory.close()
    }
    directory.refresh()
    assert.equal(directory.reading?.rows.length, 1, 'and nothing after its end')
  })

  test('is left behind by no reload', async () => {
    await using db = await records()
    await using gw = await before(db.url)
    for (let times = 0; times < 10; times++)
      assert.deepEqual(await gw.reload(options(db.url, { refresh: `${times + 1}s` })), [])
  })
})
