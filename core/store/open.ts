/** Opens the store that gateway.yaml names. */
import type { Log } from '../plugin.ts'
import { openMemoryStore } from './memory.ts'
import type { Store } from './store.ts'

/**
 * `setting` is what `store` says: `memory` or the address of a Redis server or cluster. Throws what is wrong with an address, and the
 * cure; a server that does not answer is no reason.
 */
export async function openStore(setting: string, log: Log): Promise<Store> {
  if (setting === 'memory') return openMemoryStore({ log })
  // Loaded where it is used: who keeps everything in memory does not wait for the client of Redis.
  const { openRedisStore } = await import('./redis.ts')
  return openRedisStore(setting, log)
}
