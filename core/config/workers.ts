/** The key `workers` of gateway.yaml: how many processes serve, and what has to fit where they are several. */
import { availableParallelism } from 'node:os'
import type { JSONSchema } from 'json-schema-to-ts'
import type { Draft } from './check.ts'
import type { Item } from './plugins.ts'
import type { Settings } from './schema.ts'

/** So many labels `worker` there may be; a machine with more cores has more than one Postern. */
const most = 64

export const workers = {
  anyOf: [{ type: 'integer', minimum: 1, maximum: most }, { const: 'auto' }],
  description:
    `How many processes serve, ${most} at the most; auto: as many as the machine or container has cores. With more than one, plugins ` +
    'that share what they know need a store that is shared. Changing it needs a restart.',
  default: 1,
} as const satisfies JSONSchema

/** The number that is meant. */
export function workersOf({ workers: wanted }: Pick<Settings, 'workers'>): number {
  return wanted === 'auto' ? Math.min(most, availableParallelism()) : wanted
}

/**
 * Reports what belongs to one process and would be several. `auto` counts as several on every machine: what is wrong with a file
 * does not depend on where it is read.
 */
export function checkWorkers({ yaml, report }: Draft, settings: Settings, items: readonly Item[]): void {
  const { workers: wanted, store, database } = settings
  if (wanted === 1) return
  const setting = database.reveal()
  if (/^embedded(:|$)/.test(setting))
    report.add(
      yaml.offset(['database']),
      `an embedded database belongs to one process, and workers is ${wanted}`,
      'Set database: postgres://…, or workers: 1',
      'CONFIG_VALUE',
    )
  const isAlone = { store: store.reveal() === 'memory', database: setting === 'none' }
  for (const { plugin, called, offset } of items) {
    const place = plugin?.sharesState
    if (place === undefined || !isAlone[place]) continue
    const told = { store: `store: memory is each worker's own`, database: 'there is no database' }[place]
    const cure = { store: 'store: redis://HOST:PORT', database: 'database: postgres://…' }[place]
    report.add(
      offset,
      `${called} has to know the same in all workers, and ${told}`,
      `Set ${cure}, or workers: 1`,
      'CONFIG_VALUE',
    )
  }
}
