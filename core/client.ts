/**
 * The far side of an exchange that is no plain HTTP request: how its request is taken, how an upstream is asked, and how its
 * client is told. Plain HTTP has none of these (`exchange.far` is null) and walks the shorter way.
 */
import type { Answer, Switch } from './ask.ts'
import type { LiveExchange } from './exchange.ts'
import type { Body, Exchange, Headers, Outgoing } from './plugin.ts'
import type { Answering, Watch } from './upstream/attempt.ts'
import type { Target } from './upstream/upstreams.ts'

export interface FarSide {
  readonly kind: Exchange['kind']
  /** What the exchange would be as a request. */
  readonly method: string
  readonly headers: Headers
  /** Resolves when the answer has left, or never will. Null: when the HTTP answer has. */
  readonly closed: Promise<void> | null
  /** The body. Throws Refused. */
  take(exchange: LiveExchange): Body | Switch
  /** Sends what the plugins have left of the request. Never rejects: the outcome is the attempt's result. */
  ask(exchange: LiveExchange, outgoing: Outgoing, target: Target, watch: Watch): Promise<Answering>
  /** Tells the answer; null: nobody is left to be told. */
  deliver(exchange: LiveExchange, answer: Answer | null): void | Promise<void>
  /** Not even a refusal could be told. */
  cutOff(exchange: LiveExchange): void
}
