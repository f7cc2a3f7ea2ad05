/** The walk of a session: looked up once, ranked for each attempt, bound by the answer. */
import type { Failure, Log, Upstream } from 'postern/plugin'
import type { Binding, Bindings, Bound } from './bindings.ts'
import type { Counters } from './counters.ts'
import type { Keys } from './keys.ts'
import { unknown, type Asked, type Notes, type Options } from './notes.ts'
import { rank, type Known } from './pin.ts'

export class Sessions {
  readonly #bindings: Bindings
  readonly #counters: Counters
  readonly #options: Options
  readonly #log: Log

  constructor(bindings: Bindings, counters: Counters, options: Options, log: Log) {
    this.#bindings = bindings
    this.#counters = counters
    this.#options = options
    this.#log = log
  }

  /** What the store knows of the session and of what it refers to, in one round trip. */
  lookUp({ session, anchor }: Notes, candidates: readonly Upstream[]): Promise<Known> {
    const wanted = session && anchor ? [session, anchor] : [(session ?? anchor)!]
    return this.#bindings.read(wanted).then((found) => {
      if (found === null) return unknown
      const ofSession = (session && found[0]) ?? null
      const ofAnchor = (anchor && found.at(-1)) ?? null
      if (ofSession?.isOld || ofAnchor?.isOld) this.#takeOver({ session, anchor }, [ofSession, ofAnchor], candidates)
      return { session: ofSession?.upstream ?? null, anchor: ofAnchor?.upstream ?? null }
    })
  }

  /** An old writer's binding becomes ours, so that the session is at home when old keys are no longer read. */
  #takeOver(
    { session, anchor }: Pick<Notes, 'session' | 'anchor'>,
    [ofSession, ofAnchor]: readonly [Bound | null, Bound | null],
    candidates: readonly Upstream[],
  ): void {
    const { ttl, response_ttl } = this.#options
    const taken: Binding[] = []
    if (session && ofSession?.isOld) taken.push({ keys: session, upstream: ofSession.upstream, ttl })
    if (anchor && ofAnchor?.isOld) taken.push({ keys: anchor, upstream: ofAnchor.upstream, ttl: response_ttl })
    this.#bindings.write(taken.filter(({ upstream }) => candidates.some(({ name }) => name === upstream)))
  }

  /** The candidates in the order that the binding makes of them; says why where it leaves some out. */
  rank(exchange: Asked, notes: Notes, candidates: readonly Upstream[]): readonly Upstream[] {
    notes.candidates = candidates
    const ranked = rank(candidates, notes.known ?? unknown, exchange.failures, {
      hardFallback: this.#options.hard_fallback,
      acrossPriorities: this.#options.across_priorities,
    })
    exchange.facts.pin = ranked.pin
    const { order, leftOut } = ranked
    if (leftOut === null) return order
    for (const candidate of candidates) {
      if (!order.includes(candidate)) exchange.passOver(candidate, leftOut.reason, { isLimited: leftOut.isLimited })
    }
    return order
  }

  /** The upstream that answered is where the session goes on. */
  bind(exchange: Asked, notes: Notes, upstream: string): void {
    const { session, anchor } = notes
    notes.served = upstream
    // Where the store did not say whether there is a binding, none is written over it: the session comes back to its own.
    const known = notes.known ?? unknown
    if (known === unknown) return
    if (session && known.session !== null && known.session !== upstream)
      this.#tellMove(exchange, known.session, upstream)
    const due: Binding[] = []
    const keep = (keys: Keys, was: string | null, ttl: number) => {
      const binding = { keys, upstream, ttl }
      if (was !== upstream || this.#bindings.isDue(binding)) due.push(binding)
    }
    if (session) keep(session, known.session, this.#options.ttl)
    if (anchor) keep(anchor, known.anchor, this.#options.response_ttl)
    this.#bindings.write(due)
  }

  #tellMove({ id, facts, failures }: Asked, from: string, to: string): void {
    this.#counters.add('moves')
    const reason = reasonToMove(from, facts.sticky?.candidates ?? [], failures)
    const fields = { exchange: id, session: facts.session, from, to, reason }
    this.#log.debug(fields, 'the session goes on at another upstream')
  }
}

/** Why a session did not stay at an upstream. */
function reasonToMove(from: string, candidates: readonly Upstream[], failures: readonly Failure[]): string {
  const failure = failures.findLast(({ upstream }) => upstream.name === from)
  if (failure) return failure.status === null ? `failed (${failure.error})` : `answered ${failure.status}`
  return candidates.some(({ name }) => name === from) ? 'was ranked behind another' : 'is no candidate'
}
