import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import type { Slot } from 'postern/plugin'
import { Lines } from './waiting.ts'

/** Lines in front of keys with so many free slots; time stands still until it is told. */
function waitingFor(t: TestContext, free: Record<string, number>) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const lines = new Lines()
  const tries: string[] = []
  const back: Slot[] = []
  return {
    free,
    lines,
    /** Who tried, in which line. */
    tries,
    back,
    join: (who: string, keys: readonly string[], signal = new AbortController().signal, timeout = 1e6) =>
      lines.join(keys, {
        async attempt(key) {
          tries.push(`${who} ${key}`)
          const isFree = (free[key] ?? 0) > 0
          if (isFree) free[key]!--
          await Promise.resolve()
          return isFree ? { key, holder: who } : null
        },
        giveBack: (slot) => void back.push(slot),
        timeout,
        signal,
      }),
    /** A slot of the key comes free in this process. */
    release: (key: string) => {
      free[key]!++
      lines.wake(key)
    },
  }
}

/** Everything that waits for no timer has happened. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('a line', () => {
  test('is served in its order, without a pause for what is released here', async (t) => {
    const { tries, free, join, release, lines } = waitingFor(t, { k: 0 })
    const served: string[] = []
    const waits = ['a', 'b', 'c'].map(async (who) => served.push((await join(who, ['k']))!.holder))
    await settled()
    assert.deepEqual(tries, ['a k'], 'only the head asks')
    assert.equal(lines.lengthOf('k'), 3)
    release('k')
    await settled()
    assert.deepEqual(served, ['a'])
    release('k')
    release('k')
    await Promise.all(waits)
    assert.deepEqual(served, ['a', 'b', 'c'])
    assert.equal(free.k, 0)
    assert.equal(lines.lengthOf('k'), 0)
  })

  test('asks for what other processes release after 100 ms, then half as long again each time up to 2 s, give or take a fifth', async (t) => {
    const { tries, free, join } = waitingFor(t, { k: 0 })
    const wait = join('a', ['k'])
    await settled()
    for (let vain = 1; vain <= 15; vain++) {
      const pause = Math.min(100 * 1.5 ** (vain - 1), 2000)
      t.mock.timers.tick(Math.floor(pause * 0.8) - 1)
      await settled()
      assert.equal(tries.length, vain, `too soon after ${vain}`)
      t.mock.timers.tick(Math.ceil(pause * 0.4) + 2)
      await settled()
      assert.equal(tries.length, vain + 1, `too late after ${vain}`)
    }
    free.k = 1
    t.mock.timers.tick(2401)
    assert.equal((await wait)?.holder, 'a')
  })

  test('goes on at once where another process has released more than one', async (t) => {
    const { free, join } = waitingFor(t, { k: 0 })
    const waits = ['a', 'b', 'c'].map((who) => join(who, ['k']))
    await settled()
    free.k = 3
    t.mock.timers.tick(121)
    await settled()
    assert.equal(free.k, 0)
    assert.deepEqual(
      (await Promise.all(waits)).map((slot) => slot?.holder),
      ['a', 'b', 'c'],
    )
  })

  test('lets go of who has waited long enough, and of who leaves; the others move up', async (t) => {
    const { join, lines, release } = waitingFor(t, { k: 0 })
    const leaving = new AbortController()
    const [first, second, third] = [join('a', ['k'], undefined, 50), join('b', ['k'], leaving.signal), join('c', ['k'])]
    await settled()
    t.mock.timers.tick(50)
    assert.equal(await first, null)
    leaving.abort(new Error('gone'))
    await assert.rejects(second, /gone/)
    assert.equal(lines.lengthOf('k'), 1)
    release('k')
    assert.equal((await third)?.holder, 'c')
    await assert.rejects(join('d', ['k'], leaving.signal), /gone/)
    assert.equal(lines.lengthOf('k'), 0)
  })

  test('gives back what came for somebody who had just left', async (t) => {
    const { join, back, release } = waitingFor(t, { k: 0 })
    const leaving = new AbortController()
    const wait = join('a', ['k'], leaving.signal)
    await settled()
    release('k')
    leaving.abort(new Error('gone'))
    await assert.rejects(wait, /gone/)
    await settled()
    assert.deepEqual(back, [{ key: 'k', holder: 'a' }])
  })
})

describe('who waits in several lines', () => {
  test('gets the slot that is free first, and leaves the other lines', async (t) => {
    const { join, lines, release, back } = waitingFor(t, { k: 0, l: 0 })
    const wait = join('a', ['k', 'l'])
    await settled()
    release('l')
    assert.equal((await wait)?.key, 'l')
    assert.deepEqual([lines.lengthOf('k'), lines.lengthOf('l'), back.length], [0, 0, 0])
  })

  test('gives back the second of two that came at the same time', async (t) => {
    const { join, back, free } = waitingFor(t, { k: 1, l: 1 })
    const slot = await join('a', ['k', 'l'])
    await settled()
    assert.equal(slot?.key, 'k')
    assert.deepEqual(back, [{ key: 'l', holder: 'a' }])
    assert.deepEqual(free, { k: 0, l: 0 })
  })
})
