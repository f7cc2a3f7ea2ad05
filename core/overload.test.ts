import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { openMetrics } from './observe/metrics.ts'
import { parseExposition } from './observe/metrics.fixture.ts'
import { mostConnections, Overload, type OverloadLimits, type Reading } from './overload.ts'
import type { Priority } from './plugin.ts'

const MiB = 2 ** 20
const priorities = ['low', 'normal', 'high'] as const

/** A guard of a process that is what `reading` says; nobody looks but `look`. */
function guard(reading: Partial<Reading>, limits: Partial<OverloadLimits> = {}) {
  const lines: { readonly message: string; readonly fields: object }[] = []
  const add = (fields: object, message: string) => void lines.push({ fields, message })
  const metrics = openMetrics()
  const overload = new Overload({
    log: { debug: add, info: add, warn: add, error: add },
    metrics,
    read: () => ({ heap: 0, heapLimit: 1000 * MiB, external: 0, ...reading }),
  })
  overload.use({ memory: 100 * MiB, lag: 500, ...limits })
  overload.close()
  let now = performance.now()
  return {
    overload,
    lines,
    look: (late = 0) => overload.look((now += 100 + late)),
    /** Which priorities are served. */
    served: () => priorities.filter((priority) => overload.admit(priority, 0) === null),
    count: (priority: Priority, cause: string) => {
      const { samples = [] } = parseExposition(metrics.render()).get('postern_turned_away_total') ?? {}
      return samples.find(({ labels }) => labels.priority === priority && labels.cause === cause)?.value ?? 0
    },
  }
}

describe('the memory of the process', () => {
  test('turns away the lowest priority first, and all of them at its end', () => {
    const reading = { heap: 30 * MiB, external: 0 }
    const { served, look } = guard(reading)
    const at = (percent: number) => {
      reading.external = (percent - 30) * MiB
      look()
      return served()
    }
    assert.deepEqual(at(79), ['low', 'normal', 'high'])
    assert.deepEqual(at(80), ['normal', 'high'])
    assert.deepEqual(at(89), ['normal', 'high'])
    assert.deepEqual(at(90), ['high'])
    assert.deepEqual(at(99), ['high'])
    assert.deepEqual(at(100), [])
    assert.deepEqual(at(400), [])
    assert.deepEqual(at(40), ['low', 'normal', 'high'], 'it recovers by itself')
  })

  test('counts bodies that are announced as if they had come, but no promise as more than a MiB', () => {
    const { overload, look } = guard({ heap: 70 * MiB })
    look()
    for (let at = 0; at < 9; at++) assert.equal(overload.admit('low', 30 * MiB), null, `exchange ${at}`)
    assert.equal(overload.admit('low', 30 * MiB)?.code, 'OVERLOADED')
    assert.equal(overload.admit('normal', 30 * MiB), null, 'who was turned away is not counted')
    assert.equal(overload.admit('low', 0)?.code, 'OVERLOADED')
    look()
    assert.equal(overload.admit('low', 0), null, 'what has come is what the process says')
  })

  test('is a share of what there is where no limit is set', () => {
    const { look, served } = guard({ external: 2 ** 50 }, { memory: undefined })
    look()
    assert.deepEqual(served(), [])
    const small = guard({ external: MiB }, { memory: undefined })
    small.look()
    assert.deepEqual(small.served(), ['low', 'normal', 'high'])
  })

  test('ends before V8 gives up, whatever the limit', () => {
    const { look, served, count } = guard({ heap: 850 * MiB, heapLimit: 1000 * MiB }, { memory: 2 ** 50 })
    look()
    assert.deepEqual(served(), ['high'])
    assert.equal(count('normal', 'heap'), 1)
  })

  test('is not touched by a length that is none', () => {
    const { overload, served } = guard({ heap: 70 * MiB })
    for (const length of [Number.NaN, -1, -Infinity]) assert.equal(overload.admit(null, length), null)
    assert.deepEqual(served(), ['low', 'normal', 'high'])
  })
})

describe('the lag of the process', () => {
  test('counts when it has lasted, not for one long task', () => {
    const { look, served } = guard({})
    look(5000)
    look(5000)
    look(0)
    assert.deepEqual(served(), ['low', 'normal', 'high'])
    look(600)
    look(420)
    look(600)
    assert.deepEqual(served(), ['normal', 'high'], 'the least of three counts')
    look(460)
    assert.deepEqual(served(), ['normal', 'high'])
    look(460)
    assert.deepEqual(served(), ['high'])
    look(0)
    assert.deepEqual(served(), ['low', 'normal', 'high'])
  })

  test('is measured against the limit of the newest configuration', () => {
    const { look, served, overload } = guard({})
    for (let at = 0; at < 3; at++) look(300)
    assert.deepEqual(served(), ['low', 'normal', 'high'])
    overload.use({ memory: 100 * MiB, lag: 100 })
    overload.close()
    assert.deepEqual(served(), [])
  })
})

describe('who is turned away', () => {
  test('is told when to come again, not all at once', () => {
    const { overload, look } = guard({ heap: 100 * MiB })
    look()
    const told = [1, 2, 3, 4].map(() => overload.admit(null, 0)!)
    assert.deepEqual([...new Set(told.map(({ status }) => status))], [503])
    assert.deepEqual(
      told.map(({ headers }) => headers['retry-after']),
      ['2', '3', '1', '2'],
    )
  })

  test('is counted by priority and cause; nothing said of one is normal', () => {
    const { overload, look, count } = guard({ heap: 95 * MiB })
    look()
    overload.admit(null, 0)
    overload.admit('low', 0)
    overload.admit('low', 0)
    assert.equal(count('normal', 'memory'), 1)
    assert.equal(count('low', 'memory'), 2)
  })

  test('is told to the log once in ten seconds, with the limit and then with the number', () => {
    const { overload, look, lines } = guard({ heap: 95 * MiB })
    look()
    for (let at = 0; at < 50; at++) overload.admit('low', 0)
    assert.equal(lines.length, 1)
    assert.match(JSON.stringify(lines[0]), /"cause":"memory".*limits\.memory, 100 MiB/)
    look(11_000)
    assert.equal(lines.length, 2)
    assert.match(JSON.stringify(lines[1]), /"refused":50/)
    look(11_000)
    assert.equal(lines.length, 2, 'and not while nobody is')
  })
})

test('the system says how many connections there may be', { skip: process.platform !== 'linux' }, () => {
  assert.ok(mostConnections() >= 32)
  assert.ok(Number.isInteger(mostConnections()))
})
