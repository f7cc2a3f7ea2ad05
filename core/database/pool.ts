/** Queries and transactions over a bounded number of connections. Nothing here waits without a limit. */
import type { Socket } from 'node:net'
import pg from 'pg'
import type { Log } from '../plugin.ts'
import { Channels, type Listener } from './channels.ts'
import { clientConfig, connect, DatabaseUnavailable, isConnectionLost, messageOf } from './connection.ts'
import type { Limits, Target } from './connection.ts'
import type { Database, Query, Result, Session } from './database.ts'
import { Health, type State } from './health.ts'

export interface PoolOptions extends Limits {
  /** How many connections at most, those for listening and for sessions not counted. */
  readonly connections: number
  /** How many queries may wait for a connection; the next ones fail at once. */
  readonly waiting: number
  /** ms that statements under way have to end when the database is closed. */
  readonly closeTimeout: number
}

interface Answer<Row> extends Result<Row> {
  /** The first word of what was done. */
  readonly command: string
}

/** Called before PostgreSQL is asked whether it answers: brings it up, if it is ours; and how that ends. */
export interface Server {
  start(): Promise<void>
  /** Calls back when it ends without having been stopped. */
  onGone(listener: (error: Error) => void): void
  stop(): Promise<void>
}

export class PooledDatabase implements Database {
  readonly kind: Database['kind']
  readonly #options: PoolOptions
  readonly #target: Target
  readonly #server: Server | null
  readonly #sockets = new Set<Socket>()
  readonly #pool: pg.Pool
  readonly #health: Health
  readonly #channels: Channels
  #closing: Promise<void> | null = null

  constructor(kind: Database['kind'], target: Target, options: PoolOptions, log: Log, server: Server | null) {
    this.kind = kind
    this.#target = target
    this.#options = options
    this.#server = server
    this.#pool = new pg.Pool({
      ...this.#config(options.statementTimeout),
      max: options.connections,
      idleTimeoutMillis: 30_000,
    })
    // Idle connections that break say so here; one that breaks between two statements of a transaction says so itself.
    this.#pool.on('error', (error) => this.#health.doubt(error))
    this.#pool.on('connect', (client) => void client.on('error', () => {}))
    this.#health = new Health(() => this.#probe(), log)
    server?.onGone((error) => this.#health.lose(error))
    this.#channels = new Channels(() => connect(this.#config(options.statementTimeout)), log)
  }

  get state(): State {
    return this.#health.state
  }

  get lastError(): Error | null {
    return this.#health.lastError
  }

  ready(ms = 30_000): Promise<void> {
    return this.#health.ready(ms)
  }

  readonly query: Query = async (text, values) => {
    const client = await this.#checkOut()
    let isLost = false
    try {
      return await this.#ask(client, text, values)
    } catch (error) {
      isLost = error instanceof DatabaseUnavailable
      throw error
    } finally {
      client.release(isLost)
    }
  }

  async transaction<T>(run: (query: Query) => Promise<T>): Promise<T> {
    const client = await this.#checkOut()
    let isLost = false
    let isOpen = true
    // One after the other, however they are asked; what nobody has waited for still belongs to the transaction.
    let last: Promise<unknown> = Promise.resolve()
    const query: Query = <Row>(text: string, values?: readonly unknown[]) => {
      if (!isOpen) return Promise.reject(new Error('the transaction has ended'))
      const answer = last.then(() => this.#ask<Row>(client, text, values))
      last = answer.catch(() => {})
      return answer
    }
    try {
      await this.#ask(client, 'BEGIN')
      const result = await run(query)
      isOpen = false
      await last
      // A statement that failed, and whose error was swallowed, turns COMMIT into ROLLBACK without another word.
      if ((await this.#ask(client, 'COMMIT')).command !== 'COMMIT') {
        throw new Error('nothing was committed: a statement of the transaction had failed')
      }
      return result
    } catch (error) {
      isOpen = false
      await last
      isLost = error instanceof DatabaseUnavailable
      if (!isLost) {
        await this.#ask(client, 'ROLLBACK').catch(() => {
          isLost = true
        })
      }
      throw error
    } finally {
      client.release(isLost)
    }
  }

  async session<T>(run: (session: Session) => Promise<T>): Promise<T> {
    const client = await connect(this.#config(0)).catch((error: unknown) => {
      throw this.#named(error)
    })
    try {
      // Whatever the role or the database have as their defaults.
      await this.#ask(client, 'SET statement_timeout = 0; SET lock_timeout = 0')
      return await run({ query: (text, values) => this.#ask(client, text, values) })
    } finally {
      await client.end().catch(() => {})
    }
  }

  listen(channel: string, listener: Listener): Promise<() => Promise<void>> {
    return this.#channels.listen(channel, listener)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const ended = this.#health.end(new DatabaseUnavailable('closed'))
    const quiet = Promise.all([this.#channels.close(), this.#pool.end()])
    await within(this.#options.closeTimeout, quiet)
    for (const socket of this.#sockets) socket.destroy()
    // Whoever holds a connection has lost it, and may never give it back: work in a transaction that waits for something else.
    await within(500, quiet)
    await this.#server?.stop()
    await ended
  }

  async #checkOut(): Promise<pg.PoolClient> {
    const { connectTimeout, waiting } = this.#options
    if (this.state === 'starting') await this.#health.ready(connectTimeout)
    if (this.state === 'down') throw this.#health.unavailable('no answer')
    if (this.#pool.waitingCount >= waiting) {
      throw new DatabaseUnavailable(`${waiting} queries wait for a connection already`)
    }
    try {
      return await this.#pool.connect()
    } catch (error) {
      throw this.#named(error)
    }
  }

  async #ask<Row>(client: pg.ClientBase, text: string, values?: readonly unknown[]): Promise<Answer<Row>> {
    try {
      // The driver takes a list it may write to, and never does; rows are what the statement's author says they are.
      const answer: pg.QueryResult | pg.QueryResult[] = await client.query(text, values as unknown[] | undefined)
      // Several statements without values have several results.
      const result = Array.isArray(answer) ? answer.at(-1) : answer
      return { rows: (result?.rows ?? []) as Row[], rowCount: result?.rowCount ?? 0, command: result?.command ?? '' }
    } catch (error) {
      throw this.#named(error)
    }
  }

  /** What is not PostgreSQL's answer gets a name of its own, and has its health looked at. */
  #named(error: unknown): unknown {
    if (!isConnectionLost(error)) return error
    this.#health.doubt(error)
    return new DatabaseUnavailable(messageOf(error), { cause: error })
  }

  async #probe(): Promise<void> {
    await this.#server?.start()
    const client = await connect(this.#config(this.#options.connectTimeout))
    try {
      await client.query('SELECT 1')
    } finally {
      await client.end().catch(() => {})
    }
  }

  #config(statementTimeout: number): pg.ClientConfig {
    return clientConfig(this.#target, { ...this.#options, statementTimeout }, this.#sockets)
  }
}

/** Resolves with the promise, or after `ms`. */
async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([promise, new Promise((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}
