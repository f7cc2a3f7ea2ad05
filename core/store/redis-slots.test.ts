import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { freshRedis, until } from '../../test/redis.ts'
import { silentLog } from '../observe/log.ts'
import { openRedisStore } from './redis.ts'
import { closing } from './store.fixture.ts'

const holder = fileURLToPath(new URL('holder.fixture.ts', import.meta.url))

describe('a process that holds slots in Redis', () => {
  test('keeps them as long as it lives, and loses them with its lease when it is killed', async () => {
    await using redis = await freshRedis()
    await using store = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    const lease = 600
    const child = spawn(process.execPath, [holder, redis.url, 'slots', String(lease)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    // It outlives its first lease: the end that Redis knows is put off.
    const ends = async () => Number(await redis.ask('ZSCORE', 'slots', 'killed'))
    const first = await ends()
    await until(async () => (await ends()) > first + lease)
    assert.equal(await store.acquire('slots', 'next', 1, 60_000), false)
    child.kill('SIGKILL')
    await once(child, 'close')
    await until(() => store.acquire('slots', 'next', 1, 60_000))
    assert.deepEqual(await redis.ask('ZRANGE', 'slots', 0, -1), ['next'])
  })

  test('that lost Redis for a while has them again with its next renewal', async () => {
    await using redis = await freshRedis()
    await using store = closing(openRedisStore(redis.url, silentLog, { limit: 2000 }))
    assert.equal(await store.acquire('slots', 'h', 1, 60_000), true)
    await redis.stop()
    await redis.start()
    await until(() => store.health.isUp)
    assert.deepEqual(await store.count(['slots']), [0])
    await store.renew([{ key: 'slots', holder: 'h' }], 60_000)
    assert.equal(await store.acquire('slots', 'other', 1, 60_000), false)
  })
})
