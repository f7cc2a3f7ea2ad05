/** Keys while the store and the database are away. */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { ownServer } from '../../test/postgres.ts'
import { until } from '../../test/redis.ts'
import { DatabaseUnavailable, isOutage, openDatabase } from '../database/database.ts'
import { shippedMigrations } from '../database/files.ts'
import { up } from '../database/migrate.ts'
import { silentLog } from '../observe/log.ts'
import { openMemoryStore } from '../store/memory.ts'
import { Cache } from './cache.ts'
import { withDeadline } from './deadline.ts'
import { Directory } from './directory.ts'

const digestOf = (key: string) => hash('sha256', key)

describe('a key of the database that was read before', () => {
  test('counts on while neither store nor database answers, and as it stands as soon as they do', async () => {
    await using stack = new AsyncDisposableStack()
    const postgres = stack.use(await ownServer())
    const database = openDatabase(postgres.url, silentLog)
    stack.defer(() => database.close())
    await up(database, { folder: shippedMigrations })
    await database.query(`INSERT INTO users (id, email, balance) VALUES (1, 'one@x', 5);
      INSERT INTO api_keys (id, user_id, key_hash) VALUES (1, 1, decode('${digestOf('known')}', 'hex'))`)
    const store = openMemoryStore()
    stack.defer(() => store.close())
    const directory = new Directory(database, store, silentLog)
    stack.defer(() => directory.close())
    let gaps = 0
    directory.onChange((change) => void (change === null && gaps++))

    assert.equal((await directory.find(digestOf('known')))?.principal.userId, 1)
    // When the connection stands again nothing that was read before counts as new: changes may have been missed. So the store forgets.
    await postgres.kill()
    await postgres.start()
    await until(() => gaps > 0)
    await postgres.kill()
    assert.equal((await directory.find(digestOf('known')))?.principal.userId, 1)
    const asked = directory.lookups.misses
    assert.ok(!(directory.find(digestOf('known')) instanceof Promise), 'not everyone asks in vain')
    assert.equal(directory.lookups.misses, asked)
    await assert.rejects(async () => directory.find(digestOf('unknown')))

    await postgres.start()
    await until(() =>
      database.query('DELETE FROM api_keys').then(
        () => true,
        () => false,
      ),
    )
    await until(async () => (await directory.find(digestOf('known'))) === null)
  })
})

describe('a key that was not read before', () => {
  const body = '{"model":"m","messages":[],"contents":[]}'
  const ask = (url: string, path: string, key: string) =>
    fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json', 'x-api-key': key }, body })

  test('is told to come again while the database is away, in the words of its API, and the known ones are let in', async () => {
    await using stack = new AsyncDisposableStack()
    const postgres = stack.use(await ownServer())
    const database = openDatabase(postgres.url, silentLog)
    stack.defer(() => database.close())
    await up(database, { folder: shippedMigrations })
    await database.query(`INSERT INTO users (id, email, balance) VALUES (1, 'one@x', 5);
      INSERT INTO api_keys (id, user_id, key_hash) VALUES (1, 1, decode('${digestOf('known')}', 'hex'))`)
    const upstream = stack.use(await fakeUpstream(json(200, {})))
    const provided = ['anthropic', 'openai', 'gemini']
    const gw = stack.use(
      await gateway({
        database: postgres.url,
        plugins: ['google-auth', 'api-key-auth', ...provided],
        upstreams: provided.map((provider) => ({ name: provider, provider, url: upstream.url, key: 'of-upstream' })),
      }),
    )
    assert.equal((await ask(gw.url, '/v1/messages', 'known')).status, 200)
    assert.equal((await ask(gw.url, '/v1/messages', 'unknown')).status, 401)

    await postgres.kill()
    // The server's children take a moment to notice, and answer until then.
    let times = 0
    await until(async () => (await ask(gw.url, '/v1/messages', `not-yet-${times++}`)).status === 503)
    const told = async (path: string) => {
      const answer = await ask(gw.url, path, `never-seen-${path}`)
      assert.equal(answer.status, 503)
      assert.equal(answer.headers.get('retry-after'), '5')
      assert.equal(answer.headers.get('www-authenticate'), null)
      const { error } = (await answer.json()) as { error: Record<string, unknown> } // as all three APIs tell errors
      assert.match(String(error.message), /cannot be verified at the moment/)
      return error
    }
    assert.equal((await told('/v1/messages')).type, 'api_error')
    assert.equal((await told('/v1/chat/completions')).code, 'keys_unavailable')
    assert.equal((await told('/v1beta/models/m:generateContent')).status, 'UNAVAILABLE')
    assert.equal((await ask(gw.url, '/v1/messages', 'known')).status, 200)
    assert.ok(!gw.records.some(({ message }) => message === 'a key could not be verified'), 'an outage is no defect')

    await postgres.start()
    await until(async () => (await ask(gw.url, '/v1/messages', 'not-seen-again')).status === 401)
  })

  test('is not said to be wrong because the database is slow, full or going down', async () => {
    const error = await withDeadline(new Promise<never>(() => {})).catch((late: unknown) => late)
    assert.ok(error instanceof DatabaseUnavailable && isOutage(error))
    await using stack = new AsyncDisposableStack()
    const postgres = stack.use(await ownServer())
    const database = openDatabase(postgres.url, silentLog)
    stack.defer(() => database.close())
    const failing = (code: string) =>
      database.query(`DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '${code}'; END $$`).catch((told: unknown) => told)
    for (const code of ['53100', '57014', '58030']) assert.ok(isOutage(await failing(code)), code)
    for (const code of ['42P01', '22P02']) assert.ok(!isOutage(await failing(code)), code)
    assert.ok(!isOutage(new TypeError('a defect')))
  })
})

describe('an answer that cannot be asked for again', () => {
  const options = { capacity: 9, ttl: 0, absentTtl: 0, patience: 1000 }

  test('counts for as long as it is said, if it is not too old', async () => {
    const cache = new Cache<string>(options)
    await cache.load('a', async () => 'one')
    assert.equal(cache.peek('a'), undefined)
    assert.equal(cache.renew('a', -1, 1000), null, 'too old')
    assert.equal(cache.renew('a', 1000, 1000), 'one')
    assert.equal(cache.peek('a'), 'one')
    cache.age()
    assert.equal(cache.peek('a'), undefined)
    cache.forget('a')
    assert.equal(cache.renew('a', 1000, 1000), null, 'it is known to have changed')
  })

  test('never says that there is nothing', async () => {
    const cache = new Cache<string>(options)
    await cache.load('a', async () => null)
    assert.equal(cache.renew('a', 1000, 1000), null)
    assert.equal(cache.peek('a'), undefined)
  })
})
