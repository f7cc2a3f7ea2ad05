import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Ending, Hurry, type Part } from './ending.ts'
import type { Log } from './plugin.ts'

function recording() {
  const lines: string[] = []
  const say = (_fields: object, message: string) => void lines.push(message)
  const log: Log = { debug: say, info: say, warn: say, error: say }
  return { log, lines }
}

const longest = 60_000
const part = (name: string, end: Part['end']): Part => ({ name, end })

describe('things that have to end', () => {
  test('do so group by group, those of one group at the same time', async () => {
    const order: string[] = []
    const both = Promise.withResolvers<void>()
    let begun = 0
    const meets = (name: string) =>
      part(name, async () => {
        order.push(name)
        if (++begun === 2) both.resolve()
        // Neither would end if one had to wait for the other.
        await both.promise
      })
    const failed = await new Ending(recording().log).run([
      { within: longest, parts: [meets('a'), meets('b')] },
      { within: longest, parts: [part('c', () => void order.push('c'))] },
    ])
    assert.deepEqual(order, ['a', 'b', 'c'])
    assert.deepEqual(failed, [])
  })

  test('do so although another one throws, rejects or stays: it is named, and in the log', async () => {
    const { log, lines } = recording()
    const ending = new Ending(log)
    const never = Promise.withResolvers<void>()
    const ended: string[] = []
    const throws = () => {
      throw new Error('boom')
    }
    const running = ending.run([
      {
        within: 20,
        parts: [
          part('thrower', throws),
          part('rejecter', () => Promise.reject(new Error('boom'))),
          part('stayer', () => never.promise),
          part('good', () => void ended.push('good')),
        ],
      },
      { within: longest, parts: [part('later', () => void ended.push('later'))] },
    ])
    const failed = await running
    assert.deepEqual(failed, ['thrower', 'rejecter', 'stayer'])
    assert.deepEqual(ended, ['good', 'later'])
    assert.deepEqual(lines.toSorted(), [
      'rejecter did not end cleanly',
      'stayer did not end in time: it is left behind',
      'thrower did not end cleanly',
    ])
    never.reject(new Error('too late'))
    await new Promise(setImmediate)
    assert.equal(lines.at(-1), 'stayer did not end cleanly', 'what becomes of it is told as well')
  })

  test('are named as long as they have not ended', async () => {
    const ending = new Ending(recording().log)
    const slow = Promise.withResolvers<void>()
    const running = ending.run([{ within: longest, parts: [part('slow', () => slow.promise), part('fast', () => {})] }])
    await new Promise(setImmediate)
    assert.deepEqual(ending.pending, ['slow'])
    slow.resolve()
    await running
    assert.deepEqual(ending.pending, [])
  })

  test('have as long as they need until somebody is in a hurry; their deadlines count from then', async () => {
    const hurry = new Hurry()
    const slow = Promise.withResolvers<void>()
    const ending = new Ending(recording().log, hurry)
    const within = 20
    const running = ending.run([
      { within, parts: [part('slow', () => slow.promise)] },
      { within, parts: [part('never', () => new Promise(() => {}))] },
    ])
    // Longer than its deadline, which has not begun.
    for (const since = performance.now(); performance.now() - since < 2 * within;) await new Promise(setImmediate)
    assert.deepEqual(ending.pending, ['slow'])
    slow.resolve()
    hurry.begin()
    assert.deepEqual(await running, ['never'])
  })
})
