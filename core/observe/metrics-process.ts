/** What the process itself is like: event loop, memory, CPU, handles, age. */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Metrics } from './metrics.ts'

export interface ProcessMetricsOptions {
  /** Of Postern; the Node version is added. */
  readonly version: string
}

/** How often the event loop is looked at, in milliseconds; a pause shorter than this may go unseen. */
const resolution = 10

/**
 * Declares them and keeps them up to date from then on; `close` ends that. The lag of the event loop is that since the last
 * rendering, less the time between two looks at it, so 0 is a loop that was never late.
 */
export function processMetrics(metrics: Metrics, { version }: ProcessMetricsOptions): { close(): void } {
  const lag = metrics.gauge('postern_event_loop_lag_seconds', 'How late the event loop was, since the last look.', [
    'quantile',
  ])
  const busy = metrics.gauge(
    'postern_event_loop_utilization_ratio',
    'Time the event loop was busy, since the last look.',
  )
  const memory = metrics.gauge('postern_memory_bytes', 'Memory of the process, by kind.', ['kind'])
  const cpu = metrics.counter('postern_cpu_seconds_total', 'CPU time of the process.', ['mode'])
  const handles = metrics.gauge('postern_handles', 'What keeps the process alive, by kind.', ['kind'])
  const uptime = metrics.gauge('postern_uptime_seconds', 'Age of the process.')
  const build = metrics.gauge('postern_build_info', 'Always 1; its labels say what runs.', ['version', 'node'], {
    across: 'most',
  })
  build.with({ version, node: process.version }).set(1)

  const delay = monitorEventLoopDelay({ resolution })
  delay.enable()
  let before = performance.eventLoopUtilization()
  let spent: Readonly<Record<string, number>> = { user: 0, system: 0 }
  const seenHandles = new Set<string>()

  const stop = metrics.onRender(() => {
    const late = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - resolution / 1e3)
    for (const [quantile, percentile] of quantiles) {
      lag.with({ quantile }).set(delay.count === 0 ? 0 : late(delay.percentile(percentile)))
    }
    delay.reset()
    const now = performance.eventLoopUtilization()
    busy.set(performance.eventLoopUtilization(now, before).utilization)
    before = now

    for (const [kind, bytes] of Object.entries(process.memoryUsage())) memory.with({ kind: snake(kind) }).set(bytes)
    const used: Readonly<Record<string, number>> = { ...process.cpuUsage() } // microseconds, by mode
    for (const mode of ['user', 'system']) cpu.with({ mode }).inc(Math.max(0, used[mode]! - spent[mode]!) / 1e6)
    spent = used

    const counts = new Map<string, number>()
    for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
    for (const kind of counts.keys()) seenHandles.add(kind)
    for (const kind of seenHandles) handles.with({ kind }).set(counts.get(kind) ?? 0)
    uptime.set(process.uptime())
  })
  return {
    close() {
      stop()
      delay.disable()
    },
  }
}

const quantiles = [
  ['0.5', 50],
  ['0.9', 90],
  ['0.99', 99],
  ['1', 100],
] as const

/** `heapUsed` is `heap_used`. */
function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
