import { Counter, Histogram, Registry } from 'prom-client'
import { bench } from '../../test/bench.ts'
import { openMetrics, secondsBuckets } from './metrics.ts'

const labels = ['provider', 'operation', 'status'] as const
const ours = openMetrics()
const counter = ours.counter('postern_bench_total', 'x', labels)
const histogram = ours.histogram('postern_bench_seconds', 'x', labels)

const registers = [new Registry()]
const theirCounter = new Counter({ name: 'bench_total', help: 'x', labelNames: labels, registers })
const theirHistogram = new Histogram({
  name: 'bench_seconds',
  help: 'x',
  labelNames: labels,
  buckets: [...secondsBuckets],
  registers,
})

// The series of a middling gateway: 4 providers, 8 operations, 6 statuses.
const combinations = [4, 8, 6].reduce((all, one) => all * one)
const valuesAt = (at: number) => ({
  provider: `provider-${at % 4}`,
  operation: `operation-${(at >> 2) % 8}`,
  status: String(200 + (at % 6)),
})
for (let at = 0; at < combinations; at++) {
  counter.with(valuesAt(at)).inc()
  histogram.with(valuesAt(at)).observe(at / 10)
  theirCounter.inc(valuesAt(at))
  theirHistogram.observe(valuesAt(at), at / 10)
}
const values = valuesAt(7)
const bound = counter.with(values)
const boundHistogram = histogram.with(values)
const theirBound = theirCounter.labels(values)
const theirBoundHistogram = theirHistogram.labels(values)

/** A thousand at once: one alone is shorter than the clock can tell. */
const thousand = (run: () => void) => () => {
  for (let times = 0; times < 1000; times++) run()
}
const spelt = () => ({ provider: 'provider-3', operation: 'operation-1', status: '201' })

await bench(
  'a counter of known labels, counted a thousand times',
  {
    'kept handle': thousand(() => bound.inc()),
    'labels looked up': thousand(() => counter.with(spelt()).inc()),
    'prom-client, kept labels()': thousand(() => theirBound.inc()),
    'prom-client, labels given': thousand(() => theirCounter.inc(spelt())),
  },
  { 'prom-client, kept labels()': { atLeast: 5 }, 'prom-client, labels given': { atLeast: 10 } },
)

await bench(
  'a histogram with 15 buckets, observed a thousand times',
  {
    'kept handle': thousand(() => boundHistogram.observe(0.3)),
    'labels looked up': thousand(() => histogram.with(spelt()).observe(0.3)),
    'prom-client, kept labels()': thousand(() => theirBoundHistogram.observe(0.3)),
    'prom-client, labels given': thousand(() => theirHistogram.observe(spelt(), 0.3)),
  },
  { 'prom-client, kept labels()': { atLeast: 5 }, 'prom-client, labels given': { atLeast: 10 } },
)

await bench(
  `${combinations} counters and as many histograms, rendered`,
  {
    own: () => ours.render(),
    'prom-client': () => registers[0]!.metrics(),
  },
  { 'prom-client': { atLeast: 3 } },
)
