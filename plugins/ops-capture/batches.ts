/** From single records to batches, and what is said of those that were lost. */
import type { CapturedError, Counter, Labelled, Log, PluginContext, Queue } from 'postern/plugin'
import type { Sink } from './sink.ts'

/** That records are lost is said at most this often, in ms. */
const complaintsEvery = 60_000
/** Records that are written at once. */
const mostInBatch = 256

/**
 * A queue whose worker writes whatever has gathered: one record at once while the sink keeps up, hundreds at a time while it does
 * not. It is empty when everything in it was written, or given up.
 */
export function batchQueue(
  context: Pick<PluginContext<unknown>, 'queue'>,
  sink: Sink,
  capacity: number,
  losses: Complaints,
): Queue<CapturedError> {
  let batch: CapturedError[] = []
  const queue = context.queue<CapturedError>({ capacity }, async (record) => {
    batch.push(record)
    if (queue.length > 0 && batch.length < mostInBatch) return
    const written = batch
    batch = []
    await sink.write(written).catch((error: unknown) => losses.unwritten(written.length, error))
  })
  return queue
}

export interface Complaints {
  dropped(): void
  unwritten(records: number, error: unknown): void
}

/** Counts what is lost, and says so at most once a minute, and once more when the gateway retires. */
export function complaints(log: Log, signal: AbortSignal, counts: Labelled<Counter, 'why'>): Complaints {
  const lost = { dropped: 0, unwritten: 0 }
  let cause: unknown
  let told = 0
  let saidAt = Number.NEGATIVE_INFINITY
  const say = () => {
    const sum = lost.dropped + lost.unwritten
    if (sum === told) return
    told = sum
    saidAt = performance.now()
    log.warn({ ...lost, err: cause }, 'captured errors were lost')
  }
  const count = (kind: keyof typeof lost, records: number) => {
    lost[kind] += records
    counts.with({ why: kind }).inc(records)
    if (performance.now() - saidAt >= complaintsEvery) say()
  }
  signal.addEventListener('abort', say, { once: true })
  return {
    dropped: () => count('dropped', 1),
    unwritten(records, error) {
      cause = error
      count('unwritten', records)
    },
  }
}
