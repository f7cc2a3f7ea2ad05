/** One request's life as data. The contract's Exchange, and what only the gateway may touch. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { unreadBody, type Edited } from './body/body.ts'
import { note, type Walk } from './chain.ts'
import type { FarSide } from './client.ts'
import type { Gateway } from './gateway.ts'
import type { Body, Exchange, Facts, Failure, Headers, Log, PassedOver, Said, Speaker, Upstream } from './plugin.ts'
import type { Relay } from './relay.ts'
import { clientLeft, type Remainder } from './remainder.ts'
import type { Route } from './route.ts'
import type { Answering } from './upstream/attempt.ts'

/** Every declared fact, null until somebody has learned it. */
export type FactSheet = { [F in keyof Facts]: Facts[F] | null }

/** What the socket side knows of a request before anybody has looked at it. */
export interface Arrival {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly id: string
  readonly path: string
  readonly query: string
  readonly client: string
  /** Whoever is told the answer otherwise than by HTTP. */
  readonly far?: FarSide | null
}

const none: readonly never[] = Object.freeze([])

export class LiveExchange implements Exchange, Walk, Edited {
  readonly kind: Exchange['kind']
  readonly id: string
  readonly method: string
  readonly path: string
  readonly query: string
  readonly client: string
  readonly headers: Readonly<Headers>
  readonly facts: FactSheet
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly far: FarSide | null
  readonly gateway: Gateway
  readonly route: Route
  readonly startedAt = performance.now()
  /** Where its gateway keeps it. */
  place = -1
  body: Body = unreadBody
  attempt = 0
  upstream: Upstream | null = null
  failures: readonly Failure[] = none
  passedOver: PassedOver[] = []
  hook: Speaker | null = null
  isPending = false
  answeredBy: Speaker | null = null
  said: Said[] = []
  checkedAt = 0
  readAt = 0
  informedAt = 0
  status = 0
  error: Error | null = null
  /** Bytes of the answer's body that were sent. */
  sent = 0
  /** Why nobody waits for the answer any more. */
  gone: Error | null = null
  /**
   * What has to end when the client leaves: an attempt, a wait. Whoever starts something sets it. The thing
   * itself, not a closure over it: a new function in this field per attempt had V8 tenure dead exchanges, and the collector's
   * pauses tripled the slowest percent of requests.
   */
  underway: { abort(reason: Error): void; tick?(now: number): void } | null = null
  /** The attempt that may become the client's answer; null before the first, and from one that has failed to the next. */
  asked: Answering | null = null
  /** The client has left, and what the upstream was asked is read on; null otherwise. */
  remainder: Remainder | null = null
  /** The client asked for a stream and may be told to go on waiting. */
  waits = false
  /** How many ticks of the gateway's clock the client has heard nothing. */
  quiet = 0
  /** The stream that is being passed on. */
  relay: Relay | null = null
  /** Resolves when the answer has left, or never will. */
  readonly closed: Promise<void>
  #controller: AbortController | null = null
  #log: Log | null = null

  constructor(gateway: Gateway, route: Route, facts: FactSheet, arrival: Arrival) {
    const { request, response, far = null } = arrival
    const { method = 'GET', headers } = far ?? request
    this.kind = far?.kind ?? 'http'
    this.far = far
    this.gateway = gateway
    this.route = route
    this.facts = facts
    this.request = request
    this.response = response
    this.id = arrival.id
    this.method = method
    this.path = arrival.path
    this.query = arrival.query
    this.client = arrival.client
    this.headers = headers
    this.closed =
      far?.closed ??
      new Promise((resolve) => {
        response.on('close', () => {
          if (!response.writableFinished) clientLeft(this)
          resolve()
        })
      })
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.gone) this.#controller.abort(this.gone)
    }
    return this.#controller.signal
  }

  get log(): Log {
    return (this.#log ??= exchangeLog(this.gateway.log, this.id))
  }

  passOver(upstream: Upstream, reason: string, more: { wait?: number; isLimited?: boolean } = {}): void {
    this.passedOver.push({
      upstream,
      reason,
      wait: more.wait ?? null,
      isLimited: more.isLimited ?? false,
      by: this.hook?.plugin ?? null,
    })
  }

  edited(field: string): void {
    note(this, this.hook, 'edit', field)
  }

  /** Ends what is under way upstream, because another answer is given. */
  abandon(): void {
    this.underway?.abort(new Error('the exchange took another end'))
    this.underway = null
    this.asked = null
  }

  /** Ends everything that is done for the client. The first reason counts. */
  leave(reason: Error): void {
    if (this.gone) return
    this.gone = reason
    this.error ??= reason
    this.#controller?.abort(reason)
    this.underway?.abort(reason)
  }
}

/** Adds the exchange to each record; cheaper than a child logger, which would be made per exchange. */
function exchangeLog(log: Log, exchange: string): Log {
  return {
    debug: (fields, message) => log.debug({ exchange, ...fields }, message),
    info: (fields, message) => log.info({ exchange, ...fields }, message),
    warn: (fields, message) => log.warn({ exchange, ...fields }, message),
    error: (fields, message) => log.error({ exchange, ...fields }, message),
  }
}
