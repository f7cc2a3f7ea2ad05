/** Every metric that the code can register: core's, and those of `plugins/NAME/metrics.ts`. */
import { globSync } from 'node:fs'
import { accessMetrics } from '../core/access/metrics.ts'
import { exchangeMetrics } from '../core/observe/exchanges.ts'
import { openMetrics } from '../core/observe/metrics.ts'
import { processMetrics } from '../core/observe/metrics-process.ts'
import { tellPool, tellSockets } from '../core/observe/websockets.ts'
import { workerMetrics } from '../core/observe/workers.ts'
import { overloadMetrics } from '../core/overload.ts'
import { stateMetrics } from '../core/observe/state.ts'
import { SocketBook } from '../core/websocket-book.ts'
import type { MetricReading, Metrics } from '../core/plugin.ts'

const root = new URL('../', import.meta.url)

/** Their names, kinds and labels, in no order. */
export async function declaredMetrics(): Promise<readonly MetricReading[]> {
  const metrics = openMetrics()
  exchangeMetrics(metrics)
  stateMetrics(metrics)
  overloadMetrics(metrics)
  workerMetrics(metrics)
  tellSockets(new SocketBook(), metrics)
  tellPool({ statsByUpstream: () => new Map() }, metrics)
  accessMetrics(metrics)
  processMetrics(metrics, { version: '' }).close()
  for (const path of globSync('plugins/*/metrics.ts', { cwd: root })) {
    // The convention of these files, held by metrics.contract.test.ts.
    const { metricsOf } = (await import(new URL(path, root).href)) as { metricsOf: (metrics: Metrics) => unknown }
    metricsOf(metrics)
  }
  return metrics.read()
}
