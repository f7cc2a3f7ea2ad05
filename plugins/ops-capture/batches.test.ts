import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CapturedError, Log } from 'postern/plugin'
import { Jobs } from '../../core/jobs.ts'
import { openMetrics } from '../../core/observe/metrics.ts'
import { batchQueue, complaints } from './batches.ts'
import { metricsOf } from './metrics.ts'
import type { Sink } from './sink.ts'

/** A log that keeps what is said, and the queue of a gateway with a sink that writes when it is told to. */
function stage(capacity: number) {
  const said: object[] = []
  const hear = (fields: object, message: string) => void said.push({ ...fields, message })
  const log: Log = { debug: hear, info: hear, warn: hear, error: hear }
  const jobs = new Jobs(log)
  const retired = new AbortController()
  const metrics = openMetrics()
  const losses = complaints(log, retired.signal, metricsOf(metrics).lost)
  const written: number[] = []
  const waiting: { resolve(): void; reject(error: Error): void }[] = []
  const sink: Sink = {
    write: (batch) =>
      new Promise((resolve, reject) => {
        written.push(batch.length)
        waiting.push({ resolve, reject })
      }),
  }
  const queue = batchQueue({ queue: (options, worker) => jobs.queue(options, worker) }, sink, capacity, losses)
  // The sink is asked in a later turn of the microtasks.
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  return { said, jobs, retired, losses, written, waiting, queue, settled, metrics }
}
const record = {} as CapturedError // nobody looks into it here

describe('records', () => {
  test('are written at once while the sink keeps up, and together while it does not', async () => {
    const { queue, written, waiting, settled, jobs } = stage(1000)
    for (let at = 0; at < 601; at++) assert.ok(queue.push(record))
    for (let at = 0; at < 4; at++) {
      await settled()
      waiting[at]?.resolve()
    }
    await jobs.end()
    assert.deepEqual(written, [1, 256, 256, 88])
  })

  test('that do not fit are refused, and the rest is written before the end', async () => {
    const { queue, waiting, written, settled, jobs } = stage(3)
    assert.deepEqual(
      [1, 2, 3, 4, 5].map(() => queue.push(record)),
      [true, true, true, true, false],
    )
    const ended = jobs.end()
    assert.equal(queue.push(record), false)
    waiting[0]?.resolve()
    await settled()
    waiting[1]?.resolve()
    await ended
    assert.deepEqual(written, [1, 3])
  })

  test('that could not be written are counted, and the next ones are', async () => {
    const { queue, waiting, written, settled, jobs, said, metrics } = stage(10)
    queue.push(record)
    waiting[0]?.reject(new Error('disk full'))
    await settled()
    queue.push(record)
    waiting[1]?.resolve()
    await jobs.end()
    assert.deepEqual(written, [1, 1])
    assert.equal(said.length, 1)
    assert.match(JSON.stringify(said[0]), /"dropped":0,"unwritten":1.*captured errors were lost/)
    assert.match(metrics.render(), /postern_captured_errors_lost_total\{why="unwritten"\} 1\n/)
  })
})

test('losses are told once a minute, and once more at the end', () => {
  const { losses, said, retired } = stage(1)
  for (let at = 0; at < 100; at++) losses.dropped()
  assert.equal(said.length, 1)
  retired.abort()
  assert.deepEqual(
    said.map((one) => ('dropped' in one ? one.dropped : null)),
    [1, 100],
  )
})
