/** When there is too much to do: who is turned away, so that the others are served and the process lives on. */
import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { fault } from './errors.ts'
import type { Metrics } from './observe/metrics.ts'
import type { Log, Priority } from './plugin.ts'
import type { Refusal } from './reply.ts'

/** The share of a limit from which on exchanges of a priority are turned away. */
const shares: Readonly<Record<Priority, number>> = { low: 0.8, normal: 0.9, high: 1 }

/** The share of V8's own limit that counts as full: close to it, the process collects garbage and does little else. */
const fullHeap = 0.9

/** How much of the memory that the machine or container has counts as the process's own, where no limit is set. */
const ownShare = 0.8

/** Between two looks, in ms. What is promised meanwhile is counted as if it had come. */
const interval = 100

/** The loop counts as late by the least of so many looks: one long task is no overload. */
const looks = 3

/** What a body is counted as before it has come, in bytes at most: as much as its first room (`core/body/read.ts`). */
const mostPromised = 2 ** 20

/** Between two lines in the log about the same overload, in ms. */
const quiet = 10_000

/** The keys of `limits` that this is about. */
export interface OverloadLimits {
  /** Bytes; undefined: a share of what there is. */
  readonly memory?: number | undefined
  /** Milliseconds. */
  readonly lag: number
}

/** What the process is like, in bytes. */
export interface Reading {
  readonly heap: number
  readonly heapLimit: number
  /** Buffers, outside of the heap. */
  readonly external: number
}

export type Cause = 'memory' | 'heap' | 'lag'

export interface OverloadOptions {
  readonly log: Log
  readonly metrics: Metrics
  /** As V8 tells it, where absent. */
  readonly read?: () => Reading
}

/** One per process. Pressure is the share of a limit that is used; 1 is all of it. */
export class Overload {
  readonly #read: () => Reading
  readonly #log: Log
  readonly #turnedAway: (priority: Priority, cause: Cause) => void
  #timer: NodeJS.Timeout | null = null
  #limits: OverloadLimits = { lag: Infinity }
  /** Bytes that stand for all of the memory. */
  #memory = Infinity
  #used = 0
  #promised = 0
  #heap = 0
  #lag = 0
  #late: number[] = []
  #lookedAt = performance.now()
  /** When overload was last told of; null while there is none. */
  #toldAt: number | null = null
  #refused = 0

  constructor({ log, metrics, read = readProcess }: OverloadOptions) {
    this.#read = read
    this.#log = log
    const { pressure, turned } = overloadMetrics(metrics)
    metrics.onRender(() => {
      for (const [of, value] of Object.entries(this.pressures)) pressure.with({ of }).set(value)
    })
    this.#turnedAway = (priority, cause) => turned.with({ priority, cause }).inc()
  }

  /** From now on these hold, and the process is looked at. */
  use(limits: OverloadLimits): void {
    this.#timer ??= setInterval(() => this.look(performance.now()), interval).unref()
    this.#limits = limits
    this.#memory = limits.memory ?? ownMemory()
    this.#lag = this.#lateness() / limits.lag
    this.#weigh()
  }

  get pressures(): Readonly<Record<Cause, number>> {
    return { memory: this.#ofMemory, heap: this.#heap, lag: this.#lag }
  }

  /**
   * Whether an exchange may go on: null, or the refusal. `length` is what its body is announced with, in bytes. Who is let in is
   * counted; who is turned away costs no more than this.
   */
  admit(priority: Priority | null, length: number): Refusal | null {
    const promised = length > 0 ? Math.min(length, mostPromised) : 0
    this.#promised += promised
    const pressure = Math.max(this.#ofMemory, this.#heap, this.#lag)
    if (pressure < shares.low) return null
    const of = priority ?? 'normal'
    if (pressure < shares[of]) return null
    this.#promised -= promised
    const cause = this.#lag === pressure ? 'lag' : this.#heap === pressure ? 'heap' : 'memory'
    this.#turnedAway(of, cause)
    if (this.#refused++ === 0) this.#tell(cause)
    // Not all at once: those that were refused together do not come again together.
    return fault('OVERLOADED', '', { 'retry-after': String(1 + (this.#refused % 3)) })
  }

  /** Looks at the process; `now` as `performance.now()` tells it. */
  look(now: number): void {
    this.#weigh()
    this.#late = [...this.#late.slice(1 - looks), Math.max(0, now - this.#lookedAt - interval)]
    this.#lag = this.#lateness() / this.#limits.lag
    this.#lookedAt = now
    if (this.#toldAt !== null && now - this.#toldAt >= quiet) this.#conclude()
  }

  close(): void {
    if (this.#timer) clearInterval(this.#timer)
  }

  get #ofMemory(): number {
    return (this.#used + this.#promised) / this.#memory
  }

  #weigh(): void {
    const { heap, heapLimit, external } = this.#read()
    this.#used = heap + external
    this.#promised = 0
    this.#heap = heap / (fullHeap * heapLimit)
  }

  #lateness(): number {
    return this.#late.length < looks ? 0 : Math.min(...this.#late)
  }

  #tell(cause: Cause): void {
    if (this.#toldAt !== null) return
    this.#toldAt = performance.now()
    this.#log.warn(
      { cause, pressure: this.pressures, limit: this.#limitOf(cause) },
      'too much to do: exchanges are turned away',
    )
  }

  #limitOf(cause: Cause): string {
    if (cause === 'lag') return `limits.lag, ${this.#limits.lag} ms`
    if (cause === 'heap') return "V8's own, see node --max-old-space-size"
    return `limits.memory, ${Math.round(this.#memory / 2 ** 20)} MiB`
  }

  /** Tells how many were turned away since it was told that some are, and begins anew. */
  #conclude(): void {
    this.#log.warn({ refused: this.#refused, pressure: this.pressures }, 'exchanges were turned away: too much to do')
    this.#toldAt = null
    this.#refused = 0
  }
}

/** Declares what is told of it. */
export function overloadMetrics(metrics: Metrics) {
  return {
    pressure: metrics.gauge('postern_pressure_ratio', 'The share of a limit that is used; see limits.', ['of']),
    turned: metrics.counter('postern_turned_away_total', 'Exchanges refused because there was too much to do.', [
      'priority',
      'cause',
    ]),
  }
}

function readProcess(): Reading {
  const { used_heap_size: heap, heap_size_limit: heapLimit, external_memory: external } = getHeapStatistics()
  return { heap, heapLimit, external }
}

/** Bytes that all of Postern may use where nothing says so. */
export function ownMemory(): number {
  return ownShare * availableMemory()
}

/** Bytes that the machine has, or the container gives. */
function availableMemory(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}

/**
 * How many clients may be connected at the same time where nothing says so: half of the files that the process may open, since
 * each exchange has a second connection, to its upstream. Infinity where the system does not tell.
 */
export function mostConnections(): number {
  try {
    const [, soft = ''] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === '' ? Infinity : Math.floor(Number(soft) / 2)
  } catch {
    return Infinity // not Linux
  }
}
