/** What of a configuration takes effect at the next start alone. */
import type { Config } from './load.ts'
import type { ListenerTls } from './tls.ts'

/** Keys that are read once, when the process starts, and differ: a sentence for each. */
export function needsRestart(running: Config, next: Config): string[] {
  const was = running.settings
  const is = next.settings
  const changed: [string, boolean][] = [
    ['listen', was.listen !== is.listen],
    ['workers', was.workers !== is.workers],
    ['tls', kindOfTls(was.tls) !== kindOfTls(is.tls)],
    ['admin', fixedOf(was.admin) !== fixedOf(is.admin) || keyOf(was.admin) !== keyOf(is.admin)],
    ['limits.header', was.limits.header !== is.limits.header],
  ]
  return changed
    .filter(([, differs]) => differs)
    .map(([key]) => `${key} has changed: it takes effect at the next start`)
}

/** A secret is spelt alike whatever it is: it has to be looked at itself. */
function keyOf(admin: Config['settings']['admin']): string | undefined {
  return admin ? admin.key?.reveal() : undefined
}

/** Certificates may change, but not whether there are any. */
function kindOfTls(tls: ListenerTls | undefined): string {
  return tls === undefined ? 'none' : tls.client_ca === undefined ? 'tls' : 'mutual'
}

function fixedOf(admin: Config['settings']['admin']): string {
  return JSON.stringify(admin && { ...admin, tls: kindOfTls(admin.tls) })
}
