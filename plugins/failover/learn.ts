/** What is learnt from each result: averages, rests, and proofs that an upstream is well again. */
import type { Exchange, Fact, Result, Upstream } from 'postern/plugin'
import { restOf } from 'postern/provider'
import type { Member } from './members.ts'
import type { Read, Room, Written } from './room.ts'
import { longestRest, type RestKind, type Standing } from './rests.ts'
import { failed, type Verdict, type WantedRest } from './verdict.ts'

type Asks = Exchange<Read & Fact, Written & Fact>

/** Notes what the result says. */
export function learn(exchange: Asks, upstream: Upstream, result: Result, verdict: Verdict, room: Room): void {
  const now = Date.now()
  const sentAt = now - result.ms
  const member = room.memberOf(upstream)
  const { model, stream } = exchange.facts
  const own = model === null ? null : member.of(model)
  if (verdict.isError !== null) {
    member.whole.health.note(verdict.isError, now)
    own?.health.note(verdict.isError, now)
  }
  if (result.kind === 'response' && result.status < 400) {
    const paced = own ?? member.whole
    paced.health.notePace(stream === true, result.ms, now)
  }
  if (verdict.isProof) {
    member.whole.proved(sentAt)
    own?.proved(sentAt)
  }
  if (!room.config.rests.enabled) return
  const wanted = verdict.rest ?? (verdict.isError ? circuit(member, own, now, room) : null)
  if (wanted) rest(exchange, { upstream, member, own, wanted, sentAt, now, verdict, result, room })
}

/** An answer that broke off in the middle, where nothing could be retried any more, counts against the upstream as well. */
export function learnBreak(
  exchange: Asks,
  upstream: Upstream,
  sentAt: number,
  error: NodeJS.ErrnoException,
  room: Room,
): void {
  // What plugins throw has no code.
  if (error.code === undefined) return
  const verdict = failed(error)
  const result = { kind: 'failure', error, judgement: 'final', ms: performance.now() - sentAt } as const
  if (verdict.isError) learn(exchange, upstream, result, verdict, room)
}

/** A rest for one that has failed too often of late, or that has failed to prove itself. */
function circuit(member: Member, own: Standing | null, now: number, { config }: Room): WantedRest | null {
  const { enabled, errors, samples } = config.circuit
  const isOpen = ({ health }: Standing) => enabled && health.results(now) >= samples && health.errors(now) >= errors
  if (isOpen(member.whole) || member.whole.isRecovering(now)) return { kind: 'health', scope: 'credential', told: null }
  return own && (isOpen(own) || own.isRecovering(now)) ? { kind: 'health', scope: 'model', told: null } : null
}

interface Cause {
  readonly upstream: Upstream
  readonly member: Member
  readonly own: Standing | null
  readonly wanted: WantedRest
  readonly sentAt: number
  readonly now: number
  readonly verdict: Verdict
  readonly result: Result
  readonly room: Room
}

function rest(exchange: Asks, { upstream, member, own, wanted, sentAt, now, verdict, result, room }: Cause): void {
  const { kind, scope, told } = wanted
  // What a model may not be asked for says nothing of requests without one.
  if (kind === 'refused' && scope === 'model' && !own) return
  const isNarrow = scope === 'model' && own !== null
  const standing = isNarrow ? own : member.whole
  const ms = lengthOf(wanted, standing, sentAt, now, room)
  if (ms === null) return
  const until = now + Math.min(ms, longestRest)
  const { model } = exchange.facts
  const more = standing.raise({ kind, until, reason: verdict.reason }, now)
  if (more === 0) return
  // Many that fail together extend it by a little each: that is nothing to tell everybody.
  const isNews = more > 1000
  if (isNews) room.metrics.rests.with({ upstream: upstream.name, kind }).inc()
  // What an upstream said is true for everyone; what the network did, perhaps only here.
  const isSaid = /^\d/.test(verdict.reason)
  if (isSaid && isNews) room.together?.tell(member, isNarrow ? model : null, kind, until, now)
  const fields = {
    exchange: exchange.id,
    account_id: upstream.name,
    ...(isNarrow ? { model } : {}),
    status_code: isSaid ? Number(verdict.reason) : null,
    reason: verdict.reason,
    rest_s: Math.ceil(ms / 1000),
    rest_until: new Date(until).toISOString(),
    rest_kind: kind,
    told_by: told === null ? 'default' : sourceOf(result, now),
  }
  if (isNews) room.log.warn(fields, sentences[kind])
  else room.log.debug(fields, sentences[kind])
}

/** The header or field that named the time; a provider may judge by others than those that everyone knows. */
function sourceOf(result: Result, now: number): string {
  return (result.kind === 'response' && restOf(result, now)?.source) || 'provider'
}

const sentences: Readonly<Record<RestKind, string>> = {
  limit: 'failover: a rate limit is reached, the upstream rests',
  refused: 'failover: the credential was refused, look at it; it is not used for a while',
  health: 'failover: the upstream is not well and rests',
}

/** How long, in ms; null where the failure belongs to those that caused the rest that is on. */
function lengthOf(
  { kind, told }: WantedRest,
  standing: Standing,
  sentAt: number,
  now: number,
  { config }: Room,
): number | null {
  const { limit, limit_longest, overload, overload_longest, refused } = config.rests
  if (kind === 'refused') {
    // Counted too, so that an answer to an earlier request is no proof that the key is good again.
    standing.grown(refused, refused, sentAt, now)
    return told ?? refused
  }
  const grown =
    kind === 'limit'
      ? standing.grown(limit, limit_longest, sentAt, now)
      : standing.grown(overload, overload_longest, sentAt, now)
  if (told === null) return grown
  return kind === 'limit' ? told : Math.min(told, overload_longest)
}
