/** Whether another attempt is made after a result, at whom, and when. */
import { retry, type Exchange, type Fact, type Result, type Retry, type Upstream } from 'postern/plugin'
import { isUnreadable } from './reasoning.ts'
import { rememberUnreadable, type Asking, type Read, type Room, type Written } from './room.ts'
import { isPanic, sift } from './sift.ts'
import { isRepeatable, type Verdict } from './verdict.ts'

type Asks = Exchange<Read & Fact, Written & Fact>

/** The retry, if there is one; a line in the log either way. */
export function again(
  exchange: Asks,
  asking: Asking,
  upstream: Upstream,
  result: Result,
  verdict: Verdict,
  room: Room,
): Retry | undefined {
  if (exchange.body.kind === 'stream') return undefined
  if (withoutReasoning(exchange, asking, upstream, result, room)) return retry()
  const { config, log } = room
  if (!isWorthIt(result, config.statuses) || exchange.attempt >= config.attempts) return undefined
  const next = nextOf(exchange, asking, upstream, verdict, room)
  if (next === null) return undefined
  const delay = next === 'same' ? jittered(config.same_upstream_delay) : 0
  const why = hindrance(exchange, asking, verdict, delay, room)
  const fields = fieldsOf(exchange, upstream, result, verdict, room)
  if (why !== null) {
    log.warn({ ...fields, not_retried: why }, 'failover: no other attempt')
    return undefined
  }
  if (next === 'same') asking.again = { upstream, isOnly: asking.staysHome || exchange.facts.pin?.isHard === true }
  log.warn({ ...fields, next, delay_ms: delay }, 'failover: another attempt')
  return retry({ after: delay })
}

function isWorthIt(result: Result, statuses: readonly number[]): boolean {
  if (result.kind === 'failure') return true
  return statuses.length > 0 ? statuses.includes(result.status) : result.judgement !== 'final'
}

/** Another one, if one is free; else the same, if it may have recovered by then. */
function nextOf(
  { failures, facts }: Asks,
  asking: Asking,
  upstream: Upstream,
  verdict: Verdict,
  room: Room,
): 'other' | 'same' | null {
  const now = Date.now()
  const others = asking.candidates.filter(({ name }) => name !== upstream.name)
  const isBound = facts.pin?.isHard === true || asking.staysHome
  if (!isBound && others.length > 0) {
    const sifted = sift(others, failures, facts.model, now, room)
    if (sifted.fit.length > 0 || isPanic(sifted, room)) return 'other'
  }
  if (!verdict.isTransient || room.memberOf(upstream).firmRest(facts.model, now)) return null
  const before = failures.filter((failure) => failure.upstream.name === upstream.name).length
  return before < room.config.same_upstream_retries ? 'same' : null
}

/** What stands in the way of a retry that would be worth it. */
function hindrance({ method, facts }: Asks, asking: Asking, verdict: Verdict, delay: number, room: Room) {
  if (!verdict.isUntouched && !isRepeatable(method, facts.claim?.operation)) return 'it may have been carried out'
  const now = performance.now()
  if (now + delay - asking.since >= room.config.deadline) return 'the deadline has passed'
  return room.budget && !room.budget.take(now) ? 'the retry budget is spent' : null
}

/** Once per exchange: the same upstream is asked again without the reasoning that it could not read. */
function withoutReasoning(exchange: Asks, asking: Asking, upstream: Upstream, result: Result, room: Room): boolean {
  if (room.config.encrypted_reasoning === 'pass' || asking.strips) return false
  if (result.kind !== 'response' || result.status !== 400 || !isUnreadable(result.body)) return false
  asking.strips = true
  asking.again = { upstream, isOnly: true }
  rememberUnreadable(room, exchange.facts.session)
  room.log.warn(
    { exchange: exchange.id, account_id: upstream.name, status_code: 400, retry_count: exchange.attempt },
    'failover: asked again without reasoning of another account',
  )
  return true
}

function fieldsOf(exchange: Asks, upstream: Upstream, result: Result, verdict: Verdict, { config }: Room) {
  const { failures } = exchange
  const asked = [...failures.map((failure) => failure.upstream.name), upstream.name]
  return {
    exchange: exchange.id,
    account_id: upstream.name,
    status_code: result.kind === 'response' ? result.status : null,
    error: result.kind === 'failure' ? verdict.reason : null,
    reason: verdict.reason,
    retry_count: exchange.attempt,
    switch_count: asked.filter((one, at) => at > 0 && one !== asked[at - 1]).length,
    max_switches: config.attempts - 1,
    same_account_retry_count: asked.filter((one) => one === upstream.name).length - 1,
  }
}

/** Give or take a fifth, so that those that failed together do not come back together. */
function jittered(ms: number): number {
  return Math.round(ms * (0.8 + Math.random() * 0.4))
}
