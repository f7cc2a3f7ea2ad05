import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { freshCluster, until, type FreshCluster } from '../../test/redis.ts'
import { silentLog } from '../observe/log.ts'
import { hashSlot } from './hash-slot.ts'
import { openRedisStore } from './redis.ts'
import { storeContract } from './store.contract.ts'
import { closing } from './store.fixture.ts'
import { StoreDown, type Store } from './store.ts'

let cluster: FreshCluster
let store: Store

describe('the store in a Redis Cluster', () => {
  before(async () => {
    cluster = await freshCluster()
    store = openRedisStore(cluster.url, silentLog, { limit: 2000 })
  })
  after(async () => {
    await store.close()
    await cluster[Symbol.asyncDispose]()
  })
  for (const [sentence, holds] of Object.entries(storeContract)) test(sentence, () => holds(store))

  test('keeps keys where the cluster looks for them', async () => {
    const [master] = cluster.masters
    const key = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom('{', '}', 'a', 'é') }))
    const keys = fc.sample(key, 1000)
    const slots = await master?.askMany(keys.map((key) => ['CLUSTER', 'KEYSLOT', key]))
    assert.deepEqual(keys.map(hashSlot), slots)
  })

  test('writes keys with the same part in braces by one command', async () => {
    const entries = ['a', 'b', 'c'].map((name) => ({ key: `sticky:{t:s}:${name}`, value: name, ttl: 60_000 }))
    await store.setMany(entries)
    assert.deepEqual(await cluster.commandsOf(() => store.setMany(entries)), ['evalsha'])
    assert.deepEqual(await cluster.commandsOf(() => store.getMany(entries.map(({ key }) => key))), ['mget'])
  })

  test('asks for keys of many hash slots by one command for each, all at the same time', async () => {
    const keys = Array.from({ length: 50 }, (_, at) => `slots:${at}`)
    const commands = await cluster.commandsOf(() => store.count(keys))
    assert.equal(commands.length, new Set(keys.map(hashSlot)).size)
  })

  test('follows a hash slot to another master', async () => {
    const [first, second] = cluster.masters
    const id = String(await second?.ask('CLUSTER', 'MYID'))
    const key = Array.from({ length: 1000 }, (_, at) => `moves${at}`).find((key) => hashSlot(key) < 5461) ?? ''
    await store.set({ key, value: 'before', ttl: 60_000 })
    // A master gives no slot away that has keys, and tests before this one may have left some in it.
    for (const master of cluster.masters) await master.ask('FLUSHALL')
    for (const master of cluster.masters) await master.ask('CLUSTER', 'SETSLOT', hashSlot(key), 'NODE', id)
    await store.set({ key, value: 'after', ttl: 60_000 })
    assert.equal(await store.get(key), 'after')
    assert.equal(await second?.ask('GET', key), 'after')
    await assert.rejects(Promise.resolve(first?.ask('GET', key)), /MOVED/)
  })

  test('serves what the others have when a master is lost, and all of it when that is back', async () => {
    await using hurried = closing(openRedisStore(cluster.url, silentLog, { limit: 500 }))
    const keys = Array.from({ length: 60 }, (_, at) => `k${at}`)
    const isOfLast = (key: string) => hashSlot(key) >= 10_923
    await Promise.all(keys.map((key) => hurried.set({ key, value: key, ttl: 60_000 })))
    const [, , last] = cluster.masters
    const ways = [
      { lose: async () => last?.stop(), find: async () => last?.start() },
      { lose: async () => last?.pause(), find: async () => last?.resume() },
    ]
    for (const { lose, find } of ways) {
      await lose()
      await until(async () => {
        const answers = await Promise.all(keys.map((key) => answerOf(hurried.get(key))))
        return keys.every((key, at) => (answers[at] === 'answered') === !isOfLast(key))
      })
      assert.equal(hurried.health.isUp, false)
      await find()
      await until(() => hurried.health.isUp)
      await until(async () => (await answerOf(hurried.getMany(keys))) === 'answered')
    }
  })

  test('opens where no node is there, fails whoever asks at once, and serves all when they are back', async () => {
    await Promise.all(cluster.masters.map((master) => master.stop()))
    await until(() => !store.health.isUp)
    await using hurried = closing(openRedisStore(cluster.url, silentLog, { limit: 500 }))
    const heard: string[] = []
    await hurried.subscribe('c', (message) => heard.push(message))
    const keys = Array.from({ length: 30 }, (_, at) => `k${at}`)
    for (let at = 0; at < 500; at++) assert.equal(await answerOf(hurried.getMany(keys)), 'down')
    await Promise.all(cluster.masters.map((master) => master.start()))
    for (const each of [hurried, store]) {
      await until(async () => (await answerOf(each.getMany(keys))) === 'answered')
      await until(() => each.health.isUp)
    }
    await until(async () => (await answerOf(store.publish('c', 'm')), heard.length > 0))
  })
})

/** Anything but an answer or StoreDown fails the test. */
async function answerOf(asked: Promise<unknown>): Promise<'answered' | 'down'> {
  return asked.then(
    () => 'answered',
    (error: unknown) => {
      assert.ok(error instanceof StoreDown, String(error))
      return 'down'
    },
  )
}

describe('the password of a Redis Cluster', () => {
  test('opens every node, and what is wrong about it is told', async () => {
    await using cluster = await freshCluster({ password: 'right' })
    const of = (password: string) => cluster.url.replace('://', `://:${password}@`)
    await using store = closing(openRedisStore(of('right'), silentLog, { limit: 2000 }))
    const keys = Array.from({ length: 30 }, (_, at) => `k${at}`)
    await store.setMany(keys.map((key) => ({ key, value: key, ttl: 60_000 })))
    assert.deepEqual(await store.getMany(keys), keys)
    const heard = Promise.withResolvers<string>()
    await store.subscribe('c', heard.resolve)
    await store.publish('c', 'm')
    assert.equal(await heard.promise, 'm')
    await using other = closing(openRedisStore(of('wrong-secret'), silentLog, { limit: 2000 }))
    await assert.rejects(other.get('k'), /WRONGPASS/)
    assert.doesNotMatch(other.health.lastError ?? '', /wrong-secret/)
  })
})
