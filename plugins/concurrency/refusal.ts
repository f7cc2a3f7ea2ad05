/** What a client is told that did not get a slot. */
import { refuse, type Exchange, type Refusal, type Upstream } from 'postern/plugin'

/** Why a wait ended without one. */
export type NoSlot = 'queue full' | 'timeout'

/** In seconds. Nobody knows when a slot comes free; whoever comes again after so long does not add to the rush. */
const headers = { 'retry-after': '5' } as const

/** For want of one of the caller's own. */
export function refuseCaller(why: NoSlot): Refusal {
  return limited(why, 'user')
}

/** For want of one of the upstream's: 429 where slots are all that is missing, 503 where other upstreams failed or rest. */
export function refuseUpstream(
  why: NoSlot,
  upstream: Upstream,
  { failures, passedOver }: Pick<Exchange, 'failures' | 'passedOver'>,
): Refusal {
  const others = [
    ...failures.map(
      ({ upstream: { name }, status, error }) => `${name} ${status ? `answered ${status}` : `failed (${error})`}`,
    ),
    ...passedOver.filter(({ isLimited }) => !isLimited).map(({ upstream: { name }, reason }) => `${name} ${reason}`),
  ]
  if (others.length === 0) return limited(why, 'account')
  const reasons = [...others, `${upstream.name} has no free slot`].join(', ')
  return refuse(503, 'NO_UPSTREAM', `No upstream can take this exchange: ${reasons}`, headers)
}

function limited(why: NoSlot, whose: 'user' | 'account'): Refusal {
  return why === 'queue full'
    ? refuse(429, 'TOO_MANY_PENDING', 'Too many pending requests, please retry later', headers)
    : refuse(429, 'CONCURRENCY_LIMIT', `Concurrency limit exceeded for ${whose}, please retry later`, headers)
}
