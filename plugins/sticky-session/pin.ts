/** What a binding does to the order of upstreams, and what comes of it afterwards. */
import type { Failure, PassedOver, Result, Upstream } from 'postern/plugin'
import { moved } from './moved.ts'
import { placeOf } from './places.ts'

/** Where a session would have to go on, or had better. */
export interface Pin {
  /** The name of the upstream. */
  readonly upstream: string
  /** No other has what the exchange refers to. Else a preference, which a failing or resting upstream loses. */
  readonly isHard: boolean
}

export interface PinSettings {
  readonly hardFallback: boolean
  readonly acrossPriorities: boolean
}

/** What the store knew. */
export interface Known {
  /** The upstream that answered the session last. */
  readonly session: string | null
  /** The upstream that has the stored response or conversation. */
  readonly anchor: string | null
}

interface Ranked {
  readonly order: readonly Upstream[]
  readonly pin: Pin | null
  /** Why upstreams are left out, where they are. */
  readonly leftOut: Pick<PassedOver, 'reason' | 'isLimited'> | null
}

/** Orders the candidates of one attempt. The binding is looked at anew each time: who is no candidate is no pin. */
export function rank(
  candidates: readonly Upstream[],
  known: Known,
  failures: readonly Failure[],
  { hardFallback, acrossPriorities }: PinSettings,
): Ranked {
  const { anchor, session } = known
  if (anchor !== null) {
    const only = candidates[placeOf(candidates, anchor)]
    const gone = !only || (hardFallback && hasFailed(failures, anchor))
    if (!gone || !hardFallback) {
      const reason = `does not have what the request refers to: it is stored at ${anchor}`
      // Where the one that has it has reached a limit, that is all that stands in the way: the others add nothing to it.
      const leftOut = { reason, isLimited: only !== undefined }
      return { order: only ? [only] : [], pin: { upstream: anchor, isHard: true }, leftOut }
    }
  }
  const at = session === null ? -1 : placeOf(candidates, session)
  const pinned = candidates[at]
  if (session === null || !pinned || hasFailed(failures, session))
    return { order: candidates, pin: null, leftOut: null }
  const better = acrossPriorities ? 0 : candidates.findIndex(({ priority }) => priority >= pinned.priority)
  return { order: moved(candidates, at, better), pin: { upstream: session, isHard: false }, leftOut: null }
}

/** Statuses after which a session is not held to an upstream: a bad credential, an empty account, a spent quota. */
const spent = new Set([401, 402, 403, 429])

/** Ends of an attempt that say nothing about its upstream. */
const noFault = new Set(['PASSED_OVER', 'CLIENT_GONE', 'DRAIN_ENDED'])

/** What an attempt says about staying with its upstream: `served`, `spent`, or nothing either way. */
export function outcomeOf(result: Result): 'served' | 'spent' | null {
  if (result.kind === 'failure') return isFault(result.error) ? 'spent' : null
  if (result.status >= 200 && result.status < 300) return 'served'
  return spent.has(result.status) ? 'spent' : null
}

/** Whether an error is the upstream's, or the way's to it. */
export function isFault({ code }: NodeJS.ErrnoException): boolean {
  return !noFault.has(code ?? '')
}

function hasFailed(failures: readonly Failure[], name: string): boolean {
  return failures.some(({ upstream }) => upstream.name === name)
}
