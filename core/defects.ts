/** What becomes of a process in which something has gone wrong that should not. */
import type { RootLog } from './observe/log.ts'

/** A defect of ours must not go unseen, and a process in an unknown state must not go on: its supervisor starts it anew. */
export function dieLoudly(log: RootLog): void {
  process.on('uncaughtException', (error) => {
    log.error({ err: error }, 'a defect: the process ends')
    log.flush()
    process.stderr.write(`${error.stack ?? error.message}\n`)
    process.exit(70)
  })
  // A promise that a plugin did not wait for has broken nothing but itself.
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'a promise failed that nobody waited for'))
}
