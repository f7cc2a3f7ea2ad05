/** A captured error: what is kept of an exchange that failed. One form, whether it stands in the database or in a file. */

/** Whose matter an error is, how bad it is, and whether to try again. */
export interface Cause {
  /** Where it went wrong: in the request, at the credentials, in the choice of an upstream, there, or in here. */
  readonly phase: 'request' | 'auth' | 'routing' | 'upstream' | 'internal'
  /** Who has to do something about it. */
  readonly owner: 'client' | 'gateway' | 'upstream'
  /** Who has said it: the gateway, the upstream's answer, an event in the midst of it, or the network on the way there. */
  readonly source: 'client_request' | 'gateway' | 'upstream_http' | 'upstream_event' | 'upstream_network'
  /** P1 needs somebody now, P3 is the client's own. */
  readonly severity: 'P1' | 'P2' | 'P3'
  readonly is_retryable: boolean
  readonly type: string | null
  readonly code: string | null
  readonly message: string | null
}

/** One attempt that failed. */
export interface FailedAttempt {
  readonly attempt: number
  readonly at_unix_ms: number | null
  readonly upstream: string
  /** Whether an answer came, or the request failed. */
  readonly kind: 'http_error' | 'request_error'
  readonly status: number | null
  /** The code of the network error. */
  readonly error: string | null
  /** What the upstream calls the request: what its support asks for. */
  readonly request_id: string | null
  readonly ms: number | null
  readonly message: string | null
}

/** One failed exchange, or one that another attempt has saved. Everything in it is redacted, bounded and its own. */
export interface CapturedError extends Cause {
  /** Its own name. Names are in the order of time. */
  readonly id: string
  /** When the exchange ended, as ISO 8601 with milliseconds. */
  readonly at: string
  readonly exchange: string
  /** The answer was fine in the end. */
  readonly recovered: boolean
  /** What the client was told; 0 where it was told nothing. */
  readonly status: number
  /** What upstreams have answered, oldest first; null where none came. */
  readonly upstream_statuses: readonly (number | null)[]
  readonly attempts: readonly FailedAttempt[]
  /** Upstreams that were not asked in the end, and why. */
  readonly passed_over: readonly { readonly upstream: string; readonly reason: string }[]
  readonly provider: string | null
  readonly operation: string | null
  readonly model: string | null
  /** The last one that was asked. */
  readonly upstream: string | null
  /** The key that called, by its name; null where no plugin has verified one. */
  readonly key: string | null
  /** Ids in the database; null for what gateway.yaml names. */
  readonly key_id: number | null
  readonly user_id: number | null
  readonly group_id: number | null
  readonly stream: boolean | null
  readonly method: string
  readonly path: string
  readonly client: string
  /** Since the plugin has seen the request; null where one above it has answered. */
  readonly ms: number | null
  readonly headers: Readonly<Record<string, string>>
  /** The beginning of what the last upstream said. */
  readonly error_body: string | null
  /** As JSON. */
  readonly request_body: string | null
  /** How long the body was before it was trimmed; null where none was held. */
  readonly request_bytes: number | null
}

/**
 * A name for a record of that moment: 14 characters that sort as time does, for the next 2900 years, and are few enough to be
 * typed. Two records of one millisecond have the same name once in 60 million times.
 */
export function recordId(ms: number): string {
  const chance = Math.floor(Math.random() * 36 ** 5)
  return ms.toString(36).padStart(9, '0') + chance.toString(36).padStart(5, '0')
}
