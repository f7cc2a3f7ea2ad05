/** What several processes count, told as one. */
import { lineOf, spelt } from '../observe/metrics-cells.ts'
import { headOf, spellLabels, type MetricReading } from '../observe/metrics-series.ts'

type Sample = MetricReading['samples'][number]

/** One of the processes. */
export interface Source {
  /** What the label `worker` says. */
  readonly worker: string
  readonly readings: readonly MetricReading[]
}

/**
 * Counters and histograms are added. Gauges become what their `across` says: one number, or a number for each process under a label
 * `worker`. So there are at most as many series as one process may have, times the processes.
 */
export function together(sources: readonly Source[]): MetricReading[] {
  const metrics = new Map<string, { readonly reading: MetricReading; readonly samples: Map<string, Sample> }>()
  for (const { worker, readings } of sources) {
    for (const reading of readings) {
      const labels = isEach(reading) ? [...reading.labels, 'worker'] : reading.labels
      let metric = metrics.get(reading.name)
      if (!metric) metrics.set(reading.name, (metric = { reading: { ...reading, labels }, samples: new Map() }))
      for (const one of reading.samples) {
        const sample = isEach(reading) ? { ...one, labels: { ...one.labels, worker } } : one
        const key = spelling(labels, sample)
        const other = metric.samples.get(key)
        metric.samples.set(key, other ? both(other, sample, reading) : sample)
      }
    }
  }
  return [...metrics.values()].map(({ reading, samples }) => ({ ...reading, samples: [...samples.values()] }))
}

/** What only rises, and must not fall because a process that has counted it is gone. */
export function risen(readings: readonly MetricReading[]): MetricReading[] {
  return readings.filter(({ kind }) => kind !== 'gauge')
}

/** In the text format 0.0.4. */
export function renderReadings(readings: readonly MetricReading[]): string {
  return readings
    .filter(({ samples }) => samples.length > 0)
    .map((reading) => headOf(reading) + reading.samples.map((sample) => linesOf(reading, sample)).join(''))
    .join('')
}

function isEach({ kind, across }: MetricReading): boolean {
  return kind === 'gauge' && across === 'each'
}

function both(one: Sample, other: Sample, { kind, across }: MetricReading): Sample {
  if (kind === 'gauge' && across !== 'sum')
    return { ...one, value: across === 'most' ? Math.max(one.value, other.value) : Math.min(one.value, other.value) }
  const value = one.value + other.value
  if (!one.buckets || !other.buckets) return { ...one, value }
  // All processes run the same code: the bounds are the same.
  const counts = one.buckets.counts.map((count, at) => count + (other.buckets?.counts[at] ?? 0))
  return { ...one, value, buckets: { bounds: one.buckets.bounds, counts } }
}

function spelling(labels: readonly string[], { labels: values }: Sample): string {
  return spellLabels(
    labels,
    labels.map((label) => values[label] ?? ''),
  )
}

function linesOf({ name, labels }: MetricReading, sample: Sample): string {
  const inner = spelling(labels, sample)
  if (!sample.buckets) return `${lineOf(name, inner)}${spelt(sample.value)}\n`
  const { bounds, counts } = sample.buckets
  const before = inner === '' ? '' : `${inner},`
  let text = ''
  let count = 0
  for (const [at, bound] of [...bounds.map(String), '+Inf'].entries()) {
    count += counts[at] ?? 0
    text += `${lineOf(`${name}_bucket`, `${before}le="${bound}"`)}${count}\n`
  }
  return `${text}${lineOf(`${name}_sum`, inner)}${spelt(sample.value)}\n${lineOf(`${name}_count`, inner)}${count}\n`
}
