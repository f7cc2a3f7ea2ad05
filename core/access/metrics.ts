/** What is counted of looking up who calls. */
import type { Metrics } from '../plugin.ts'

export function accessMetrics(metrics: Metrics) {
  return metrics.counter(
    'postern_key_lookups_total',
    'Keys of the database that were looked up: found in memory, or asked for in store and database.',
    ['from'],
  )
}

/** Adds at each look what was counted since the last one; returns its end. */
export function tellLookups(metrics: Metrics, cache: { readonly hits: number; readonly misses: number }): () => void {
  const lookups = accessMetrics(metrics)
  let told = { hits: 0, misses: 0 }
  return metrics.onRender(() => {
    const { hits, misses } = cache
    lookups.with({ from: 'memory' }).inc(hits - told.hits)
    lookups.with({ from: 'elsewhere' }).inc(misses - told.misses)
    told = { hits, misses }
  })
}
