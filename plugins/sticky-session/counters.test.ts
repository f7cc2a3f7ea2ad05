import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Log, StoreEntry } from 'postern/plugin'
import { Jobs } from '../../core/jobs.ts'
import { openMemoryStore } from '../../core/store/memory.ts'
import { Bindings } from './bindings.ts'
import { counterKey, Counters } from './counters.ts'
import { until } from './probe.fixture.ts'

const lines: string[] = []
const note = (_fields: object, message: string) => void lines.push(message)
const log: Log = { debug: note, info: note, warn: note, error: note }
const today = () => new Date().toISOString().slice(0, 10)

describe('what is counted', () => {
  test('goes to the store once per counter, whatever was counted, and waits while the store is down', async () => {
    const store = openMemoryStore()
    let [asked, down] = [0, true]
    const counters = new Counters(
      {
        async increment(key, by, ttl) {
          asked++
          if (down) throw new Error('down')
          return store.increment(key, by, ttl)
        },
      },
      log,
    )
    for (let times = 0; times < 100; times++) counters.add('sticky_reads')
    counters.add('store_errors')
    await counters.flush()
    assert.equal(asked, 2)
    down = false
    counters.add('sticky_reads')
    await counters.flush()
    await counters.flush()
    assert.equal(asked, 4)
    assert.equal(await store.get(counterKey(today(), 'sticky_reads')), '101')
    assert.equal(lines.length, 1, 'an outage is told once, not with every try')
    await store.close()
  })
})

describe('a binding on its way to the store', () => {
  /** Bindings over a store whose writes wait until they are let through. */
  async function waiting() {
    const store = openMemoryStore()
    const through: (() => void)[] = []
    const slow = {
      getMany: (keys: readonly string[]) => store.getMany(keys),
      delete: (keys: readonly string[]) => store.delete(keys),
      async setMany(entries: readonly StoreEntry[]) {
        await new Promise<void>((resolve) => through.push(resolve))
        if (made.down) throw new Error('down')
        return store.setMany(entries)
      },
    }
    const jobs = new Jobs(log)
    const counters = new Counters(store, log)
    const bindings = new Bindings({ store: slow, queue: (options, worker) => jobs.queue(options, worker) }, counters, {
      readsOld: true,
      writesOld: true,
      refresh: 60_000,
      accounts: {},
    })
    const made = {
      bindings,
      counters,
      store,
      through,
      /** Whether writes fail that are let through. */
      down: false,
      async [Symbol.asyncDispose]() {
        const ended = jobs.end()
        const timer = setInterval(() => through.splice(0).forEach((go) => go()), 1)
        await ended
        clearInterval(timer)
        await store.close()
      },
    }
    return made
  }
  const keys = { key: 'new', legacy: 'old' }

  test('is read already, so that a turn may follow at once', async () => {
    await using it = await waiting()
    it.bindings.write([{ keys, upstream: 'a', ttl: 1000 }])
    assert.deepEqual(await it.bindings.read([keys]), [{ upstream: 'a', isOld: false }])
    it.bindings.forget(keys)
    assert.deepEqual(await it.bindings.read([keys]), [null])
    assert.deepEqual(await it.store.getMany(['new', 'old']), [null, null])
  })

  test('that the store did not take is due again at once', async () => {
    await using it = await waiting()
    const binding = { keys, upstream: 'a', ttl: 1000 }
    assert.equal(it.bindings.isDue(binding), true)
    it.bindings.write([binding])
    assert.equal(it.bindings.isDue(binding), false)
    it.down = true
    it.through.shift()?.()
    await until(() => it.bindings.isDue(binding), 'the write has failed')
    assert.deepEqual(await it.bindings.read([keys]), [null])
  })

  test('is lost, and counted, where too many wait', async () => {
    await using it = await waiting()
    for (let at = 0; at < 1100; at++) {
      it.bindings.write([{ keys: { key: String(at), legacy: null }, upstream: 'a', ttl: 1000 }])
    }
    assert.equal(it.through.length, 16)
    await it.counters.flush()
    assert.equal(await it.store.get(counterKey(today(), 'store_errors')), String(1100 - 1000 - 16))
    assert.deepEqual(await it.bindings.read([{ key: '1099', legacy: null }]), [null])
  })
})
