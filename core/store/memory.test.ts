import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, describe, test } from 'node:test'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { openMemoryStore } from './memory.ts'
import { storeContract } from './store.contract.ts'
import { closing, StoreModel, steps } from './store.fixture.ts'

describe('the store in memory', () => {
  const store = openMemoryStore()
  after(() => store.close())
  for (const [sentence, holds] of Object.entries(storeContract)) test(sentence, () => holds(store))

  test('is of this process alone', () => {
    assert.deepEqual([store.kind, store.isShared], ['memory', false])
  })
})

describe('the store in memory, as time goes by', () => {
  test('does what the model does', async () => {
    const passing = fc.nat(30).map((ms) => ({ ms }))
    const all = fc.array(fc.oneof(steps(fc.integer({ min: 1, max: 40 })), passing), { maxLength: 80 })
    const property = fc.asyncProperty(all, async (steps) => {
      const model = new StoreModel()
      await using store = closing(openMemoryStore({ now: () => model.now }))
      for (const step of steps) {
        if (typeof step === 'function') {
          const [said, meant] = await step(store, model, '')
          assert.deepEqual(said, meant, String(step))
        } else model.now += step.ms
      }
    })
    await fc.assert(property, { numRuns: 300 })
  })

  test('drops what has ended without being asked for it', async () => {
    let now = 0
    await using store = closing(openMemoryStore({ now: () => now }))
    for (let at = 0; at < 500; at++) await store.set({ key: `v${at}`, value: '', ttl: at % 2 ? 10 : 1000 })
    for (let at = 0; at < 500; at++) await store.acquire(`s${at}`, 'h', 1, at % 2 ? 10 : 1000)
    assert.equal(store.size, 1000)
    now = 100
    // A sixtieth each time: two rounds have looked at everything, wherever the first of them began.
    for (let step = 0; step < 130; step++) store.sweep()
    assert.equal(store.size, 500)
    now = 10_000
    for (let step = 0; step < 130; step++) store.sweep()
    assert.equal(store.size, 0)
  })

  test('sweeps by itself, and keeps no process alive for it', async () => {
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
    await using _ = closing(openMemoryStore())
    assert.equal(process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length, before)
  })
})

describe('the store in memory, in a small heap', () => {
  // Sessions as sticky-session keeps them, new key and old, more than 64 MiB hold.
  const fill = `
    import { openMemoryStore } from ${JSON.stringify(new URL('memory.ts', import.meta.url).href)}
    const store = openMemoryStore()
    for (let at = 0; at < 150_000; at++) {
      void store.set({ key: \`sticky_session:{0123456789abcdef:openai:\${at.toString(16).padStart(16, '0')}}:x\`, value: 'u', ttl: 3600_000 })
      void store.set({ key: \`sticky_session:0:openai:\${at.toString(16).padStart(64, '0')}\`, value: 'u', ttl: 600_000 })
    }
    console.log(store.size)
    await store.close()`

  test('forgets sessions before it takes the process with it', async () => {
    const options = ['--max-old-space-size=64', '--input-type=module', '-e', fill]
    const { stdout } = await promisify(execFile)(process.execPath, options, { timeout: 60_000 })
    const size = Number(stdout)
    assert.ok(size > 10_000 && size < 200_000, stdout)
  })
})

describe('the store in memory, full', () => {
  test('forgets what was written first', async () => {
    await using store = closing(openMemoryStore({ capacity: 3 }))
    for (const key of ['a', 'b', 'c']) await store.set({ key, value: key, ttl: 1000 })
    await store.set({ key: 'a', value: 'again', ttl: 1000 })
    await store.set({ key: 'd', value: 'd', ttl: 1000 })
    assert.deepEqual(await store.getMany(['a', 'b', 'c', 'd']), ['again', null, 'c', 'd'])
  })

  test('of characters forgets what was written first, as many as it takes', async () => {
    await using store = closing(openMemoryStore({ room: 100 }))
    for (const key of ['a', 'b', 'c', 'd']) await store.set({ key, value: 'x'.repeat(24), ttl: 1000 })
    await store.set({ key: 'd', value: 'x'.repeat(20), ttl: 1000 })
    await store.set({ key: 'e', value: 'x'.repeat(50), ttl: 1000 })
    const kept = await store.getMany(['a', 'b', 'c', 'd', 'e'])
    assert.deepEqual(
      kept.map((value) => value?.length),
      [undefined, undefined, 24, 20, 50],
    )
    // What was deleted, or has ended, leaves its room to others.
    await store.delete(['c', 'e'])
    for (const key of ['f', 'g']) await store.set({ key, value: 'x'.repeat(30), ttl: 1000 })
    assert.equal((await store.getMany(['d', 'f', 'g'])).every(Boolean), true)
    await store.set({ key: 'all', value: 'x'.repeat(1000), ttl: 1000 })
    assert.equal(store.size, 0)
  })

  test('is bounded for slots as well', async () => {
    await using store = closing(openMemoryStore({ capacity: 3 }))
    for (let at = 0; at < 10; at++) await store.acquire(`s${at}`, 'h', 1, 1000)
    await store.renew([{ key: 's10', holder: 'h' }], 1000)
    assert.equal(store.size, 3)
    assert.deepEqual(await store.count(['s0', 's9', 's10']), [0, 1, 1])
  })

  test('holds no more than its capacity, whatever is done', async () => {
    const property = fc.asyncProperty(fc.array(steps(fc.constant(1000)), { maxLength: 60 }), async (steps) => {
      await using store = closing(openMemoryStore({ capacity: 2 }))
      for (const step of steps) {
        await step(store, new StoreModel(), '')
        assert.ok(store.size <= 4)
      }
    })
    await fc.assert(property)
  })
})
