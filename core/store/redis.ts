/**
 * The store in Redis or Valkey, one server or a cluster. On one server every method is one command; in a cluster, one for each hash
 * slot among its keys, all at the same time.
 */
import type { RedisCommander } from 'ioredis'
import type { Log } from '../plugin.ts'
import { lifetime } from './lifetime.ts'
import type { Listener } from './listeners.ts'
import { parseRedisAddress } from './redis-address.ts'
import { connect, type RedisTls } from './redis-connection.ts'
import { RedisLink } from './redis-link.ts'
import { RedisListener } from './redis-listener.ts'
import { partsOf } from './redis-parts.ts'
import type { Slot, Store, StoreEntry, StoreHealth } from './store.ts'

export interface RedisStoreOptions {
  /**
   * How long a method may take, in ms, before it rejects with StoreDown. An exchange waits for the store before its upstream is
   * asked, so this is the most that an outage costs one: 200 ms is a hundred times what Redis takes in the same network, and little
   * beside the seconds that a model thinks. After the first that waited in vain nobody else does.
   */
  readonly limit?: number
  readonly tls?: RedisTls
}

/** Keys that one command looks at: more take another, so that Redis never stands still for much longer than a millisecond. */
const keysPerCommand = 1000

/** Opens without waiting: the store is up when Redis is. Throws where the address cannot be read. */
export function openRedisStore(address: string, log: Log, options: RedisStoreOptions = {}): Store {
  return new RedisStore(address, log, options)
}

class RedisStore implements Store {
  readonly kind = 'redis'
  readonly isShared = true
  readonly #link: RedisLink
  readonly #listener: RedisListener

  constructor(text: string, log: Log, { limit = 200, tls }: RedisStoreOptions) {
    const address = parseRedisAddress(text)
    this.#link = new RedisLink(address, { log, limit, tls })
    this.#listener = new RedisListener({
      log,
      limit,
      connect(attempt) {
        const node = address.nodes[attempt % address.nodes.length] ?? { host: 'localhost', port: 6379 }
        return connect(node, address, tls, { lazyConnect: true, retryStrategy: null, autoResubscribe: false })
      },
      refused: (error) => void this.#link.health.refused(error),
    })
  }

  get health(): StoreHealth {
    return this.#link.health
  }

  get(key: string): Promise<string | null> {
    return this.#link.ask(key, (redis) => redis.get(key))
  }

  getMany(keys: readonly string[]): Promise<(string | null)[]> {
    return this.#askEach(keys, (redis, keys) => redis.mget(keys))
  }

  async set({ key, value, ttl }: StoreEntry): Promise<void> {
    const life = lifetime(ttl)
    await this.#link.ask(key, (redis) => redis.set(key, value, 'PX', life))
  }

  async setMany(entries: readonly StoreEntry[]): Promise<void> {
    const lasting = entries.map(({ key, value, ttl }) => ({ key, value, life: lifetime(ttl) }))
    await this.#inParts(
      lasting,
      ({ key }) => key,
      (redis, part) => {
        const values = part.flatMap(({ value, life }) => [value, life])
        return redis.posternSet(part.length, ...part.map(({ key }) => key), ...values)
      },
    )
  }

  async add({ key, value, ttl }: StoreEntry): Promise<boolean> {
    const life = lifetime(ttl)
    return (await this.#link.ask(key, (redis) => redis.set(key, value, 'PX', life, 'NX'))) === 'OK'
  }

  async raise(key: string, value: number, ttl: number): Promise<number> {
    const life = lifetime(ttl)
    return Number(await this.#link.ask(key, (redis) => redis.posternRaise(key, value, life)))
  }

  async increment(key: string, by: number, ttl: number): Promise<number> {
    const life = lifetime(ttl)
    return Number(await this.#link.ask(key, (redis) => redis.posternIncrement(key, by, life)))
  }

  async delete(keys: readonly string[]): Promise<void> {
    await this.#unlink(keys)
  }

  async deletePrefix(prefix: string): Promise<number> {
    const pattern = `${prefix.replaceAll(/[*?[\]\\]/g, String.raw`\$&`)}*`
    const deleted = await Promise.all(
      this.#link.masters.map(async ({ owner, commands }) => {
        let deleted = 0
        let cursor = '0'
        do {
          const [next, keys] = await this.#link.askOwner(owner, null, () =>
            commands.scan(cursor, 'MATCH', pattern, 'COUNT', keysPerCommand),
          )
          deleted += await this.#unlink(keys)
          cursor = next
        } while (cursor !== '0')
        return deleted
      }),
    )
    return sum(deleted)
  }

  async acquire(key: string, holder: string, limit: number, ttl: number): Promise<boolean> {
    const life = lifetime(ttl)
    return (await this.#link.ask(key, (redis) => redis.posternAcquire(key, holder, limit, life))) === 1
  }

  async release(key: string, holder: string): Promise<void> {
    await this.#link.ask(key, (redis) => redis.zrem(key, holder))
  }

  async renew(slots: readonly Slot[], ttl: number): Promise<void> {
    const life = lifetime(ttl)
    await this.#inParts(
      slots,
      ({ key }) => key,
      (redis, part) => {
        const holders = part.map(({ holder }) => holder)
        return redis.posternRenew(part.length, ...part.map(({ key }) => key), life, ...holders)
      },
    )
  }

  count(keys: readonly string[]): Promise<number[]> {
    return this.#askEach(keys, (redis, keys) => redis.posternCount(keys.length, ...keys))
  }

  async publish(channel: string, message: string): Promise<void> {
    // By one way only: a cluster passes a message on from any of its nodes, but keeps the order of each node alone.
    await this.#link.ask(channel, () => this.#link.masterOf(channel).publish(channel, message))
  }

  subscribe(channel: string, listener: Listener): Promise<() => Promise<void>> {
    return this.#listener.subscribe(channel, listener)
  }

  async close(): Promise<void> {
    await Promise.all([this.#listener.close(), this.#link.close()])
  }

  async #unlink(keys: readonly string[]): Promise<number> {
    const parts = await this.#inParts(
      keys,
      (key) => key,
      (redis, part) => redis.unlink(part),
    )
    return sum(parts.map(({ answer }) => answer))
  }

  /** One answer for each key, in the order of the keys. */
  async #askEach<T>(
    keys: readonly string[],
    ask: (redis: RedisCommander, keys: string[]) => Promise<T[]>,
  ): Promise<T[]> {
    const parts = await this.#inParts(keys, (key) => key, ask)
    const [only] = parts
    if (only && parts.length === 1) return only.answer
    const answers: T[] = []
    for (const { places, answer } of parts) for (const [at, place] of places.entries()) answers[place] = answer[at] as T // one for each key
    return answers
  }

  /** One command for each part, all at the same time; none for nothing. */
  async #inParts<I, T>(
    items: readonly I[],
    keyOf: (item: I) => string,
    ask: (redis: RedisCommander, items: I[]) => Promise<T>,
  ): Promise<{ places: number[]; answer: T }[]> {
    const parts = partsOf(items, keyOf, { isCluster: this.#link.address.isCluster, most: keysPerCommand })
    return Promise.all(
      parts.map(async ({ key, items, places }) => {
        return { places, answer: await this.#link.ask(key, (redis) => ask(redis, items)) }
      }),
    )
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}
