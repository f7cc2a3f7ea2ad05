/** The three things a hook can answer: a reply, a refusal, a retry. */
import type { Headers } from './plugin.ts'

/** An answer made by a plugin, sent as it is. */
export interface StraightReply {
  readonly kind: 'reply'
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

/** A no, with its reason. The gateway renders it in the words of the API that the client speaks. */
export interface Refusal {
  readonly kind: 'refusal'
  readonly status: number
  /** UPPER_SNAKE; bounded, it may become a metric label. */
  readonly code: string
  /** For the client: says why, tells nothing secret. */
  readonly message: string
  readonly headers: Headers
}

export type Reply = StraightReply | Refusal

/** Ask again. */
export interface Retry {
  readonly kind: 'retry'
  /** Milliseconds to wait first. */
  readonly after: number
}

/** Answers the exchange with a body of the plugin's own. */
export function reply(status: number, body: Buffer | string = '', headers: Headers = {}): StraightReply {
  return { kind: 'reply', status, headers, body: typeof body === 'string' ? Buffer.from(body) : body }
}

/** Refuses the exchange; the client sees an error of its own API's shape. */
export function refuse(status: number, code: string, message: string, headers: Headers = {}): Refusal {
  return { kind: 'refusal', status, code, message, headers }
}

/** Gives this attempt up and lets the gateway ask the next upstream, `after` milliseconds from now. */
export function retry(options: { after?: number } = {}): Retry {
  return { kind: 'retry', after: options.after ?? 0 }
}
