/** A house in which nobody is served: its gateway is only looked at. */
import type { House } from './gateway.ts'
import { silentLog } from './observe/log.ts'
import { openMetrics } from './observe/metrics.ts'
import { Overload } from './overload.ts'
import { Shared } from './shared.ts'

/** `isOnlyRead`: stores and databases are not opened either. */
export function quietHouse({ isOnlyRead }: { readonly isOnlyRead: boolean }): House {
  const metrics = openMetrics()
  const overload = new Overload({ log: silentLog, metrics })
  return { shared: new Shared(), log: silentLog, metrics, overload, isOnlyRead }
}
