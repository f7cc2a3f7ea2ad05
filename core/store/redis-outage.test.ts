import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { freshRedis, until } from '../../test/redis.ts'
import { freePort } from '../../test/redis-server.ts'
import type { Log } from '../plugin.ts'
import { openRedisStore } from './redis.ts'
import { closing } from './store.fixture.ts'
import { StoreDown, type Store } from './store.ts'

type Told = [level: string, message: string, fields: Record<string, unknown>]

function recording(): { log: Log; told: Told[]; states: () => string[] } {
  const told: Told[] = []
  const at = (level: string) => (fields: object, message: string) => void told.push([level, message, { ...fields }])
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  return { log, told, states: () => told.map(([level, message]) => `${level}: ${message.split(':')[0]}`) }
}

/** Every method that has an answer to wait for. */
const everyMethod: readonly ((store: Store) => Promise<unknown>)[] = [
  (store) => store.get('k'),
  (store) => store.getMany(['k', 'l']),
  (store) => store.set({ key: 'k', value: '1', ttl: 1000 }),
  (store) => store.setMany([{ key: 'k', value: '1', ttl: 1000 }]),
  (store) => store.add({ key: 'k', value: '1', ttl: 1000 }),
  (store) => store.raise('n', 1, 1000),
  (store) => store.increment('n', 1, 1000),
  (store) => store.delete(['k']),
  (store) => store.deletePrefix('k'),
  (store) => store.acquire('s', 'h', 1, 1000),
  (store) => store.release('s', 'h'),
  (store) => store.renew([{ key: 's', holder: 'h' }], 1000),
  (store) => store.count(['s']),
  (store) => store.publish('c', 'm'),
]

/** In ms; more than by default, so that a busy machine is not taken for an outage. */
const limit = 500

/** Rejects where it takes as long as ten limits: that is a hang. */
async function settles<T>(asked: Promise<T>): Promise<T> {
  const controller = new AbortController()
  const hang = sleep(10 * limit, null, { signal: controller.signal }).then(() => assert.fail('it hangs'))
  hang.catch(() => {})
  return Promise.race([asked, hang]).finally(() => controller.abort())
}

async function allAreDown(store: Store): Promise<void> {
  for (const ask of everyMethod) await assert.rejects(settles(ask(store)), StoreDown, String(ask))
}

/** The sockets and timers of this process, without what the test runner has. */
const handles = () => process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Timeout/.test(kind)).length

describe('a Redis that is not there', () => {
  test('keeps nobody from opening the store, which is up when Redis is', async () => {
    await using redis = await freshRedis()
    await redis.stop()
    const { log, states } = recording()
    await using store = closing(openRedisStore(redis.url, log, { limit }))
    await allAreDown(store)
    assert.deepEqual([store.health.isUp, store.health.failures], [false, everyMethod.length])
    assert.match(store.health.lastError ?? '', /ECONNREFUSED/)
    await redis.start()
    await until(() => store.health.isUp)
    for (const ask of everyMethod) await ask(store)
    assert.deepEqual(states(), ['warn: the store is down', 'info: the store answers'])
  })

  test('lets the store close, with no handle left', async () => {
    const before = handles()
    await using store = closing(openRedisStore(`redis://127.0.0.1:${await freePort()}`, recording().log, { limit }))
    await store.subscribe('c', () => {})
    await settles(store.close())
    await allAreDown(store)
    await settles(store.close())
    await until(() => handles() <= before)
  })

  test('whose name nobody knows is an outage as well', async () => {
    const { log, told } = recording()
    await using store = closing(openRedisStore('redis://no-such-host.invalid:6379', log, { limit }))
    await allAreDown(store)
    await until(() => told.length > 0)
    assert.match(JSON.stringify(told), /ENOTFOUND|EAI_AGAIN|no answer/)
    await settles(store.close())
  })
})

describe('a Redis that is stopped', () => {
  test('in the middle of load fails some, hangs none, and serves all when it is back', async () => {
    await using redis = await freshRedis()
    const { log, states } = recording()
    await using store = closing(openRedisStore(redis.url, log, { limit }))
    const told = { answered: 0, down: 0, other: 0 }
    let isOn = true
    const load = Array.from({ length: 20 }, async (_, worker) => {
      for (let at = 0; isOn; at++) {
        const ask = everyMethod[(at + worker) % everyMethod.length]
        await settles(ask?.(store) ?? assert.fail()).then(
          () => told.answered++,
          (error: unknown) => (error instanceof StoreDown ? told.down++ : told.other++),
        )
        // Refusals come at once: the server's process has to have its turn.
        if (!store.health.isUp) await sleep(1)
      }
    })
    await until(() => told.answered > 500)
    await redis.stop()
    await until(() => told.down > 100)
    await redis.start()
    await until(() => store.health.isUp)
    const before = told.answered
    await until(() => told.answered > before + 500)
    isOn = false
    await Promise.all(load)
    assert.equal(told.other, 0)
    assert.deepEqual(states(), ['info: the store answers', 'warn: the store is down', 'info: the store answers'])
  })

  test('and started again is heard by who listened before, and who began meanwhile', async () => {
    await using redis = await freshRedis()
    await using one = closing(openRedisStore(redis.url, recording().log, { limit }))
    await using two = closing(openRedisStore(redis.url, recording().log, { limit }))
    const heard: string[] = []
    await one.subscribe('before', (message) => heard.push(`before ${message}`))
    await redis.stop()
    await settles(one.subscribe('meanwhile', (message) => heard.push(`meanwhile ${message}`)))
    await redis.start()
    // Nobody says when the listening has begun again: it is told until it is heard.
    await until(async () => {
      await two.publish('before', 'x').catch(() => {})
      await two.publish('meanwhile', 'x').catch(() => {})
      return heard.includes('before x') && heard.includes('meanwhile x')
    })
  })
})

describe('a Redis that is there and does not answer', () => {
  test('costs the first that asks the limit, the next nothing, and serves all when it is back', async () => {
    await using redis = await freshRedis()
    const { log, states } = recording()
    await using store = closing(openRedisStore(redis.url, log, { limit: 100 }))
    await store.get('k')
    redis.pause()
    await assert.rejects(settles(store.get('k')), /no answer within 100 ms/)
    // If each of these waited as the first did, they would take a hundred seconds.
    for (let at = 0; at < 1000; at++) await assert.rejects(store.get('k'), StoreDown)
    await allAreDown(store)
    redis.resume()
    await until(() => store.health.isUp)
    for (const ask of everyMethod) await ask(store)
    assert.deepEqual(states(), ['info: the store answers', 'warn: the store is down', 'info: the store answers'])
  })

  test('for longer than a connection is trusted, is asked on a new one', async () => {
    await using redis = await freshRedis()
    await using store = closing(openRedisStore(redis.url, recording().log, { limit }))
    const heard: string[] = []
    await store.subscribe('c', (message) => heard.push(message))
    redis.pause()
    await assert.rejects(settles(store.get('k')), StoreDown)
    // ioredis says it once the socket has been silent for a second.
    await until(() => /Socket timeout|closed/.test(store.health.lastError ?? ''))
    await allAreDown(store)
    redis.resume()
    await until(async () => (await store.publish('c', 'm').catch(() => {}), heard.length > 0))
  })

  test('costs the first that asks 200 ms where nothing else is said', async () => {
    await using redis = await freshRedis()
    redis.pause()
    await using store = closing(openRedisStore(redis.url, recording().log))
    await assert.rejects(settles(store.get('k')), /no answer within 200 ms/)
    redis.resume()
    await until(() => store.health.isUp)
  })

  test('from the start, is an outage as well, and lets the store close', async () => {
    await using redis = await freshRedis()
    redis.pause()
    const before = handles()
    await using store = closing(openRedisStore(redis.url, recording().log, { limit }))
    await allAreDown(store)
    await settles(store.subscribe('c', () => {}))
    await settles(store.close())
    await until(() => handles() <= before)
  })

  test('lets the store close in the middle of it', async () => {
    await using redis = await freshRedis()
    const before = handles()
    await using store = closing(openRedisStore(redis.url, recording().log, { limit }))
    await store.subscribe('c', () => {})
    await store.get('k')
    redis.pause()
    const asked = everyMethod.map((ask) => assert.rejects(settles(ask(store)), StoreDown))
    await settles(store.close())
    await Promise.all(asked)
    await until(() => handles() <= before)
  })
})

describe('our own process being busy', () => {
  test('is not taken for an outage of Redis', async () => {
    await using redis = await freshRedis()
    const { log, states } = recording()
    await using store = closing(openRedisStore(redis.url, log, { limit: 50 }))
    await store.get('k')
    const asked = Promise.all(Array.from({ length: 100 }, (_, at) => store.increment('n', at, 1000)))
    // Lets the commands go out, and then looks at nothing for longer than the limit.
    await new Promise(setImmediate)
    const end = performance.now() + 120
    while (performance.now() < end);
    await asked
    assert.deepEqual(states(), ['info: the store answers'])
  })
})
