import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseExposition } from '../observe/metrics.fixture.ts'
import { openMetrics, type Across, type Metrics } from '../observe/metrics.ts'
import { renderReadings, risen, together } from './metrics.ts'

/** What a process says that has counted so. */
function readings(count: (metrics: Metrics) => void) {
  const metrics = openMetrics()
  count(metrics)
  return metrics.read()
}

/** What is told of processes that have counted so, one after the other, by name and labels. */
function told(...counts: ((metrics: Metrics) => void)[]): Record<string, number> {
  const sources = counts.map((count, at) => ({ worker: String(at + 1), readings: readings(count) }))
  const families = parseExposition(renderReadings(together(sources)))
  const samples = [...families.values()].flatMap((family) => family.samples)
  return Object.fromEntries(
    samples.map(({ name, labels, value }) => {
      const inner = Object.entries(labels).map(([label, one]) => `${label}=${one}`)
      return [inner.length > 0 ? `${name}{${inner.join()}}` : name, value]
    }),
  )
}

const gauge =
  (across: Across | undefined, value: number) =>
  (metrics: Metrics): void =>
    metrics.gauge('postern_g', 'G', [], across === undefined ? {} : { across }).set(value)

describe('metrics of several processes', () => {
  test('are what one process tells, where there is one', () => {
    const metrics = openMetrics()
    metrics.counter('postern_a_total', 'With "quotes", a \\ and\na line.', ['x']).with({ x: 'a"b\\c\nd' }).inc(2.5)
    metrics.gauge('postern_b', 'B', [], { across: 'sum' }).set(Number.POSITIVE_INFINITY)
    metrics
      .histogram('postern_c_seconds', 'C', ['y'], { buckets: [0.5, 1] })
      .with({ y: 'z' })
      .observe(0.7)
    metrics.counter('postern_d_total', 'Nobody has counted.', ['x'])
    assert.equal(renderReadings(together([{ worker: '1', readings: metrics.read() }])), metrics.render())
  })

  test('add counters, by their labels', () => {
    const count = (labels: Readonly<Record<string, number>>) => (metrics: Metrics) => {
      const counter = metrics.counter('postern_a_total', 'A', ['of'])
      for (const [of, by] of Object.entries(labels)) counter.with({ of }).inc(by)
    }
    assert.deepEqual(told(count({ x: 1, y: 2 }), count({ y: 3, z: 4 }), count({})), {
      'postern_a_total{of=x}': 1,
      'postern_a_total{of=y}': 5,
      'postern_a_total{of=z}': 4,
    })
  })

  test('add histograms, bucket by bucket', () => {
    const observe =
      (...values: number[]) =>
      (metrics: Metrics) => {
        const histogram = metrics.histogram('postern_h_seconds', 'H', [], { buckets: [1, 2] })
        for (const value of values) histogram.observe(value)
      }
    assert.deepEqual(told(observe(0.5, 1.5), observe(1.5, 9), observe()), {
      'postern_h_seconds_bucket{le=1}': 1,
      'postern_h_seconds_bucket{le=2}': 3,
      'postern_h_seconds_bucket{le=+Inf}': 4,
      postern_h_seconds_sum: 12.5,
      postern_h_seconds_count: 4,
    })
  })

  test('make one gauge of several as it says: the sum, the most, the least', () => {
    assert.deepEqual(told(gauge('sum', 2), gauge('sum', 3)), { postern_g: 5 })
    assert.deepEqual(told(gauge('most', 2), gauge('most', 3)), { postern_g: 3 })
    assert.deepEqual(told(gauge('least', 2), gauge('least', 3)), { postern_g: 2 })
  })

  test('tell every gauge that says nothing of that by its worker', () => {
    assert.deepEqual(told(gauge(undefined, 2), gauge('each', 3)), {
      'postern_g{worker=1}': 2,
      'postern_g{worker=2}': 3,
    })
  })

  test('that are gone leave what only rises: no count goes down with them', () => {
    const one = readings((metrics) => {
      metrics.counter('postern_a_total', 'A').inc(3)
      metrics.gauge('postern_g', 'G', [], { across: 'sum' }).set(7)
      metrics.histogram('postern_h_seconds', 'H', [], { buckets: [1] }).observe(1)
    })
    const left = risen(
      together([
        { worker: 'gone', readings: [] },
        { worker: '', readings: one },
      ]),
    )
    const after = renderReadings(
      together([
        { worker: 'gone', readings: left },
        { worker: '1', readings: one },
      ]),
    )
    const values = new Map([...parseExposition(after)].map(([name, { samples }]) => [name, samples.at(-1)?.value]))
    assert.deepEqual(Object.fromEntries(values), { postern_a_total: 6, postern_g: 7, postern_h_seconds: 2 })
  })
})
