/** Opens the store that gateway.yaml names. */
import type { Log } from '../plugin.ts'
import { openMemoryStore } from './memory.ts'
import type { Store } from './store.ts'

/** `setting` is what `store` says: `memory` or the address of a Redis server. Throws what cannot be had, and the cure. */
export function openStore(setting: string, _log: Log): Store | Promise<Store> {
  if (setting === 'memory') return openMemoryStore()
  throw new Error('store: this build knows memory only')
}
