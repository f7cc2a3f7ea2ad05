/**
 * The connection of the store to Redis, as something that may be down. Whoever asks gets an answer or StoreDown within the limit;
 * while Redis is known to be down, at once. What has failed to answer in time is asked again in the background until it does.
 */
import type { Cluster, Redis, RedisCommander } from 'ioredis'
import type { Log } from '../plugin.ts'
import { hashSlot } from './hash-slot.ts'
import type { RedisAddress } from './redis-address.ts'
import { backoff, connect, connectCluster, disconnect, type RedisTls } from './redis-connection.ts'
import { isReply, RedisHealth, rootOf } from './redis-health.ts'
import { StoreDown } from './store.ts'
import { within } from './within.ts'

export interface RedisLinkOptions {
  readonly log: Log
  /** How long a command may take, in ms. */
  readonly limit: number
  readonly tls?: RedisTls
}

/** Replies that say "not now": the node is treated as one that does not answer. */
const notNow = /^(CLUSTERDOWN|LOADING|MASTERDOWN|TRYAGAIN)\b/

/** How long a connection that cannot be used is left alone before the next is tried, in ms. */
const unusableFor = 2000

/** Who owns the keys of one server: there is only one. */
const theServer = 'server'

export class RedisLink {
  readonly address: RedisAddress
  readonly health: RedisHealth
  readonly #limit: number
  readonly #cluster: Cluster | null
  readonly #client: Redis | Cluster
  /** The masters that have not answered in time, and the timer or the question under way for each. */
  readonly #doubted = new Map<string, NodeJS.Timeout | undefined>()
  readonly #opened = Promise.withResolvers<void>()
  #isOpening = true
  #isReady = false
  #isClosed = false
  /** Why the connection that is being made cannot be used although it will be. */
  #unusable: unknown = null
  #again: NodeJS.Timeout | undefined
  #lastError: unknown = null

  constructor(address: RedisAddress, { log, limit, tls }: RedisLinkOptions) {
    this.address = address
    this.#limit = limit
    this.health = new RedisHealth(log, address.shown, address.password)
    const [node = { host: 'localhost', port: 6379 }] = address.nodes
    this.#cluster = address.isCluster ? connectCluster(address, tls) : null
    this.#client = this.#cluster ?? connect(node, address, tls)
    this.#client.on('error', (error: unknown) => this.#onError(rootOf(error)))
    this.#client.on('ready', () => void this.#onReady())
    this.#client.on('close', () => this.#onClose())
  }

  /** Who must answer a question about the key. */
  ownerOf(key: string): string {
    return this.#cluster?.slots[hashSlot(key)]?.[0] ?? theServer
  }

  /** Every master, to be asked one by one. */
  get masters(): readonly { owner: string; commands: RedisCommander }[] {
    if (!this.#cluster) return [{ owner: theServer, commands: this.#client }]
    return this.#cluster.nodes('master').map((node) => ({ owner: nodeName(node), commands: node }))
  }

  /** The one master that owns the key, for what a cluster would send to any: what comes after it comes after it. */
  masterOf(key: string): RedisCommander {
    const owner = this.ownerOf(key)
    return this.masters.find((master) => master.owner === owner)?.commands ?? this.#client
  }

  /** Asks about a key. Rejects with StoreDown, within the limit. */
  ask<T>(key: string, send: (commands: RedisCommander) => Promise<T>): Promise<T> {
    return this.askOwner(this.ownerOf(key), key, () => send(this.#client))
  }

  /** As `ask`, where the owner is already known; `key` is one of its keys, asked for until it answers again. */
  async askOwner<T>(owner: string, key: string | null, send: () => Promise<T>): Promise<T> {
    const refusal = this.#isOpening ? null : this.#refusal(owner)
    if (refusal !== null) throw this.health.failed(refusal)
    try {
      return await within(this.#limit, this.#isOpening ? this.#sendOpened(owner, send) : send())
    } catch (error) {
      throw this.#failure(owner, key, error)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#endOpening()
    this.health.isUp = false
    this.health.lastError ??= 'the store is closed'
    clearTimeout(this.#again)
    for (const timer of this.#doubted.values()) clearTimeout(timer)
    await disconnect(this.#client)
  }

  /** The first that ask wait for the connection. What has become too late meanwhile is not sent any more. */
  async #sendOpened<T>(owner: string, send: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#limit
    await this.#opened.promise
    const refusal = performance.now() < deadline ? this.#refusal(owner) : 'too late'
    if (refusal !== null) throw new StoreDown(refusal)
    return send()
  }

  #refusal(owner: string): string | null {
    if (this.#isClosed) return 'the store is closed'
    if (this.#isReady && !this.#doubted.has(owner)) return null
    return this.health.lastError ?? 'not connected yet'
  }

  #failure(owner: string, key: string | null, error: unknown): StoreDown {
    if (error instanceof StoreDown) return this.health.failed(error)
    if (isRefusal(error)) return this.health.refused(error)
    if (this.#isOpening) this.#down(error)
    else this.#doubt(owner, key, error)
    return this.health.failed(error)
  }

  /** Nobody waits for this owner any more, until it has answered. */
  #doubt(owner: string, key: string | null, error: unknown): void {
    if (key === null || this.#isClosed || !this.#isReady || this.#doubted.has(owner)) return
    this.#doubted.set(owner, undefined)
    this.health.down(error)
    this.#probe(owner, key, 1)
  }

  #probe(owner: string, key: string, attempt: number): void {
    const isMeant = () => this.#doubted.has(owner) && !this.#isClosed
    let isAsked = false
    const again = () => {
      if (isAsked || !isMeant()) return
      isAsked = true
      const timer = setTimeout(() => this.#probe(owner, key, attempt + 1), backoff(attempt))
      this.#doubted.set(owner, timer)
    }
    // The question stays valid when the next one is asked: whichever is answered first ends the doubt.
    const timer = setTimeout(again, this.#limit)
    this.#doubted.set(owner, timer)
    const answered = () => {
      if (!isMeant()) return
      clearTimeout(this.#doubted.get(owner))
      this.#doubted.delete(owner)
      this.#tellUp()
    }
    this.#client.exists(key).then(answered, (error: unknown) => {
      if (isRefusal(error)) return answered()
      clearTimeout(timer)
      again()
    })
  }

  #tellUp(): void {
    if (this.#isReady && this.#doubted.size === 0 && !this.#isClosed) this.health.up()
  }

  #onError(error: unknown): void {
    this.#lastError = error
    // ioredis goes on with database 0 where the one that was asked for cannot be had.
    if (error instanceof Error && /DB index|SELECT is not allowed/i.test(error.message)) this.#unusable = error
    if (this.#client.status !== 'ready') this.#down(error)
  }

  async #onReady(): Promise<void> {
    if (this.#unusable !== null) {
      // ioredis counts its attempts from 1 again, and would be back in no time.
      this.#again = setTimeout(() => this.#client.disconnect(true), unusableFor)
      return
    }
    // The nodes of a cluster connect with their first command, and refuse a second one meanwhile.
    if (this.#cluster) await Promise.allSettled(this.#cluster.nodes('master').map((node) => warm(node)))
    if (this.#isClosed || this.#client.status !== 'ready') return
    this.#lastError = null
    this.#isReady = true
    for (const timer of this.#doubted.values()) clearTimeout(timer)
    this.#doubted.clear()
    this.#endOpening()
    this.#tellUp()
  }

  #onClose(): void {
    if (this.#isClosed) return
    this.#down(this.#unusable ?? this.#lastError ?? 'the connection was closed')
    this.#unusable = null
  }

  #down(error: unknown): void {
    if (this.#isClosed) return
    this.#isReady = false
    this.health.down(error)
    this.#endOpening()
  }

  #endOpening(): void {
    this.#isOpening = false
    this.#opened.resolve()
  }
}

/** Redis has answered, and will say the same again. */
function isRefusal(error: unknown): boolean {
  return isReply(error) && !notNow.test(error.message)
}

function nodeName({ options }: Redis): string {
  return `${options.host}:${options.port}`
}

async function warm(node: Redis): Promise<void> {
  if (node.status === 'wait') await node.connect()
}
