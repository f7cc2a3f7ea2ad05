import { redactJson, redactText, redactUrl, trimRequest, type Exchange } from 'postern/plugin'
import type { Attempt, Sightings } from './attempts.ts'
import { classify, recoveredAs, type Cause } from './classify.ts'
import { cut } from './text.ts'

/** One failed exchange, or one that another attempt has saved. Everything in it is redacted, bounded and its own. */
export interface CapturedError extends Cause {
  /** When the exchange ended. */
  readonly at: string
  readonly exchange: string
  /** The answer was fine in the end. */
  readonly recovered: boolean
  /** What the client was told; 0 where it was told nothing. */
  readonly status: number
  /** What upstreams have answered, oldest first; null where none came. */
  readonly upstream_statuses: readonly (number | null)[]
  readonly attempts: readonly Attempt[]
  /** Upstreams that were not asked in the end, and why. */
  readonly passed_over: readonly { readonly upstream: string; readonly reason: string }[]
  readonly provider: string | null
  readonly operation: string | null
  readonly model: string | null
  /** The last one that was asked. */
  readonly upstream: string | null
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
}

export type Captured = Exchange<
  'provider' | 'claim' | 'model' | 'stream',
  'ops_capture_began' | 'ops_capture_sightings'
>

export interface RecordOptions {
  /** Bytes kept of a request's body; null keeps none. */
  readonly mostBody: number | null
}

/** Upstreams and attempts that are listed at most. */
const mostListed = 32
/** Characters of a name that comes from the client, and of a header: 512, as the Go system had it. */
const longestName = 512

/** What is kept of an exchange that has ended; only called for one that is to be kept. */
export function recordOf(exchange: Captured, recovered: boolean, { mostBody }: RecordOptions): CapturedError {
  const { facts, failures, passedOver, upstream } = exchange
  const sightings = facts.ops_capture_sightings
  const attempts = attemptsOf(exchange, sightings)
  const began = facts.ops_capture_began
  return {
    at: new Date().toISOString(),
    exchange: exchange.id,
    ...(recovered ? recoveredAs(attempts.at(-1)!) : classify(exchange, sightings)),
    recovered,
    status: exchange.status,
    upstream_statuses: attempts.map(({ status }) => status),
    attempts,
    passed_over: passedOver
      .slice(0, mostListed)
      .map(({ upstream, reason }) => ({ upstream: upstream.name, reason: cut(redactText(reason), longestName) })),
    provider: facts.provider?.name ?? null,
    operation: facts.claim?.operation ?? null,
    model: facts.model === null ? null : cut(redactText(facts.model), longestName),
    upstream: (upstream ?? failures.at(-1)?.upstream)?.name ?? null,
    stream: facts.stream,
    method: exchange.method,
    path: cut(redactUrl(exchange.path), 2048),
    client: exchange.client,
    ms: began === null ? null : Math.round((performance.now() - began) * 10) / 10,
    headers: headersOf(exchange),
    error_body: recovered ? null : (sightings?.body ?? null),
    request_body: recovered || mostBody === null ? null : bodyOf(exchange, mostBody),
  }
}

/** The attempts that failed: those the gateway remembers, with what was seen of them, and the last one. */
function attemptsOf({ failures, attempt }: Captured, sightings: Sightings | null): Attempt[] {
  const seen = new Map(sightings?.attempts.map((one) => [one.attempt, one]))
  const remembered = failures.map(
    (failure): Attempt =>
      seen.get(failure.attempt) ?? {
        attempt: failure.attempt,
        at_unix_ms: null,
        upstream: failure.upstream.name,
        kind: failure.status === null ? 'request_error' : 'http_error',
        status: failure.status,
        error: failure.error,
        request_id: null,
        ms: null,
        message: null,
      },
  )
  const last = seen.get(attempt)
  if (last && failures.at(-1)?.attempt !== attempt) remembered.push(last)
  return remembered.slice(-mostListed)
}

/** The two headers that decide what a request of Anthropic's means. */
function headersOf({ headers }: Captured): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const name of ['anthropic-beta', 'anthropic-version']) {
    const value = headers[name]
    if (value !== undefined) kept[name] = cut(redactText(String(value)), longestName)
  }
  return kept
}

/** The body, trimmed first, so that redacting it costs what is kept and not what came. */
function bodyOf({ body }: Captured, most: number): string | null {
  const bytes = heldBytes(body)
  const trimmed = bytes && trimRequest(bytes, most)
  if (!trimmed) return null
  const clean = redactJson(trimmed)
  // A mask may be longer than what it hides.
  const kept = clean.length > most ? trimRequest(clean, most) : clean
  return kept?.toString() ?? null
}

/** A body that was never taken, because a plugin answered before, throws when it is looked at. */
function heldBytes(body: Captured['body']): Buffer | null {
  try {
    return body.kind === 'json' ? body.bytes : null
  } catch {
    return null
  }
}
