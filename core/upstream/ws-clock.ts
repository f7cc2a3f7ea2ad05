/** Time for the pool of WebSocket connections: a test can pass one that moves when it is told to. */

/** Stops what was to run; harmless afterwards. */
export type Cancel = () => void

export interface Clock {
  /** Whole milliseconds that never run backwards; only differences mean anything. */
  now(): number
  /** Runs once, `ms` from now. Keeps no process alive. */
  after(ms: number, run: () => void): Cancel
}

export const systemClock: Clock = {
  // Whole, because V8 keeps small integers in place and puts every fraction that is read onto the heap.
  now: () => Math.trunc(performance.now()),
  after(ms, run) {
    const timer = setTimeout(run, ms).unref()
    return () => clearTimeout(timer)
  },
}
