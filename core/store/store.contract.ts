/** What every store does, whatever it keeps its data in. Each sentence runs on keys of its own, beside others. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { until } from '../../test/redis.ts'
import { StoreModel, steps } from './store.fixture.ts'
import { StoreDown, type Store } from './store.ts'

/** Long enough that nothing ends while a test looks at it. */
const long = 60_000
/** Short enough to wait for. */
const short = 40

type Sentence = (store: Store, key: (name: string) => string) => Promise<void>

const values: Record<string, Sentence> = {
  async 'reads null where nothing was written'(store, key) {
    assert.equal(await store.get(key('k')), null)
    assert.deepEqual(await store.getMany([key('k'), key('l')]), [null, null])
  },
  async 'keeps a value as it was written, to the last character'(store, key) {
    for (const value of ['', ' ', 'a\r\n$3\r\nb', '\0', 'é — 漢字 🧵', '{"a":[1,2]}', 'x'.repeat(100_000)]) {
      await store.set({ key: key('k'), value, ttl: long })
      assert.equal(await store.get(key('k')), value)
    }
  },
  async 'forgets a value when its time has come, and not before'(store, key) {
    await store.setMany([
      { key: key('brief'), value: '1', ttl: short },
      { key: key('kept'), value: '2', ttl: long },
    ])
    await until(async () => (await store.get(key('brief'))) === null)
    assert.deepEqual(await store.getMany([key('brief'), key('kept')]), [null, '2'])
  },
  async 'gives a value that is written again a new time to live'(store, key) {
    await store.set({ key: key('brief'), value: '1', ttl: short })
    await store.set({ key: key('k'), value: '1', ttl: short })
    await store.set({ key: key('k'), value: '2', ttl: long })
    await until(async () => (await store.get(key('brief'))) === null)
    assert.equal(await store.get(key('k')), '2')
  },
  async 'takes a time to live with a fraction, of next to nothing, and of more than anybody lives'(store, key) {
    await store.set({ key: key('k'), value: '1', ttl: long + 0.4 })
    await store.set({ key: key('l'), value: '1', ttl: Infinity })
    assert.deepEqual(await store.getMany([key('k'), key('l')]), ['1', '1'])
    await store.delete([key('l')])
    await store.set({ key: key('k'), value: '1', ttl: 0 })
    await until(async () => (await store.get(key('k'))) === null)
    // A mistake of the caller, and no outage.
    const nonsense = { key: key('k'), value: '1', ttl: NaN }
    await assert.rejects(store.set(nonsense), RangeError)
    await assert.rejects(store.setMany([nonsense]), RangeError)
    await assert.rejects(store.increment(key('k'), 1, NaN), RangeError)
    await assert.rejects(store.acquire(key('l'), 'h', 1, NaN), RangeError)
    await assert.rejects(store.renew([{ key: key('l'), holder: 'h' }], NaN), RangeError)
    assert.equal(store.health.isUp, true)
  },
  async 'answers for many keys in their order, one asked for twice as well'(store, key) {
    await store.setMany([1, 2, 3].map((n) => ({ key: key(`k${n}`), value: `v${n}`, ttl: long })))
    assert.deepEqual(await store.getMany(['k3', 'no', 'k1', 'k3'].map(key)), ['v3', null, 'v1', 'v3'])
    assert.deepEqual(await store.getMany([]), [])
  },
  async 'answers for more keys than fit one command'(store, key) {
    const names = Array.from({ length: 2500 }, (_, at) => key(`k${at}`))
    await store.setMany(names.map((key, at) => ({ key, value: String(at), ttl: long })))
    assert.deepEqual(
      await store.getMany(names),
      names.map((_, at) => String(at)),
    )
    await store.delete(names)
    assert.deepEqual(new Set(await store.getMany(names)), new Set([null]))
  },
  async 'adds only where nothing is, for one of many that try at once'(store, key) {
    const tries = await Promise.all(
      Array.from({ length: 20 }, (_, at) => store.add({ key: key('k'), value: String(at), ttl: long })),
    )
    assert.equal(tries.filter(Boolean).length, 1)
    assert.equal(await store.get(key('k')), String(tries.indexOf(true)))
    await store.set({ key: key('l'), value: '1', ttl: short })
    await until(() => store.add({ key: key('l'), value: '2', ttl: long }))
    assert.equal(await store.get(key('l')), '2')
  },
  async 'raises a number, never lowers it, and keeps the longer time to live'(store, key) {
    const now = 1_763_712_000_123
    assert.equal(await store.raise(key('k'), now, long), now)
    assert.equal(await store.raise(key('k'), now - 1, short), now)
    assert.equal(await store.raise(key('k'), now + 0.25, short), now + 0.25)
    await store.raise(key('brief'), 1, short)
    await store.raise(key('lengthened'), 2, short)
    assert.equal(await store.raise(key('lengthened'), 1, long), 2)
    await until(async () => (await store.get(key('brief'))) === null)
    assert.deepEqual(await store.getMany([key('k'), key('lengthened')]), [String(now + 0.25), '2'])
    assert.equal(await store.raise(key('brief'), -5, long), -5)
  },
  async 'counts from 0, below it and by fractions, and loses no addition of many at once'(store, key) {
    const sums = await Promise.all(Array.from({ length: 50 }, () => store.increment(key('k'), 2, long)))
    assert.deepEqual(
      sums.toSorted((a, b) => a - b),
      Array.from({ length: 50 }, (_, at) => 2 * (at + 1)),
    )
    assert.equal(await store.increment(key('k'), -101, long), -1)
    assert.equal(await store.increment(key('k'), 0.5, long), -0.5)
  },
  async 'takes what is no number for nothing where it raises, and refuses to add to it'(store, key) {
    await store.set({ key: key('k'), value: 'text', ttl: long })
    await assert.rejects(store.increment(key('k'), 1, long), StoreDown)
    assert.equal(await store.get(key('k')), 'text')
    assert.equal(await store.raise(key('k'), -7, long), -7)
    assert.equal(await store.increment(key('k'), 1, long), -6)
  },
  async 'ends a counter with the time of its first addition'(store, key) {
    await store.increment(key('k'), 5, short)
    await store.increment(key('k'), 5, long)
    await until(async () => (await store.get(key('k'))) === null)
    assert.equal(await store.increment(key('k'), 1, long), 1)
  },
  async 'deletes what it is told, and nothing for nothing'(store, key) {
    await store.setMany(['a', 'b', 'c'].map((name) => ({ key: key(name), value: name, ttl: long })))
    await store.delete([])
    await store.delete([key('a'), key('none'), key('c')])
    assert.deepEqual(await store.getMany(['a', 'b', 'c'].map(key)), [null, 'b', null])
  },
  async 'deletes by prefix, and takes every character of it for what it is'(store, key) {
    const names = ['x*y:1', 'xzy:1', 'x?y:1', 'x[ab]y:1', 'xay:1', String.raw`x\y:1`, 'x^y:1']
    await store.setMany(names.map((name) => ({ key: key(name), value: name, ttl: long })))
    for (const name of names) {
      assert.equal(await store.deletePrefix(key(name.slice(0, -1))), 1, name)
      assert.equal(await store.get(key(name)), null, name)
    }
    assert.equal(await store.deletePrefix(key('x')), 0)
  },
  async 'deletes thousands by prefix, slots as well, and says how many'(store, key) {
    const entries = Array.from({ length: 3000 }, (_, at) => ({ key: key(`p:${at}`), value: '', ttl: long }))
    await store.setMany([...entries, { key: key('q'), value: 'stays', ttl: long }])
    await store.acquire(key('p:slots'), 'h', 1, long)
    assert.equal(await store.deletePrefix(key('p:')), 3001)
    assert.deepEqual(await store.count([key('p:slots')]), [0])
    assert.equal(await store.get(key('q')), 'stays')
  },
}

const slots: Record<string, Sentence> = {
  async 'gives out as many slots as there are, and again what comes back'(store, key) {
    assert.equal(await store.acquire(key('k'), 'h1', 2, long), true)
    assert.equal(await store.acquire(key('k'), 'h2', 2, long), true)
    assert.equal(await store.acquire(key('k'), 'h3', 2, long), false)
    assert.deepEqual(await store.count([key('k'), key('none')]), [2, 0])
    await store.release(key('k'), 'h1')
    assert.equal(await store.acquire(key('k'), 'h3', 2, long), true)
    assert.equal(await store.acquire(key('none'), 'h1', 0, long), false)
    assert.deepEqual(await store.count([]), [])
  },
  async 'gives a holder its own slot again, where none is free as well'(store, key) {
    await store.acquire(key('k'), 'h1', 1, short)
    await store.acquire(key('brief'), 'h1', 1, short)
    assert.equal(await store.acquire(key('k'), 'h1', 1, long), true)
    await until(async () => (await store.count([key('brief')]))[0] === 0)
    assert.deepEqual(await store.count([key('k')]), [1])
  },
  async 'never gives the last slot to two'(store, key) {
    for (let round = 0; round < 20; round++) {
      const tries = await Promise.all(
        Array.from({ length: 12 }, (_, at) => store.acquire(key(`k${round}`), `h${at}`, 3, long)),
      )
      assert.equal(tries.filter(Boolean).length, 3)
      assert.deepEqual(await store.count([key(`k${round}`)]), [3])
    }
  },
  async 'takes a slot back when its lease ends'(store, key) {
    await store.acquire(key('k'), 'gone', 1, short)
    await until(() => store.acquire(key('k'), 'h2', 1, long))
    assert.deepEqual(await store.count([key('k')]), [1])
    assert.equal(await store.acquire(key('k'), 'gone', 1, long), false)
  },
  async 'keeps a long lease beside a short one'(store, key) {
    await store.acquire(key('k'), 'long', 2, long)
    await store.acquire(key('k'), 'short', 2, short)
    await until(async () => (await store.count([key('k')]))[0] === 1)
    await store.renew([{ key: key('k'), holder: 'short' }], short)
    await until(async () => (await store.count([key('k')]))[0] === 1)
    assert.equal(await store.acquire(key('k'), 'long', 1, long), true)
    // What has ended is in nobody's way, although the key lives on.
    assert.equal(await store.acquire(key('k'), 'next', 2, long), true)
    assert.equal(await store.acquire(key('k'), 'short', 2, long), false)
  },
  async 'renews many leases at once, and takes those again that have ended'(store, key) {
    const keys = Array.from({ length: 1100 }, (_, at) => key(`k${at}`))
    const held = keys.map((key) => ({ key, holder: 'h1' }))
    await store.acquire(key('k0'), 'h1', 1, short)
    await until(async () => (await store.count([key('k0')]))[0] === 0)
    await store.renew(held, long)
    await store.renew([], long)
    assert.deepEqual(new Set(await store.count(keys)), new Set([1]))
    assert.equal(await store.acquire(key('k0'), 'h2', 1, long), false)
  },
  async 'does not mind a slot given back twice, or never taken'(store, key) {
    await store.acquire(key('k'), 'h1', 1, long)
    await store.release(key('k'), 'h2')
    await store.release(key('none'), 'h1')
    assert.deepEqual(await store.count([key('k')]), [1])
    await store.release(key('k'), 'h1')
    await store.release(key('k'), 'h1')
    assert.deepEqual(await store.count([key('k')]), [0])
  },
}

const channels: Record<string, Sentence> = {
  async 'tells who listens to the channel, in order, and nobody else'(store, key) {
    const heard: string[] = []
    const offs = [
      await store.subscribe(key('c'), (message) => heard.push(`1 ${message}`)),
      await store.subscribe(key('c'), (message) => heard.push(`2 ${message}`)),
      await store.subscribe(key('d'), (message) => heard.push(`other ${message}`)),
    ]
    const messages = ['a', 'é\r\n', ...Array.from({ length: 50 }, (_, at) => String(at))]
    for (const message of messages) await store.publish(key('c'), message)
    await until(() => heard.length === 2 * messages.length)
    assert.deepEqual(
      heard,
      messages.flatMap((message) => [`1 ${message}`, `2 ${message}`]),
    )
    for (const off of offs) await off()
  },
  async 'tells no more to who has stopped listening'(store, key) {
    const heard: string[] = []
    const offFirst = await store.subscribe(key('c'), (message) => heard.push(`1 ${message}`))
    const offSecond = await store.subscribe(key('c'), (message) => heard.push(`2 ${message}`))
    await offFirst()
    await offFirst()
    await store.publish(key('c'), 'a')
    await until(() => heard.length === 1)
    await offSecond()
    const off = await store.subscribe(key('end'), (message) => heard.push(message))
    await store.publish(key('c'), 'b')
    await store.publish(key('end'), 'end')
    await until(() => heard.includes('end'))
    assert.deepEqual(heard, ['2 a', 'end'])
    await off()
  },
  async 'tells the others where a listener throws'(store, key) {
    const heard: string[] = []
    const offs = [
      await store.subscribe(key('c'), () => {
        throw new Error('a listener of this test throws')
      }),
      await store.subscribe(key('c'), (message) => heard.push(message)),
    ]
    await store.publish(key('c'), 'a')
    await until(() => heard.length === 1)
    for (const off of offs) await off()
  },
}

const model: Record<string, Sentence> = {
  async 'does what the model does, whatever is asked in whatever order'(store) {
    const property = fc.asyncProperty(fc.array(steps(fc.constant(long)), { maxLength: 40 }), async (steps) => {
      const prefix = `${randomUUID()}:`
      const model = new StoreModel()
      for (const step of steps) {
        const [said, meant] = await step(store, model, prefix)
        assert.deepEqual(said, meant, String(step))
      }
    })
    await fc.assert(property, { numRuns: 60 })
  },
  async 'says that it is up'(store, key) {
    await store.get(key('k'))
    assert.equal(store.health.isUp, true)
  },
}

/** By the sentence that must hold. */
export const storeContract: Readonly<Record<string, (store: Store) => Promise<void>>> = Object.fromEntries(
  Object.entries({ ...values, ...slots, ...channels, ...model }).map(([sentence, holds]) => {
    const own = `contract:${randomUUID()}:`
    return [sentence, (store: Store) => holds(store, (name) => own + name)]
  }),
)
