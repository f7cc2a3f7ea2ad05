/** One version of gateway.yaml as the supervisor has read it: workers run this, whatever stands in the files by then. */
import { parseConfig, type Config, type Loaded } from '../config/load.ts'
import { ownMemory } from '../overload.ts'
import { pluginSource } from '../plugins.ts'

/** May hold secrets: it goes to workers and nowhere else. */
export interface Snapshot {
  readonly file: string
  readonly text: string
  /** What the files held that it refers to, by their paths. */
  readonly files: ReadonlyMap<string, Uint8Array>
  readonly version: string
}

/** Of what was read and found good. */
export function snapshotOf({ file, text, taken }: Loaded, { version }: Config): Snapshot {
  return { file, text, files: taken, version }
}

/** Reads it as its file would be read. Its notes are the supervisor's to tell. */
export async function loadSnapshot({ file, text, files }: Snapshot): Promise<Loaded> {
  const loaded = await parseConfig(text, file, { plugins: pluginSource, given: files })
  return { ...loaded, config: loaded.config && { ...loaded.config, notes: [] } }
}

/**
 * What one of `workers` has of it: its share of what is for all of them together, no listener of its own for operators, and its log
 * where the supervisor reads it.
 */
export function shareOf(config: Config, workers: number): Config {
  const { settings } = config
  const { limits, log } = settings
  const { all_connections: connections } = limits
  return {
    ...config,
    settings: {
      ...settings,
      admin: false,
      log: { level: log.level },
      limits: {
        ...limits,
        memory: Math.floor((limits.memory ?? ownMemory()) / workers),
        replay: Math.floor(limits.replay / workers),
        ...(connections === undefined ? {} : { all_connections: Math.ceil(connections / workers) }),
      },
    },
  }
}
