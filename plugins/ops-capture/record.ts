/** What is kept of an exchange. */
import {
  recordId,
  redactJson,
  redactText,
  redactUrl,
  trimRequest,
  type CapturedError,
  type Exchange,
  type FailedAttempt,
} from 'postern/plugin'
import type { Sightings } from './attempts.ts'
import { classify, recoveredAs } from './classify.ts'
import { cut } from './text.ts'

export type Captured = Exchange<
  'provider' | 'claim' | 'model' | 'stream' | 'principal',
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
  const { principal } = facts
  const now = Date.now()
  const held = heldBytes(exchange.body)
  return {
    id: recordId(now),
    at: new Date(now).toISOString(),
    // The client may have chosen it.
    exchange: cut(redactText(exchange.id), longestName),
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
    key: principal && cut(redactText(principal.name), longestName),
    key_id: principal?.keyId ?? null,
    user_id: principal?.userId ?? null,
    group_id: principal?.groupId ?? null,
    stream: facts.stream,
    method: exchange.method,
    path: cut(redactUrl(exchange.path), 2048),
    client: exchange.client,
    ms: began === null ? null : Math.round((performance.now() - began) * 10) / 10,
    headers: headersOf(exchange),
    error_body: recovered ? null : (sightings?.body ?? null),
    request_body: recovered || mostBody === null ? null : held && bodyOf(held, mostBody),
    request_bytes: held?.length ?? null,
  }
}

/** The attempts that failed: those the gateway remembers, with what was seen of them, and the last one. */
function attemptsOf({ failures, attempt }: Captured, sightings: Sightings | null): FailedAttempt[] {
  const seen = new Map(sightings?.attempts.map((one) => [one.attempt, one]))
  const remembered = failures.map(
    (failure): FailedAttempt =>
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
function bodyOf(bytes: Buffer, most: number): string | null {
  const trimmed = trimRequest(bytes, most)
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
