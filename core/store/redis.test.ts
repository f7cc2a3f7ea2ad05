import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { anyRedis, freshRedis, type AnyRedis } from '../../test/redis.ts'
import { silentLog } from '../observe/log.ts'
import { openRedisStore } from './redis.ts'
import { storeContract } from './store.contract.ts'
import { closing } from './store.fixture.ts'
import { StoreDown, type Store } from './store.ts'

describe('the store in Redis', () => {
  let redis: AnyRedis
  let store: Store
  before(async () => {
    redis = await anyRedis()
    store = openRedisStore(redis.url, silentLog, { limit: 2000 })
  })
  after(async () => {
    await store.close()
    await redis[Symbol.asyncDispose]()
  })
  for (const [sentence, holds] of Object.entries(storeContract)) test(sentence, () => holds(store))

  test('is shared', () => {
    assert.deepEqual([store.kind, store.isShared], ['redis', true])
  })
})

/** How each method is asked; a list is what one exchange would ask for. */
const methods: Record<string, (store: Store) => Promise<unknown>> = {
  get: (store) => store.get('k'),
  getMany: (store) => store.getMany(['k', 'l', 'm']),
  set: (store) => store.set({ key: 'k', value: '1', ttl: 1000 }),
  setMany: (store) => store.setMany(['k', 'l'].map((key) => ({ key, value: '1', ttl: 1000 }))),
  add: (store) => store.add({ key: 'k', value: '1', ttl: 1000 }),
  raise: (store) => store.raise('n', 1, 1000),
  increment: (store) => store.increment('n', 1, 1000),
  delete: (store) => store.delete(['k', 'l', 'n']),
  acquire: (store) => store.acquire('s', 'h', 1, 1000),
  renew: (store) => store.renew(Array.from({ length: 50 }, (_, at) => ({ key: `s${at}`, holder: 'h' })), 1000), // prettier-ignore
  count: (store) => store.count(Array.from({ length: 50 }, (_, at) => `s${at}`)),
  release: (store) => store.release('s', 'h'),
  publish: (store) => store.publish('c', 'm'),
}

describe('the round trips of the store in Redis', () => {
  for (const [name, ask] of Object.entries(methods)) {
    test(`are one for ${name}`, async () => {
      await using redis = await freshRedis()
      await using store = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
      // The first use of a script on a connection sends its text, all others its hash: one command either way.
      assert.equal((await redis.commandsOf(() => ask(store))).length, 1)
      const [command, ...more] = await redis.commandsOf(() => ask(store))
      assert.deepEqual(more, [])
      assert.notEqual(command, 'eval')
    })
  }

  test('are none where nothing is asked', async () => {
    await using redis = await freshRedis()
    await using store = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    const commands = await redis.commandsOf(async () => {
      await Promise.all([store.getMany([]), store.setMany([]), store.delete([]), store.renew([], 1), store.count([])])
    })
    assert.deepEqual(commands, [])
  })

  test('are two after the server has forgotten the scripts, and then one again', async () => {
    await using redis = await freshRedis()
    await using store = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    assert.equal(await store.acquire('s', 'h', 1, 60_000), true)
    await redis.ask('SCRIPT', 'FLUSH')
    const commands = await redis.commandsOf(async () => assert.equal(await store.acquire('s', 'i', 1, 60_000), false))
    assert.deepEqual(commands, ['evalsha', 'eval'])
    assert.deepEqual(await redis.commandsOf(() => store.acquire('s', 'h', 1, 60_000)), ['evalsha'])
  })
})

describe('two stores on one Redis', () => {
  test('share values, counters and slots, and never both get the last slot', async () => {
    await using redis = await freshRedis()
    await using one = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    await using two = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    await one.set({ key: 'k', value: 'of one', ttl: 60_000 })
    assert.equal(await two.get('k'), 'of one')
    for (let round = 0; round < 100; round++) {
      const key = `s${round}`
      await one.acquire(key, 'first', 2, 60_000)
      const tries = await Promise.all([one.acquire(key, 'one', 2, 60_000), two.acquire(key, 'two', 2, 60_000)])
      assert.deepEqual(tries.toSorted(), [false, true])
    }
  })

  test('hear each other', async () => {
    await using redis = await freshRedis()
    await using one = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    await using two = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    const heard = Promise.withResolvers<string>()
    await two.subscribe('changed', heard.resolve)
    await one.publish('changed', 'k')
    assert.equal(await heard.promise, 'k')
  })

  test('leave nothing behind in Redis that has no end', async () => {
    await using redis = await freshRedis()
    await using store = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    for (const ask of Object.values(methods).filter((ask) => ask !== methods.delete)) await ask(store)
    await store.acquire('held', 'h', 1, 5000)
    const keys = (await redis.ask('KEYS', '*')) as string[] // what KEYS answers
    assert.ok(keys.length > 50)
    for (const key of keys) assert.ok(Number(await redis.ask('PTTL', key)) > 0, key)
  })
})

describe('what Redis refuses', () => {
  test('fails for the caller, is told once, and is no outage', async () => {
    await using redis = await freshRedis()
    const warned: unknown[] = []
    await using store = closing(
      openRedisStore(redis.url, { ...silentLog, warn: (fields) => void warned.push(fields) }, { limit: 2000 }),
    )
    await store.set({ key: 'k', value: 'no slots', ttl: 60_000 })
    for (let at = 0; at < 3; at++) {
      await assert.rejects(store.acquire('k', 'h', 1, 1000), (error) => error instanceof StoreDown && /WRONGTYPE/.test(error.message)) // prettier-ignore
    }
    assert.equal(warned.length, 1)
    assert.equal(store.health.isUp, true)
    assert.equal(store.health.failures, 3)
    assert.match(store.health.lastError ?? '', /WRONGTYPE/)
    assert.equal(await store.get('k'), 'no slots')
  })
})
