import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { openMetrics } from './metrics.ts'
import { parseExposition } from './metrics.fixture.ts'

describe('metrics', () => {
  test('are told as Prometheus text', () => {
    const metrics = openMetrics()
    const asked = metrics.counter('postern_asked_total', 'How often.\nTwo lines, a \\.', ['provider', 'status'])
    asked.with({ provider: 'openai', status: 200 }).inc()
    asked.with({ status: '200', provider: 'openai' }).inc(2)
    asked.with({ provider: 'a"b\\c\nd', status: 500 }).inc(0.5)
    const slots = metrics.gauge('postern_slots', 'Slots.')
    slots.set(5)
    slots.dec()
    slots.inc(2)
    const took = metrics.histogram('postern_took_seconds', 'Time.', ['phase'], { buckets: [0.1, 1] })
    const send = took.with({ phase: 'send' })
    for (const seconds of [0.05, 0.1, 0.5, 7, Number.NaN]) send.observe(seconds)
    assert.equal(
      metrics.render(),
      `# HELP postern_asked_total How often.\\nTwo lines, a \\\\.
# TYPE postern_asked_total counter
postern_asked_total{provider="openai",status="200"} 3
postern_asked_total{provider="a\\"b\\\\c\\nd",status="500"} 0.5
# HELP postern_slots Slots.
# TYPE postern_slots gauge
postern_slots 6
# HELP postern_took_seconds Time.
# TYPE postern_took_seconds histogram
postern_took_seconds_bucket{phase="send",le="0.1"} 2
postern_took_seconds_bucket{phase="send",le="1"} 3
postern_took_seconds_bucket{phase="send",le="+Inf"} 4
postern_took_seconds_sum{phase="send"} 7.65
postern_took_seconds_count{phase="send"} 4
`,
    )
  })

  test('are there before they have counted where they have no labels, and only then', () => {
    const metrics = openMetrics()
    metrics.counter('postern_a_total', 'A')
    metrics.histogram('postern_b_seconds', 'B')
    metrics.counter('postern_c_total', 'C', ['x'])
    const families = parseExposition(metrics.render())
    assert.deepEqual([...families.keys()], ['postern_a_total', 'postern_b_seconds'])
    assert.equal(families.get('postern_b_seconds')?.samples.at(-1)?.value, 0)
  })

  test('are read as numbers by whoever tells them elsewhere, gauges set first', () => {
    const metrics = openMetrics()
    metrics.counter('postern_a_total', 'A.', ['x', 'y']).with({ y: 2, x: 'sk-abcdefghijklmnop' }).inc(3)
    const gauge = metrics.gauge('postern_b', 'B.')
    metrics.onRender(() => gauge.set(7))
    metrics.histogram('postern_c_seconds', 'C.', [], { buckets: [1, 2] }).observe(5)
    metrics.counter('postern_d_total', 'D.', ['z'])
    assert.deepEqual(metrics.read(), [
      {
        name: 'postern_a_total',
        kind: 'counter',
        across: 'sum',
        help: 'A.',
        labels: ['x', 'y'],
        samples: [{ labels: { x: 'sk-***', y: '2' }, value: 3, buckets: null }],
      },
      {
        name: 'postern_b',
        kind: 'gauge',
        across: 'each',
        help: 'B.',
        labels: [],
        samples: [{ labels: {}, value: 7, buckets: null }],
      },
      {
        name: 'postern_c_seconds',
        kind: 'histogram',
        across: 'sum',
        help: 'C.',
        labels: [],
        samples: [{ labels: {}, value: 5, buckets: { bounds: [1, 2], counts: [0, 0, 1] } }],
      },
      { name: 'postern_d_total', kind: 'counter', across: 'sum', help: 'D.', labels: ['z'], samples: [] },
    ])
  })

  test('tell what is no number as Prometheus spells it', () => {
    const metrics = openMetrics()
    const gauge = metrics.gauge('postern_x', 'X', ['is'])
    for (const value of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN])
      gauge.with({ is: value }).set(value)
    assert.deepEqual(metrics.render().match(/\S+$/gm)?.slice(-3), ['+Inf', '-Inf', 'NaN'])
  })

  test('say with any label values what was counted, in text that reads back', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ unit: 'binary', maxLength: 12 }), fc.nat(3)), { maxLength: 12 }),
        (counted) => {
          const metrics = openMetrics()
          const counter = metrics.counter('postern_x_total', 'X', ['text', 'number'])
          const expected = new Map<string, number>()
          for (const [text, number] of counted) {
            counter.with({ text, number }).inc()
            const key = JSON.stringify([text, String(number)])
            expected.set(key, (expected.get(key) ?? 0) + 1)
          }
          const told = parseExposition(metrics.render()).get('postern_x_total')?.samples ?? []
          if (counted.some(([text]) => /[:=_-]|eyJ/.test(text))) return
          assert.deepEqual(
            new Map(told.map(({ labels, value }) => [JSON.stringify([labels.text, labels.number]), value])),
            expected,
          )
        },
      ),
    )
  })

  test('refuse to count down', () => {
    const counter = openMetrics().counter('postern_x_total', 'X')
    assert.throws(() => counter.inc(-1), RangeError)
    assert.throws(() => counter.inc(Number.NaN), RangeError)
  })

  test('refuse a combination without one of its labels', () => {
    const counter = openMetrics().counter('postern_x_total', 'X', ['a', 'b'])
    const values = JSON.parse('{"a":"1"}') as { a: string; b: string } // what a plugin without types might pass
    assert.throws(() => counter.with(values), /postern_x_total has a label b/)
  })
})

describe('a metric that is declared again', () => {
  test('is the same one where its shape is the same', () => {
    const metrics = openMetrics()
    const before = metrics.counter('postern_x_total', 'X', ['a', 'b']).with({ a: '1', b: '2' })
    before.inc()
    // The next gateway of the process, after a reload.
    const after = metrics.counter('postern_x_total', 'X, in other words', ['b', 'a']).with({ b: '2', a: '1' })
    assert.equal(after, before)
    const histogram = () => metrics.histogram('postern_y_seconds', 'Y', [], { buckets: [1, 2] })
    assert.equal(histogram(), histogram())
    assert.equal(metrics.render().match(/# TYPE/g)?.length, 2)
  })

  test('is an error that names both where it is not', () => {
    const metrics = openMetrics()
    metrics.histogram('postern_x', 'X', ['a'], { buckets: [1] })
    assert.throws(() => metrics.gauge('postern_x', 'X', ['a']), {
      message:
        'the metric histogram postern_x{a} [1] is there already and cannot be declared again as gauge postern_x{a}',
    })
    assert.throws(
      () => metrics.histogram('postern_x', 'X', ['a', 'b'], { buckets: [1] }),
      /as histogram postern_x\{a, b\}/,
    )
    assert.throws(() => metrics.histogram('postern_x', 'X', ['a'], { buckets: [2] }), /\[1\].*\[2\]/)
  })
})

test('a name, a label or a bucket that cannot be is refused with the reason', () => {
  const metrics = openMetrics()
  assert.throws(() => metrics.gauge('slots', 'X'), /postern_ and then snake_case/)
  assert.throws(() => metrics.gauge('postern_Slots', 'X'), /snake_case/)
  assert.throws(() => metrics.counter('postern_asked', 'X'), /_total/)
  assert.throws(() => metrics.gauge('postern_slots_total', 'X'), /_total/)
  assert.throws(() => metrics.gauge('postern_slots_sum', 'X'), /_sum/)
  assert.throws(() => metrics.gauge('postern_x', 'X', ['a-b']), /"a-b" is no name for a label/)
  assert.throws(() => metrics.gauge('postern_x', 'X', ['a', 'a']), /twice/)
  assert.throws(() => metrics.histogram('postern_x', 'X', ['le']), /"le"/)
  assert.throws(() => metrics.histogram('postern_x', 'X', [], { buckets: [2, 1] }), /rise/)
  assert.throws(() => metrics.histogram('postern_x', 'X', [], { buckets: [] }), /rise/)
  assert.equal(metrics.render(), '')
})

describe('combinations of labels', () => {
  test('beyond the bound are counted together, which is reported once', () => {
    const reports: object[] = []
    const metrics = openMetrics({ mostSeries: 3, report: (fields) => void reports.push(fields) })
    const counter = metrics.counter('postern_x_total', 'X', ['model', 'status'])
    for (let at = 0; at < 100; at++) counter.with({ model: `m${at}`, status: at }).inc()
    counter.with({ model: 'm1', status: 1 }).inc()
    const { samples = [] } = parseExposition(metrics.render()).get('postern_x_total') ?? {}
    assert.deepEqual(
      samples.map(({ labels, value }) => [labels.model, value]),
      [
        ['m0', 1],
        ['m1', 2],
        ['m2', 1],
        ['other', 97],
      ],
    )
    assert.deepEqual(reports, [{ metric: 'postern_x_total', series: 3 }])
  })

  test('that are called "other" themselves are told once', () => {
    const metrics = openMetrics({ mostSeries: 1 })
    const counter = metrics.counter('postern_x_total', 'X', ['model'])
    for (const model of ['other', 'a', 'b']) counter.with({ model }).inc()
    assert.deepEqual(
      parseExposition(metrics.render())
        .get('postern_x_total')
        ?.samples.map(({ value }) => value),
      [3],
    )
  })

  test('with endless values are counted as other, and hold no key of a client', () => {
    const metrics = openMetrics()
    const counter = metrics.counter('postern_x_total', 'X', ['model'])
    for (const model of ['x'.repeat(1e6), 'sk-0123456789', 'sk-9876543210', '\ud800', '\ud801'])
      counter.with({ model }).inc()
    const { samples = [] } = parseExposition(metrics.render()).get('postern_x_total') ?? {}
    assert.deepEqual(
      samples.map(({ labels, value }) => [labels.model, value]),
      [
        ['other', 1],
        ['sk-***', 2],
        ['\ufffd', 2],
      ],
    )
  })
})

describe('a collector', () => {
  test('runs before each rendering until it ends, and one that fails is reported and does not stop the others', () => {
    const reports: string[] = []
    const metrics = openMetrics({ report: (_fields, message) => void reports.push(message) })
    const gauge = metrics.gauge('postern_x', 'X')
    let value = 0
    metrics.onRender(() => {
      throw new Error('no')
    })
    const stop = metrics.onRender(() => gauge.set(++value))
    assert.match(metrics.render(), /^postern_x 1$/m)
    assert.match(metrics.render(), /^postern_x 2$/m)
    stop()
    assert.match(metrics.render(), /^postern_x 2$/m)
    assert.deepEqual(reports, Array(3).fill('a collector of metrics failed'))
  })
})
