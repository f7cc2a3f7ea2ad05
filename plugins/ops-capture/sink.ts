/** Where records go. A sink is asked by one worker, a batch at a time. */
import type { CapturedError } from 'postern/plugin'

export interface Sink {
  /** Resolves when they are written. What cannot be written rejects, and is not asked for again. */
  write(batch: readonly CapturedError[]): Promise<void>
}
