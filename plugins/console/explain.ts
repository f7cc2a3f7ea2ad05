/** An exchange as operators may see it: everything that came from outside is redacted here, when somebody asks. */
import { redactText, redactUrl } from 'postern/plugin'
import { endedOf, type Ended, type Notes, type Passed, type Turn } from './trail.ts'

/** A line of the list. */
export function summaryOf(one: Notes | Ended): object {
  const isLive = 'exchange' in one
  const seen = isLive ? endedOf(one) : one
  return {
    number: seen.number,
    id: clean(seen.id),
    at: new Date(seen.at).toISOString(),
    state: isLive ? 'live' : 'ended',
    kind: seen.kind,
    method: seen.method,
    path: clipped(redactUrl(seen.path)),
    provider: seen.provider,
    operation: seen.operation,
    model: clean(seen.model),
    principal: clean(seen.principal),
    upstream: seen.upstream,
    attempts: seen.turns.filter(({ outcome }) => outcome !== null).length,
    status: seen.status,
    error: seen.error ? nameOf(seen.error) : null,
    ms: rounded(seen.ms),
    tokens: seen.usage && seen.usage.input + seen.usage.output + seen.usage.cacheRead + seen.usage.cacheWrite,
  }
}

/** Everything that is known of it. */
export function explanationOf(one: Notes | Ended): object {
  const isLive = 'exchange' in one
  const seen = isLive ? endedOf(one) : one
  return {
    exchange: clean(seen.id),
    at: new Date(seen.at).toISOString(),
    state: isLive ? 'live' : 'ended',
    kind: seen.kind,
    method: seen.method,
    path: clipped(redactUrl(seen.path)),
    client: seen.client,
    provider: seen.provider,
    operation: seen.operation,
    model: clean(seen.model),
    stream: seen.isStream,
    principal: clean(seen.principal),
    session: clean(seen.session),
    pin: seen.pin,
    status: seen.status,
    answered_by: seen.answeredAt === null ? null : seen.isMadeHere ? 'gateway' : 'upstream',
    upstream: seen.upstream,
    error: seen.error && errorOf(seen.error),
    ms: msOf(seen),
    attempts: seen.turns.map(turnOf),
    passed_over: seen.passedOver.map(passedOf),
    usage: seen.usage && { ...seen.usage },
  }
}

/**
 * Where the time went. `own` is what passed until the answer began without an upstream being waited for: checks, the body's
 * arrival, choosing, waiting for a slot, pauses between attempts.
 */
function msOf({ turns, answeredAt, ms }: Ended): object {
  const asked = turns.reduce((sum, { outcome }) => sum + (outcome?.ms ?? 0), 0)
  return {
    total: rounded(ms),
    before_choosing: rounded(turns[0]?.rankedAt ?? answeredAt),
    upstreams: rounded(asked),
    own: rounded(answeredAt === null ? null : Math.max(0, answeredAt - asked)),
    answer: rounded(answeredAt === null ? null : ms - answeredAt),
  }
}

function turnOf({ candidates, considered, rankedAt, upstream, askedAt, passedOver, choice, outcome }: Turn): object {
  return {
    upstream,
    candidates,
    considered,
    passed_over: passedOver.map(passedOf),
    score: choice?.score ?? null,
    parts: choice?.parts ?? null,
    reason: choice ? clean(choice.reason) : null,
    status: outcome?.status ?? null,
    error: outcome?.error ?? null,
    judgement: outcome?.judgement ?? null,
    ms: {
      at: rounded(rankedAt),
      choosing: rounded(upstream === null ? null : askedAt - rankedAt),
      first_content: rounded(outcome?.ms ?? null),
      waiting: rounded(outcome ? Math.max(0, outcome.endedAt - askedAt - outcome.ms) : null),
    },
  }
}

function passedOf({ upstream, reason, wait, isLimited }: Passed): object {
  return { upstream, reason: clean(reason), wait_ms: wait, is_limited: isLimited }
}

/** A hook's error names its plugin and the phase. */
function errorOf(error: Error): object {
  const { plugin, phase } = error as { plugin?: unknown; phase?: unknown } // looked at before it counts
  return {
    name: nameOf(error),
    message: clipped(redactText(error.message)),
    plugin: typeof plugin === 'string' ? plugin : null,
    phase: typeof phase === 'string' ? phase : null,
  }
}

function nameOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

function clean(text: string | null): string | null {
  return text === null ? null : clipped(redactText(text))
}

/** Longer texts are cut, in characters. */
const longest = 512

function clipped(text: string): string {
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 100) / 100
}
