import { resolve } from 'node:path'
import { definePlugin, janitor } from 'postern/plugin'
import { hasFailed, noted, notedMidStream, notedRefusal, type Sightings } from './attempts.ts'
import { batchQueue, complaints } from './batches.ts'
import { config } from './config.ts'
import { databaseSink } from './database-sink.ts'
import { assertWritable, fileSink, RotatingFile } from './file-sink.ts'
import { errorInEvent } from './mid-stream.ts'
import { metricsOf } from './metrics.ts'
import { recordOf, type Captured } from './record.ts'

declare module 'postern/plugin' {
  interface Facts {
    /** When ops-capture has first seen the exchange, by the process's clock, in ms. */
    ops_capture_began: number
    /** What ops-capture has seen of upstreams that failed. */
    ops_capture_sightings: Sightings
  }
}

/** A record may be as long as a body, an error's body and 32 attempts are; a file holds more than one. In bytes. */
const leastFile = 64 * 2 ** 10
/** What a request's essentials need. */
const leastBody = 256
const hour = 3_600_000

/** Keeps what is needed to understand a failed exchange. One that goes well costs two stamps and a comparison. */
export default definePlugin({
  name: 'ops-capture',
  config,
  reads: ['provider', 'claim'],
  mayRead: ['model', 'stream', 'principal'],
  writes: ['ops_capture_began', 'ops_capture_sightings'],
  async setup(context) {
    const { config, log } = context
    const database = config.database ? context.database : null
    const path = resolve(config.file)
    await assertWritable(path)
    if (config.max_size < leastFile)
      throw new Error(`max_size must be ${leastFile} bytes at least: write 64KiB or more`)
    if (config.max_body < leastBody)
      throw new Error(`max_body must be ${leastBody} bytes at least, or set bodies: false`)
    if (config.keep_for < hour) throw new Error('keep_for must be an hour at least: write 1h or more')
    const limits = { maxSize: config.max_size, keep: config.keep }
    const file = await context.shared(
      `file ${path}`,
      () => new RotatingFile(path),
      (file) => file.close(),
    )
    const metrics = metricsOf(context.metrics)
    const losses = complaints(log, context.signal, metrics.lost)
    const lines = fileSink(file, limits)
    const queue = batchQueue(context, database ? databaseSink(database, lines, log) : lines, config.queue, losses)
    if (database) {
      const old = { table: 'ops_error_logs', column: 'created_at', keep: config.keep_for }
      janitor(context, database, [old])
    }
    const options = { mostBody: config.bodies ? config.max_body : null }
    const ignoredStatuses = new Set<number>(config.ignore_statuses)
    const ignoredOperations = new Set<string>(config.ignore_operations)

    return {
      onRequest({ facts }) {
        facts.ops_capture_began = performance.now()
      },
      onUpstreamResult(exchange, result) {
        if (!hasFailed(result)) return
        const { facts } = exchange
        facts.ops_capture_sightings = noted(facts.ops_capture_sightings, result, exchange)
      },
      onResponse({ facts }, { status, body }) {
        // Made here: an upstream's own answer has been seen already, and has no bytes yet.
        if (status >= 400 && body) facts.ops_capture_sightings = notedRefusal(facts.ops_capture_sightings, body)
      },
      onEvent: config.mid_stream
        ? ({ facts, status }, data) => {
            const told = status < 400 ? errorInEvent(data) : null
            if (told) facts.ops_capture_sightings = notedMidStream(facts.ops_capture_sightings, told)
          }
        : undefined,
      onEnd(exchange) {
        const failed = isFailed(exchange)
        if (!failed && (!config.recovered || exchange.failures.length === 0)) return
        const { facts, status, error } = exchange
        if (ignoredStatuses.has(status) || ignoredOperations.has(facts.claim?.operation ?? '')) return
        if (config.ignore_client_gone && error?.name === 'ClientGone') return
        // A record nobody will write is not made.
        if (queue.length >= config.queue) return losses.dropped()
        const record = recordOf(exchange, !failed, options)
        metrics.captured.with({ phase: record.phase, severity: record.severity }).inc()
        if (!queue.push(record)) losses.dropped()
      },
    }
  },
})

/** Whether the client did not get a whole, good answer. */
function isFailed({ status, error, attempt, facts }: Captured): boolean {
  if (status >= 400 || status === 0 || error !== null) return true
  const sightings = facts.ops_capture_sightings
  if (sightings === null) return false
  return sightings.midStream !== null || sightings.attempts.at(-1)?.attempt === attempt
}
