/**
 * Metrics: counters, gauges and histograms with declared, bounded labels, told as Prometheus text. A registry of our own:
 * prom-client spells the labels of each observation, kept `labels()` included: 190 to 330 ns where a kept handle takes 3 to 6
 * (metrics.bench.ts); its labels have no bound, and a second declaration of a name is an error.
 */
import { CounterCell, GaugeCell, HistogramCell, type Bounds, type Cell } from './metrics-cells.ts'
import { Series, type Across, type LabelValues, type MetricReading } from './metrics-series.ts'

export type { Across, LabelValues, MetricReading } from './metrics-series.ts'

/** Counts what happens; never goes down. */
export interface Counter {
  /** Throws RangeError for less than 0. */
  inc(by?: number): void
}

/** A value that goes up and down. */
export interface Gauge {
  set(value: number): void
  inc(by?: number): void
  dec(by?: number): void
}

/** Counts observations by size. */
export interface Histogram {
  /** NaN is left out. */
  observe(value: number): void
}

/**
 * A metric that is one counter, gauge or histogram for each combination of its labels' values. `with` finds it without
 * making anything where the combination is known; keep what it returns where the values stay the same.
 */
export interface Labelled<M, L extends string> {
  with(values: LabelValues<L>): M
}

/** Without labels a metric is the counter, gauge or histogram itself. */
export type Metric<M, L extends string> = [L] extends [never] ? M : Labelled<M, L>

export interface GaugeOptions {
  /** What several workers say of it together. Absent: `each` says its own. */
  readonly across?: Across
}

export interface HistogramOptions {
  /** Upper bounds, rising; `+Inf` is added. */
  readonly buckets?: readonly number[]
}

/**
 * What plugins declare their metrics with. The full name is written out, so that a search finds it: `postern_` and
 * snake_case, the unit at the end, `_total` for counters. The same name declared again with the same kind, labels and
 * buckets is the same metric, which therefore survives a reload; otherwise the error names both.
 */
export interface Metrics {
  counter<const L extends string = never>(name: string, help: string, labels?: readonly L[]): Metric<Counter, L>
  gauge<const L extends string = never>(
    name: string,
    help: string,
    labels?: readonly L[],
    options?: GaugeOptions,
  ): Metric<Gauge, L>
  histogram<const L extends string = never>(
    name: string,
    help: string,
    labels?: readonly L[],
    options?: HistogramOptions,
  ): Metric<Histogram, L>
  /** Called before each rendering, to set gauges. What it throws is reported. Returns its own end. */
  onRender(collect: () => void): () => void
  /** Every metric of the process as it is now, for whoever tells them elsewhere. Sets gauges first, as a rendering does. */
  read(): readonly MetricReading[]
}

/** The metrics of a process. */
export interface MetricsRegistry extends Metrics {
  /** All metrics in the text format 0.0.4. */
  render(): string
}

/** What `render` makes, for the Content-Type header. */
export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8'

/** Seconds, from a refusal at once to the longest of thoughts. */
export const secondsBuckets: Bounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300]

export interface MetricsOptions {
  /** Combinations of label values that a metric may have; every further one is counted as `other`. */
  readonly mostSeries?: number
  /** Told once per metric that has more, and of what a collector throws. */
  readonly report?: (fields: object, message: string) => void
}

/** Makes the registry; one per process. */
export function openMetrics({ mostSeries = 1000, report = () => {} }: MetricsOptions = {}): MetricsRegistry {
  const declared = new Map<string, { readonly shape: string; readonly series: Series<Cell> }>()
  const collectors = new Set<() => void>()

  function declare(shape: Shape, help: string, make: (spelt: string) => Cell, across: Across = 'sum'): unknown {
    const { name, kind, labels } = shape
    const problem = problemOf(shape)
    if (problem !== null) throw new Error(`the metric ${JSON.stringify(name)} cannot be declared: ${problem}`)
    const described = describe(shape)
    const known = declared.get(name)
    if (known && known.shape !== described) {
      throw new Error(`the metric ${known.shape} is there already and cannot be declared again as ${described}`)
    }
    const series =
      known?.series ??
      new Series<Cell>({ name, kind, across, help, labels, make, most: mostSeries, overflowed: () => tooMany(name) })
    if (!known) declared.set(name, { shape: described, series })
    return labels.length === 0 ? series.only : series
  }

  function tooMany(metric: string): void {
    report(
      { metric, series: mostSeries },
      'a metric has too many combinations of labels; further ones count as "other"',
    )
  }

  function collectAll(): void {
    for (const collect of collectors) {
      try {
        collect()
      } catch (error) {
        report({ err: error }, 'a collector of metrics failed')
      }
    }
  }

  return {
    // The cells' classes are what their kind says, and Series is what Labelled says: of it the compiler sees only Cell.
    counter: (name, help, labels = []) =>
      declare({ name, kind: 'counter', labels, buckets: [] }, help, (spelt) => new CounterCell(name, spelt)) as never,
    gauge: (name, help, labels = [], { across = 'each' } = {}) =>
      declare(
        { name, kind: 'gauge', labels, buckets: [] },
        help,
        (spelt) => new GaugeCell(name, spelt),
        across,
      ) as never,
    histogram: (name, help, labels = [], { buckets = secondsBuckets } = {}) =>
      declare(
        { name, kind: 'histogram', labels, buckets },
        help,
        (spelt) => new HistogramCell(name, spelt, buckets),
      ) as never,
    onRender(collect) {
      collectors.add(collect)
      return () => void collectors.delete(collect)
    },
    read() {
      collectAll()
      return [...declared.values()].map(({ series }) => series.read())
    },
    render() {
      collectAll()
      let text = ''
      for (const { series } of declared.values()) text += series.render()
      return text
    },
  }
}

interface Shape {
  readonly name: string
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly buckets: Bounds
}

/** How a shape is told in an error, and compared. The order of labels makes no difference. */
function describe({ name, kind, labels, buckets }: Shape): string {
  const inner = labels.length > 0 ? `{${[...labels].sort().join(', ')}}` : ''
  return `${kind} ${name}${inner}${kind === 'histogram' ? ` [${buckets.join(', ')}]` : ''}`
}

function problemOf({ name, kind, labels, buckets }: Shape): string | null {
  if (!/^postern_[a-z][a-z0-9_]*$/.test(name)) return 'its name must be postern_ and then snake_case'
  if ((kind === 'counter') !== name.endsWith('_total')) return 'counters, and nothing else, end in _total'
  if (/_(?:bucket|sum|count)$/.test(name)) return 'histograms use the ends _bucket, _sum and _count'
  const wrong = labels.find((label) => !/^[a-z][a-z0-9_]*$/.test(label) || (label === 'le' && kind === 'histogram'))
  if (wrong !== undefined) return `${JSON.stringify(wrong)} is no name for a label of it`
  if (new Set(labels).size < labels.length) return 'a label stands there twice'
  if (kind === 'histogram' && !rises(buckets)) return 'its buckets must be finite and rise'
  return null
}

function rises(bounds: Bounds): boolean {
  return (
    bounds.length > 0 && bounds.every((bound, at) => Number.isFinite(bound) && (at === 0 || bound > bounds[at - 1]!))
  )
}
