import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { freshRedis, until } from '../../test/redis.ts'
import type { Log } from '../plugin.ts'
import { openStore } from './open.ts'
import { parseRedisAddress } from './redis-address.ts'
import { openRedisStore } from './redis.ts'
import { closing } from './store.fixture.ts'
import { StoreDown } from './store.ts'

function recording(): { log: Log; told: [string, object][] } {
  const told: [string, object][] = []
  const tell = (fields: object, message: string) => void told.push([message, fields])
  return { log: { debug: tell, info: tell, warn: tell, error: tell }, told }
}

const password = 'p@ss/w:rd#1'
const withPassword = (url: string, word: string) => url.replace('://', `://:${encodeURIComponent(word)}@`)

describe('the password of Redis', () => {
  test('opens it, for listeners as well', async () => {
    await using redis = await freshRedis({ password })
    await using store = closing(openRedisStore(withPassword(redis.url, password), recording().log, { limit: 2000 }))
    const heard = Promise.withResolvers<string>()
    await store.subscribe('c', heard.resolve)
    await store.publish('c', 'm')
    assert.equal(await heard.promise, 'm')
  })

  test('that is wrong is an outage, told once and without it, until the server takes it', async () => {
    await using redis = await freshRedis({ password })
    const { log, told } = recording()
    await using store = closing(openRedisStore(withPassword(redis.url, 'wrong-secret'), log, { limit: 2000 }))
    await assert.rejects(store.get('k'), (error) => error instanceof StoreDown && /WRONGPASS/.test(error.message))
    await until(() => store.health.failures > 0 && told.length > 0)
    assert.match(JSON.stringify(told), /the store is down.*WRONGPASS/)
    await redis.ask('CONFIG', 'SET', 'requirepass', 'wrong-secret')
    await until(() => store.health.isUp)
    assert.equal(told.filter(([message]) => message.startsWith('the store is down')).length, 1)
    assert.doesNotMatch(JSON.stringify(told) + store.health.lastError, /wrong-secret/)
  })

  test('that is missing is an outage that says so', async () => {
    await using redis = await freshRedis({ password })
    await using store = closing(openRedisStore(redis.url, recording().log, { limit: 2000 }))
    await assert.rejects(store.get('k'), /NOAUTH/)
  })

  test('is not told where the server itself repeats it', async () => {
    // A server that does not know AUTH, as one behind some proxies, answers with the arguments it was given.
    await using redis = await freshRedis({
      arguments: ['--rename-command', 'AUTH', '', '--rename-command', 'HELLO', ''],
    })
    const { log, told } = recording()
    await using store = closing(openRedisStore(withPassword(redis.url, 'repeated-secret'), log, { limit: 2000 }))
    await assert.rejects(store.get('k'), StoreDown)
    assert.match(JSON.stringify(told), /unknown command/)
    assert.doesNotMatch(JSON.stringify(told) + store.health.lastError, /repeated-secret/)
  })

  test('with a name is that of a user, who may be allowed less than everything', async () => {
    await using redis = await freshRedis()
    await redis.ask('ACL', 'SETUSER', 'ann', 'on', '>secret', '~*', '+get', '+set', '+hello', '+info')
    await using store = closing(
      openRedisStore(redis.url.replace('://', '://ann:secret@'), recording().log, { limit: 2000 }),
    )
    await store.set({ key: 'k', value: '1', ttl: 60_000 })
    assert.equal(await store.get('k'), '1')
    await assert.rejects(store.increment('n', 1, 1000), /NOPERM/)
    assert.equal(store.health.isUp, true)
  })
})

describe('a user who may not listen', () => {
  test('is told so, and hears when that changes', async () => {
    await using redis = await freshRedis()
    await redis.ask('ACL', 'SETUSER', 'ann', 'on', '>secret', '~*', '+@all', 'resetchannels')
    const { log, told } = recording()
    await using store = closing(openRedisStore(redis.url.replace('://', '://ann:secret@'), log, { limit: 2000 }))
    const heard = Promise.withResolvers<string>()
    await store.subscribe('c', heard.resolve)
    await until(() => /refuses a command.*NOPERM/.test(JSON.stringify(told)))
    assert.equal(store.health.isUp, true)
    await redis.ask('ACL', 'SETUSER', 'ann', 'allchannels')
    await until(() => store.publish('c', 'm').then(() => redis.ask('PUBSUB', 'NUMSUB', 'c')).then((told) => String(told) === 'c,1')) // prettier-ignore
    await store.publish('c', 'm')
    assert.equal(await heard.promise, 'm')
  })
})

describe('the database of Redis', () => {
  test('is the one that the address names', async () => {
    await using redis = await freshRedis()
    await using store = closing(openRedisStore(`${redis.url}/3`, recording().log, { limit: 2000 }))
    await store.set({ key: 'k', value: '1', ttl: 60_000 })
    assert.match(String(await redis.ask('INFO', 'keyspace')), /db3:keys=1/)
  })

  test('that the server does not have is an outage, and no other is written to instead', async () => {
    await using redis = await freshRedis()
    await using store = closing(openRedisStore(`${redis.url}/99`, recording().log, { limit: 2000 }))
    await assert.rejects(store.set({ key: 'k', value: '1', ttl: 60_000 }), /DB index/)
    await until(() => store.health.lastError !== null)
    await assert.rejects(store.set({ key: 'k', value: '1', ttl: 60_000 }), StoreDown)
    assert.equal(await redis.ask('DBSIZE'), 0)
  })
})

describe('a server that has become a replica', () => {
  test('refuses writes, and takes them when it is a master again', async () => {
    await using redis = await freshRedis()
    await using other = await freshRedis()
    await using store = closing(openRedisStore(redis.url, recording().log, { limit: 2000 }))
    await store.set({ key: 'k', value: '1', ttl: 60_000 })
    await redis.ask('REPLICAOF', '127.0.0.1', other.port)
    await assert.rejects(store.set({ key: 'k', value: '2', ttl: 60_000 }), /READONLY/)
    await redis.ask('REPLICAOF', 'NO', 'ONE')
    await until(() =>
      store.set({ key: 'k', value: '3', ttl: 60_000 }).then(
        () => true,
        () => false,
      ),
    )
    assert.equal(await store.get('k'), '3')
  })
})

describe('an address', () => {
  const right: [string, Partial<ReturnType<typeof parseRedisAddress>>][] = [
    [
      'redis://localhost',
      { nodes: [{ host: 'localhost', port: 6379 }], isCluster: false, isTls: false, password: null, db: 0 },
    ],
    ['redis://[::1]:6380/2', { nodes: [{ host: '::1', port: 6380 }], db: 2, shown: 'redis://[::1]:6380/2' }],
    ['rediss://ann:a%40b@h:1/', { username: 'ann', password: 'a@b', isTls: true, db: 0, shown: 'rediss://h:1' }],
    ['redis://:p@w:x@h', { username: null, password: 'p@w:x', shown: 'redis://h' }],
    ['redis://:@h', { username: null, password: null }],
    [
      'rediss+cluster://:s@a:1,b:2,c',
      {
        nodes: [
          { host: 'a', port: 1 },
          { host: 'b', port: 2 },
          { host: 'c', port: 6379 },
        ],
        isCluster: true,
        isTls: true,
        password: 's',
        shown: 'rediss+cluster://a:1,b:2,c',
      },
    ],
  ]
  for (const [text, meant] of right) {
    test(`${text} is understood`, () => {
      assert.deepEqual({ ...parseRedisAddress(text), ...meant }, parseRedisAddress(text))
    })
  }

  const wrong: [string, RegExp][] = [
    ['redis://:topsecret@', /an address is/],
    ['redis://:top%secret@h', /percent-encoded/],
    ['redis://:topsecret@h:0', /no port 0/],
    ['redis://:topsecret@h:99999', /no port 99999/],
    ['redis://:topsecret@h/two', /an address is/],
    ['redis://:topsecret@a:1,b:2', /redis\+cluster:\/\/a:1,b:2/],
    ['redis+cluster://:topsecret@a:1/1', /leave out \/1/],
    ['http://h', /an address is/],
  ]
  for (const [text, why] of wrong) {
    test(`${text} is refused with the cure, and without the password`, async () => {
      await assert.rejects(openStore(text, recording().log), (error: Error) => {
        assert.match(error.message, why)
        assert.doesNotMatch(error.message, /topsecret|top%secret/)
        return true
      })
    })
  }
})
