/**
 * Keeps what V8 has compiled, and what is left of TypeScript without its types, for the next start: half of a start's CPU time. It
 * lies beside the packages, so that whoever may write it may write the code itself; where nobody may, nothing is kept.
 * NODE_DISABLE_COMPILE_CACHE=1 turns it off, NODE_COMPILE_CACHE=DIR puts it elsewhere.
 */
import * as module from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** When everything that a start loads is loaded, in ms. A process that is killed later has written it by then. */
const settled = 5000

export function keepCompiled() {
  module.enableCompileCache?.(
    process.env.NODE_COMPILE_CACHE ??
      join(fileURLToPath(new URL('../', import.meta.url)), 'node_modules/.cache/postern'),
  )
  setTimeout(() => module.flushCompileCache?.(), settled).unref()
}
