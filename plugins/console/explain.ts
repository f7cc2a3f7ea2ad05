/** An exchange as operators may see it: everything that came from outside is redacted here, when somebody asks. */
import { redactText, redactUrl } from 'postern/plugin'
import { endedOf, type Ended, type Notes, type Passed, type Turn } from './notes.ts'

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
    answered_by: answererOf(seen),
    answered_in: seen.answeredBy && { ...seen.answeredBy },
    upstream: seen.upstream,
    error: seen.error && errorOf(seen.error),
    ms: msOf(seen),
    attempts: seen.turns.map(turnOf),
    passed_over: seen.passedOver.map(passedOf),
    plugins: seen.said.map(({ field, ...said }) => ({ ...said, field: clean(field) })),
    usage: seen.usage && { ...seen.usage },
  }
}

function answererOf({ answeredAt, answeredBy, isMadeHere }: Ended): 'plugin' | 'gateway' | 'upstream' | null {
  if (answeredAt === null) return null
  if (!isMadeHere) return 'upstream'
  return answeredBy === null ? 'gateway' : 'plugin'
}

/**
 * Where the time went. `own` is the gateway's share: what passed until the answer began while it waited neither for the client's body,
 * nor for slots, nor for an upstream; pauses between attempts are its own choice, and in it.
 */
function msOf({ turns, answeredAt, checkedAt, readAt, informedAt, waited, ms }: Ended): object {
  const asked = turns.reduce((sum, { outcome }) => sum + (outcome?.ms ?? 0), 0)
  const body = between(checkedAt, readAt)
  const choosing = turns.reduce((sum, { upstream, askedAt, rankedAt }) => sum + (upstream ? askedAt - rankedAt : 0), 0)
  return {
    total: rounded(ms),
    before_choosing: rounded(turns[0]?.rankedAt ?? answeredAt),
    on_request: rounded(checkedAt),
    body: rounded(body),
    on_body: rounded(between(readAt, informedAt)),
    choosing: rounded(choosing),
    slots: rounded(waited),
    upstreams: rounded(asked),
    own: rounded(answeredAt === null ? null : Math.max(0, answeredAt - asked - waited - (body ?? 0))),
    answer: rounded(answeredAt === null ? null : ms - answeredAt),
  }
}

function between(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : to - from
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
    ranked: choice?.ranked.map((one) => ({ ...one })) ?? [],
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

function passedOf({ upstream, reason, wait, isLimited, by }: Passed): object {
  return { upstream, reason: clean(reason), wait_ms: wait, is_limited: isLimited, by }
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
