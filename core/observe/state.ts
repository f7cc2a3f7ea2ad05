/** How the sidecar is, as metrics: read when somebody looks. */
import type { Sidecar } from '../sidecar.ts'
import type { Metrics } from './metrics.ts'

/** Declares them, and tells them at each look. */
export function tellState(sidecar: Sidecar, metrics: Metrics): void {
  const exchanges = metrics.gauge('postern_exchanges_under_way', 'Exchanges that have not ended.')
  const retiring = metrics.gauge('postern_gateways_retiring', 'Gateways that were replaced and still have exchanges.')
  const age = metrics.gauge('postern_configuration_age_seconds', 'Since the running configuration was taken over.')
  const reloads = metrics.gauge('postern_reloads', 'Configurations taken over since the start.')
  const refused = metrics.gauge('postern_reloads_refused', 'Configurations refused since the start.')
  const isRefused = metrics.gauge(
    'postern_configuration_refused',
    '1 while the latest version of the file was refused.',
  )
  const storeUp = metrics.gauge('postern_store_up', '1 while the store answers.')
  const storeFailures = metrics.gauge(
    'postern_store_failures',
    'Commands that the store did not carry out, since it was opened.',
  )
  const databaseUp = metrics.gauge(
    'postern_database_up',
    '1 while the database answers, 0 while it does not; 1 where there is none.',
  )
  metrics.onRender(() => {
    const { gateway } = sidecar.server
    const { store, database } = gateway.backing
    exchanges.set(gateway.exchanges.length + [...sidecar.retiring].reduce((sum, one) => sum + one.exchanges.length, 0))
    retiring.set(sidecar.retiring.size)
    age.set((Date.now() - gateway.builtAt) / 1000)
    reloads.set(sidecar.reloads)
    refused.set(sidecar.refusedReloads)
    isRefused.set(sidecar.lastProblem ? 1 : 0)
    storeUp.set(store.health.isUp ? 1 : 0)
    storeFailures.set(store.health.failures)
    databaseUp.set(database === null || database.state === 'up' ? 1 : 0)
  })
}
