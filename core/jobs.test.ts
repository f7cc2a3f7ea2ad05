import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Jobs } from './jobs.ts'
import type { Log } from './plugin.ts'

const errors: object[] = []
const log: Log = { debug() {}, info() {}, warn() {}, error: (fields) => void errors.push(fields) }
const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('a repeated task', () => {
  test('runs again after each end, outlives its failures, and stops when the jobs end', async () => {
    const jobs = new Jobs(log)
    errors.length = 0
    let runs = 0
    const thrice = new Promise<void>((resolve) => {
      jobs.every(1, async () => {
        runs++
        if (runs === 1) throw new Error('once')
        if (runs === 3) resolve()
      })
    })
    const held = setInterval(() => {}, 1000) // the tasks themselves keep no process alive
    await thrice
    await jobs.end()
    clearInterval(held)
    const ended = runs
    await turn()
    assert.equal(runs, ended)
    assert.equal(errors.length, 1)
  })
})

describe('a queue', () => {
  test('refuses what does not fit, and is empty when the jobs have ended', async () => {
    const jobs = new Jobs(log)
    const done: number[] = []
    const gates: (() => void)[] = []
    const queue = jobs.queue<number>({ capacity: 2, workers: 1 }, async (item) => {
      await new Promise<void>((resolve) => gates.push(resolve))
      done.push(item)
    })
    assert.deepEqual([queue.push(1), queue.push(2), queue.push(3), queue.push(4)], [true, true, true, false])
    assert.equal(queue.length, 2)
    const ended = jobs.end()
    assert.equal(queue.push(5), false, 'closed')
    while (done.length < 3) {
      gates.shift()?.()
      await turn()
    }
    await ended
    assert.deepEqual(done, [1, 2, 3])
  })

  test('goes on after an item that failed', async () => {
    const jobs = new Jobs(log)
    errors.length = 0
    const done: number[] = []
    const queue = jobs.queue<number>({ capacity: 9, workers: 2 }, (item) => {
      if (item === 1) throw new Error('one')
      done.push(item)
    })
    for (const item of [1, 2, 3]) queue.push(item)
    await jobs.end()
    assert.deepEqual(done, [2, 3])
    assert.equal(errors.length, 1)
  })
})
