/** The connections to one origin: who was used last is used next, nobody waits where one is free, and one timer looks after all. */
import { failure, type Flow, type HttpClient, type Receiver, type Sending, type Timeouts } from './client.ts'
import { Connection, type Owner } from './http1-connection.ts'
import type { Dial } from './dial.ts'

export interface PoolOptions {
  /** What the Host header says. */
  readonly host: string
  readonly dial: Dial
  readonly timeouts: Timeouts
  /** The most connections at the same time; who comes beyond that waits. Absent: as many as there are requests. */
  readonly mostConnections?: number
}

/** Between two looks, in ms. Time limits here are of seconds and minutes. */
const period = 250

/** Long enough to save the next TLS handshake, shorter than what AI APIs and their edges close after (60 s and more), in ms. */
const longestIdle = 30_000
/** A server that says when it closes is believed, less the time that our request is on its way, in ms. */
const margin = 1000
/** Idle connections that are kept. Beyond that there was a burst, and the next one can dial. */
const mostIdle = 256
/**
 * A connection that was idle for so long, in ms, is looked at once more before it is used: its end may lie unread in the socket, and a request
 * written now would be lost. The look costs a turn of the event loop.
 */
const restedAfter = 1000

/** Somebody for whom there is no connection yet. */
interface Waiter {
  readonly sending: Sending
  readonly receiver: Receiver
  /** A kept connection has failed under it: the others may be as old. */
  readonly wantsNew: boolean
}

/** A connection on its way. */
interface Dialing {
  ticks: number
  abort: () => void
}

export class Http1Pool implements HttpClient, Owner, Flow {
  readonly host: string
  readonly patience: Owner['patience']
  readonly #dial: Dial
  readonly #connectTicks: number
  readonly #most: number
  readonly #open = new Set<Connection>()
  /** The last one that was put back is at the end. */
  readonly #idle: Connection[] = []
  readonly #dialing = new Set<Dialing>()
  /** First come, first served. */
  #waiting: Waiter[] = []
  /** Connections that are looked at before their next use. */
  #checking = 0
  #timer: NodeJS.Timeout | null = null
  #closed: (() => void) | null = null
  #isClosed = false

  constructor({ host, dial, timeouts, mostConnections = Infinity }: PoolOptions) {
    this.host = host
    this.#dial = dial
    this.#most = mostConnections
    this.#connectTicks = ticks(timeouts.connect)
    this.patience = { headers: ticks(timeouts.headers), idle: ticks(timeouts.idle) }
  }

  /** How many connections are open, and how many of them idle. */
  get stats(): { readonly open: number; readonly idle: number; readonly waiting: number } {
    return { open: this.#open.size, idle: this.#idle.length, waiting: this.#waiting.length }
  }

  send(sending: Sending, receiver: Receiver): void {
    if (this.#isClosed)
      return receiver.onError(failure('UPSTREAM_CLOSED', 'the connections to this upstream are closed'))
    const now = performance.now()
    const connection = this.#pop(now)
    if (connection === null) return this.#wait({ sending, receiver, wantsNew: false })
    if (now - connection.idleSince < restedAfter) return connection.ask(sending, receiver)
    this.#checking++
    this.#wait({ sending, receiver, wantsNew: false })
    afterNextLook(() => {
      this.#checking--
      if (connection.isFree) this.#offer(connection)
      else this.#dialMore()
    })
  }

  /** Nothing is under way yet that could go on. */
  resume(): void {}

  /** Gives the place in the queue up. */
  abort(receiver: Receiver): void {
    this.#waiting = this.#waiting.filter((waiter) => waiter.receiver !== receiver)
  }

  free(connection: Connection, keepAlive: number | null): void {
    const now = performance.now()
    const told = keepAlive === null ? Infinity : keepAlive * 1000 - margin
    connection.expires = now + Math.min(longestIdle, told)
    connection.idleSince = now
    if (this.#isClosed || connection.expires <= now) connection.destroy()
    else this.#offer(connection)
  }

  gone(connection: Connection): void {
    this.#open.delete(connection)
    const at = this.#idle.lastIndexOf(connection)
    if (at !== -1) this.#idle.splice(at, 1)
    this.#dialMore()
    this.#rest()
  }

  again(sending: Sending, receiver: Receiver): void {
    this.#wait({ sending, receiver, wantsNew: true })
  }

  close(): Promise<void> {
    this.#isClosed = true
    const error = failure('UPSTREAM_CLOSED', 'the connections to this upstream are closed')
    for (const { receiver } of this.#waiting.splice(0)) receiver.onError(error)
    for (const dialing of this.#dialing) dialing.abort()
    this.#dialing.clear()
    for (const connection of this.#open) connection.cutOff(error)
    return new Promise((resolve) => {
      this.#closed = resolve
      this.#rest()
    })
  }

  /** The last idle one that is young enough. */
  #pop(now: number): Connection | null {
    for (let connection = this.#idle.pop(); connection; connection = this.#idle.pop()) {
      if (connection.expires > now) return connection
      connection.destroy()
    }
    return null
  }

  /** To whoever waits longest, or to the idle ones. */
  #offer(connection: Connection): void {
    const at = this.#waiting.findIndex(({ wantsNew }) => !wantsNew)
    if (at !== -1) {
      const [{ sending, receiver }] = this.#waiting.splice(at, 1) as [Waiter] // it is there
      connection.ask(sending, receiver)
    } else if (this.#idle.length < mostIdle) this.#idle.push(connection)
    else connection.destroy()
  }

  #wait(waiter: Waiter): void {
    this.#waiting.push(waiter)
    waiter.receiver.onFlow(this)
    this.#dialMore()
  }

  /** As many are on their way as are waited for. */
  #dialMore(): void {
    if (this.#isClosed) return
    const room = this.#most - this.#open.size - this.#dialing.size
    const wanted = this.#waiting.length - this.#dialing.size - this.#checking
    for (let count = Math.min(room, wanted); count > 0; count--) this.#dialOne()
  }

  #dialOne(): void {
    const dialing: Dialing = { ticks: 0, abort() {} }
    this.#dialing.add(dialing)
    this.#timer ??= setInterval(() => this.#tick(), period).unref()
    dialing.abort = this.#dial((error, socket) => {
      this.#dialing.delete(dialing)
      if (socket === null) return this.#failed(error ?? failure('UPSTREAM_CLOSED', 'there is no connection'))
      const connection = new Connection(socket, this)
      this.#open.add(connection)
      const waiter = this.#waiting.shift()
      if (waiter) connection.ask(waiter.sending, waiter.receiver)
      else this.free(connection, null)
    })
  }

  /** No connection came of it: whoever waits longest is told. */
  #failed(error: NodeJS.ErrnoException): void {
    const waiter = this.#waiting.shift()
    this.#dialMore()
    this.#rest()
    waiter?.receiver.onError(error)
  }

  #tick(): void {
    for (const connection of this.#open) connection.tick()
    for (const dialing of this.#dialing) {
      if (++dialing.ticks < this.#connectTicks) continue
      dialing.abort()
      this.#dialing.delete(dialing)
      this.#failed(failure('CONNECT_TIMEOUT', 'no connection came in time'))
    }
    const now = performance.now()
    for (const connection of this.#idle.filter(({ expires }) => expires <= now)) connection.destroy()
  }

  /** Where nothing is open and nothing on its way, no timer runs. */
  #rest(): void {
    if (this.#open.size > 0 || this.#dialing.size > 0) return
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
    this.#closed?.()
  }
}

/** When the system has been asked for news of all sockets. Whoever is told of one socket is still before that: hence two turns, not one. */
function afterNextLook(then: () => void): void {
  setImmediate(() => setImmediate(then))
}

/** So many looks that at least `ms` have passed, whatever part of a period had gone at the first. */
function ticks(ms: number): number {
  return Math.ceil(ms / period) + 1
}
