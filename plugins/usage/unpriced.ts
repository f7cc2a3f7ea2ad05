/** Models without a price are told of once each. */
import type { Log } from 'postern/plugin'
import type { UsageRow } from './row.ts'

/** Their names come from outside: no more than this many are remembered, or told. */
const most = 1000

export function unpricedModels(log: Log): (row: UsageRow) => void {
  const told = new Set<string>()
  return ({ priced_as, usage_source, model, served_model, provider }) => {
    if (priced_as !== null || usage_source === 'none' || told.size >= most || told.has(model)) return
    told.add(model)
    log.warn({ model, served_model, provider }, 'a model has no price: what it serves costs nothing')
  }
}
