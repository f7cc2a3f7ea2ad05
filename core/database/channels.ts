/** NOTIFY, heard: one connection for all who listen, which comes back when it is lost. */
import type pg from 'pg'
import type { Log } from '../plugin.ts'
import { backoff } from './backoff.ts'
import { DatabaseUnavailable } from './connection.ts'

/**
 * Called with the payload of each notification; with null when the connection stands again after a gap, in which
 * notifications may have been missed. Runs to its end before the next one; what it throws is logged.
 */
export type Listener = (payload: string | null) => void

/** How often, in ms, the connection is asked whether it is still there. */
const heartbeat = 20_000

export class Channels {
  readonly #connect: () => Promise<pg.Client>
  readonly #log: Log
  readonly #listeners = new Map<string, Set<Listener>>()
  #client: pg.Client | null = null
  #connecting: Promise<void> | null = null
  #timer: NodeJS.Timeout | undefined
  #asked: Promise<void> = Promise.resolve()
  #attempt = 0
  #wasLost = false
  #isClosed = false

  constructor(connect: () => Promise<pg.Client>, log: Log) {
    this.#connect = connect
    this.#log = log
  }

  /**
   * Resolves when the channel is listened to; at once if nobody answers: then as soon as somebody does, and the listener hears
   * null. The function it resolves with ends it; the last one closes the connection.
   */
  async listen(channel: string, listener: Listener): Promise<() => Promise<void>> {
    if (this.#isClosed) throw new DatabaseUnavailable('closed')
    const listeners = this.#listeners.get(channel)
    if (listeners) listeners.add(listener)
    else this.#listeners.set(channel, new Set([listener]))
    if (this.#client) await this.#ask(this.#client, `LISTEN ${quoteName(channel)}`)
    else await this.#open()
    let isListening = true
    return async () => {
      if (!isListening) return
      isListening = false
      await this.#forget(channel, listener)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#listeners.clear()
    await this.#hangUp()
  }

  async #forget(channel: string, listener: Listener): Promise<void> {
    const listeners = this.#listeners.get(channel)
    listeners?.delete(listener)
    if (!listeners || listeners.size > 0) return
    this.#listeners.delete(channel)
    if (this.#listeners.size === 0) await this.#hangUp()
    else if (this.#client) await this.#ask(this.#client, `UNLISTEN ${quoteName(channel)}`)
  }

  #open(): Promise<void> {
    clearTimeout(this.#timer)
    this.#connecting ??= this.#begin().finally(() => {
      this.#connecting = null
    })
    return this.#connecting
  }

  async #begin(): Promise<void> {
    let client: pg.Client | undefined
    try {
      client = await this.#connect()
      client.on('notification', ({ channel, payload }) => this.#tell(channel, payload ?? ''))
      const heard = new Set<string>()
      // Who joined while the connection was being made is found by the next turn.
      for (let next = this.#unheard(heard); next !== undefined; next = this.#unheard(heard)) {
        heard.add(next)
        await client.query(`LISTEN ${quoteName(next)}`)
      }
      if (this.#isClosed || this.#listeners.size === 0) return await client.end()
      this.#client = client
      this.#attempt = 0
      client.once('end', this.#lost.bind(this, client))
      this.#beat(client)
      if (this.#wasLost) for (const channel of this.#listeners.keys()) this.#tell(channel, null)
      this.#wasLost = false
    } catch (error) {
      void client?.end().catch(() => {})
      // Once per outage: what keeps it away is told by whoever asks the database.
      if (!this.#wasLost) this.#log.warn({ err: error }, 'notifications of the database are not heard; trying again')
      this.#wasLost = true
      this.#again()
    }
  }

  #unheard(heard: ReadonlySet<string>): string | undefined {
    return [...this.#listeners.keys()].find((channel) => !heard.has(channel))
  }

  #lost(client: pg.Client): void {
    if (this.#client === client) this.#client = null
    if (this.#client || this.#connecting || this.#isClosed || this.#listeners.size === 0) return
    this.#wasLost = true
    this.#again()
  }

  /** One question after the other. One that fails has lost the connection, and what it asked for comes with the next one. */
  #ask(client: pg.Client, text: string): Promise<void> {
    this.#asked = this.#asked
      .then(() => client.query(text))
      .then(
        () => {},
        () => {
          void client.end().catch(() => {})
          this.#lost(client)
        },
      )
    return this.#asked
  }

  #again(): void {
    if (this.#isClosed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#open(), backoff(this.#attempt++))
    this.#timer.unref()
  }

  /** A peer that vanished without a word is found out by a question that it does not answer in time. */
  #beat(client: pg.Client): void {
    this.#timer = setTimeout(() => {
      void this.#ask(client, 'SELECT 1').then(() => {
        if (this.#client === client) this.#beat(client)
      })
    }, heartbeat)
    this.#timer.unref()
  }

  #tell(channel: string, payload: string | null): void {
    for (const listener of this.#listeners.get(channel) ?? []) {
      try {
        listener(payload)
      } catch (error) {
        this.#log.error({ err: error, channel }, 'a listener failed')
      }
    }
  }

  async #hangUp(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#connecting
    clearTimeout(this.#timer)
    const client = this.#client
    this.#client = null
    await client?.end().catch(() => {})
  }
}

/** A name as PostgreSQL reads it literally. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
