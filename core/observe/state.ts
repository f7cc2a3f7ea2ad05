/** How the sidecar is, as metrics: read when somebody looks. */
import type { Sidecar } from '../sidecar.ts'
import type { Metrics } from './metrics.ts'

/** Declares them once per process. */
export function stateMetrics(metrics: Metrics) {
  return {
    exchanges: metrics.gauge('postern_exchanges_under_way', 'Exchanges that have not ended.', [], { across: 'sum' }),
    retiring: metrics.gauge('postern_gateways_retiring', 'Gateways that were replaced and still have exchanges.', [], {
      across: 'sum',
    }),
    age: metrics.gauge('postern_configuration_age_seconds', 'Since the running configuration was taken over.', [], {
      across: 'most',
    }),
    ...reloadMetrics(metrics),
    storeUp: metrics.gauge('postern_store_up', '1 while the store answers.', [], { across: 'least' }),
    storeFailures: metrics.gauge(
      'postern_store_failures',
      'Commands that the store did not carry out, since it was opened.',
      [],
      { across: 'sum' },
    ),
    databaseUp: metrics.gauge(
      'postern_database_up',
      '1 while the database answers, 0 while it does not; 1 where there is none.',
      [],
      { across: 'least' },
    ),
  }
}

/** What became of gateway.yaml, where a supervisor reloads it too. */
export function reloadMetrics(metrics: Metrics) {
  return {
    reloads: metrics.gauge('postern_reloads', 'Configurations taken over since the start.', [], { across: 'most' }),
    refused: metrics.gauge('postern_reloads_refused', 'Configurations refused since the start.', [], {
      across: 'most',
    }),
    isRefused: metrics.gauge(
      'postern_configuration_refused',
      '1 while the latest version of the file was refused.',
      [],
      { across: 'most' },
    ),
  }
}

/** Tells them at each look. */
export function tellState(sidecar: Sidecar, metrics: Metrics): void {
  const state = stateMetrics(metrics)
  metrics.onRender(() => {
    const { gateway } = sidecar.server
    const { store, database } = gateway.backing
    state.exchanges.set(
      gateway.exchanges.length + [...sidecar.retiring].reduce((sum, one) => sum + one.exchanges.length, 0),
    )
    state.retiring.set(sidecar.retiring.size)
    state.age.set((Date.now() - gateway.builtAt) / 1000)
    state.reloads.set(sidecar.reloads)
    state.refused.set(sidecar.refusedReloads)
    state.isRefused.set(sidecar.lastProblem ? 1 : 0)
    state.storeUp.set(store.health.isUp ? 1 : 0)
    state.storeFailures.set(store.health.failures)
    state.databaseUp.set(database === null || database.state === 'up' ? 1 : 0)
  })
}
