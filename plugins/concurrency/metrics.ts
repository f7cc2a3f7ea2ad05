/** What this plugin counts. */
import type { Metrics } from 'postern/plugin'

export function metricsOf(metrics: Metrics) {
  return {
    held: metrics.gauge(
      'postern_slots_held',
      'Slots that this process holds: of each upstream, and of callers.',
      ['of'],
      { across: 'sum' },
    ),
    waiting: metrics.gauge('postern_slots_waiting', 'Places in line for a slot in this process.', [], {
      across: 'sum',
    }),
    waits: metrics.histogram(
      'postern_slot_wait_seconds',
      'Waits for a slot, by how they ended: with one, by time, or at once where the line was full.',
      ['of', 'outcome'],
    ),
  }
}

export type SlotMetrics = ReturnType<typeof metricsOf>

/** What a key's slots are of: the name of an upstream, or `callers`, whose names have no bound. */
export function ownerOf(key: string): string {
  return key.startsWith(upstream) ? key.slice(upstream.length) : 'callers'
}

const upstream = 'slots:upstream:'
