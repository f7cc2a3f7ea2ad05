/** Where the log goes. */
import type { RootLog } from './log.ts'

const standardOutput = 1

/** Sends it to the file, or to the standard output where none is named. Throws a sentence; then it goes on where it went. */
export function direct(log: RootLog, file: string | undefined): void {
  try {
    log.setDestination(file ?? standardOutput)
  } catch (error) {
    throw new Error(`log.file cannot be written: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}
