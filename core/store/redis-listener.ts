/** The connection on which Redis tells what is published: one of its own, made when somebody listens, and made again for ever. */
import type { Redis } from 'ioredis'
import type { Log } from '../plugin.ts'
import { Listeners, type Listener } from './listeners.ts'
import { backoff, disconnect, silence } from './redis-connection.ts'
import { isReply } from './redis-health.ts'

export interface RedisListenerOptions {
  readonly log: Log
  /** How long `subscribe` waits to be heard, in ms. */
  readonly limit: number
  /** Makes the connection for the attempt, counted from 0, without starting it: nodes of a cluster take turns. */
  connect(attempt: number): Redis
  /** Is told where Redis answers and does not let us listen. */
  refused(error: unknown): void
}

export class RedisListener {
  readonly #listeners: Listeners
  readonly #options: RedisListenerOptions
  #client: Redis | null = null
  #timer: NodeJS.Timeout | undefined
  #alive: NodeJS.Timeout | undefined
  #attempt = 0
  #ready = Promise.withResolvers<void>()
  #isClosed = false

  constructor(options: RedisListenerOptions) {
    this.#options = options
    this.#listeners = new Listeners(options.log)
  }

  /**
   * Listens from when Redis has heard of it. In an outage that is later: this resolves within the limit in any case, and never
   * rejects.
   */
  async subscribe(channel: string, listener: Listener): Promise<() => Promise<void>> {
    if (this.#isClosed) return async () => {}
    this.#listeners.add(channel, listener)
    const client = this.#client
    if (!client) this.#open()
    const heard = client?.status === 'ready' ? client.subscribe(channel).then(() => {}) : this.#ready.promise
    await this.#within(heard)
    return async () => {
      if (!this.#listeners.remove(channel, listener) || this.#client?.status !== 'ready') return
      await this.#within(this.#client.unsubscribe(channel).then(() => {}))
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    clearInterval(this.#alive)
    this.#listeners.clear()
    this.#ready.resolve()
    if (this.#client) await disconnect(this.#client)
  }

  #open(): void {
    const client = this.#options.connect(this.#attempt)
    this.#client = client
    // Why it fails is told by the store's other connection.
    client.on('error', () => {})
    client.on('message', (channel, message) => this.#listeners.tell(channel, message))
    client.once('ready', () => void this.#onReady(client))
    client.once('end', () => this.#onEnd())
    client.connect().catch(() => {})
  }

  async #onReady(client: Redis): Promise<void> {
    const { channels } = this.#listeners
    try {
      if (channels.length > 0) await client.subscribe(...channels)
    } catch (error) {
      if (isReply(error)) this.#options.refused(error)
      return client.disconnect()
    }
    this.#attempt = 0
    this.#ready.resolve()
    clearInterval(this.#alive)
    // A peer that vanished says nothing by itself: what it is asked goes unanswered, and ioredis gives the connection up.
    this.#alive = setInterval(() => void client.ping().catch(() => {}), 5 * silence)
    this.#alive.unref()
  }

  #onEnd(): void {
    clearInterval(this.#alive)
    if (this.#isClosed) return
    this.#ready.resolve()
    this.#ready = Promise.withResolvers()
    this.#timer = setTimeout(() => this.#open(), backoff(++this.#attempt))
  }

  /** Waits for it, at most for the limit, and does not care how it ends. */
  async #within(done: Promise<void>): Promise<void> {
    const limit = Promise.withResolvers<void>()
    const timer = setTimeout(limit.resolve, this.#options.limit)
    await Promise.race([done.catch(() => {}), limit.promise])
    clearTimeout(timer)
  }
}
