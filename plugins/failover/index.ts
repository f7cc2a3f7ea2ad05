import { definePlugin, retry, shortlist, upstreamsWoken, type Upstream } from 'postern/plugin'
import { again } from './again.ts'
import { RetryBudget } from './budget.ts'
import { choose } from './choose.ts'
import { config } from './config.ts'
import { learn, learnBreak } from './learn.ts'
import { Members, type Member } from './members.ts'
import { metricsOf, tellMembers } from './metrics.ts'
import { isAccountBound, stripReasoning } from './reasoning.ts'
import { endProof, rememberUnreadable, type Asking, type Room } from './room.ts'
import { Together } from './together.ts'
import { verdictOf } from './verdict.ts'

export type { Decision } from './room.ts'

/** How often the rests that other processes have written are read, in ms. They are told at once as well. */
const pullEvery = 5000

/** Chooses among upstreams, and asks another one when one fails, before the client was told anything. */
export default definePlugin({
  name: 'failover',
  sharesState: 'store',
  config,
  mayRead: ['claim', 'model', 'stream', 'load', 'pin', 'session'],
  writes: ['asking', 'decision'],
  async setup(context) {
    const { config, log, store, signal } = context
    const known = await context.shared(
      'known',
      () => ({
        members: new Members(),
        budget: new RetryBudget(config.budget.share, config.budget.floor, performance.now()),
        unreadable: new Set<string>(),
      }),
      () => {},
    )
    const { members, budget, unreadable } = known
    const metrics = metricsOf(context.metrics)
    signal.addEventListener(
      'abort',
      context.metrics.onRender(() => tellMembers(metrics, members)),
      { once: true },
    )
    budget.limitTo(config.budget.share, config.budget.floor)
    const together = store.isShared ? new Together(store, members, storeFailed) : null
    // Weak: plugins may offer other upstreams all the time.
    const own = new WeakMap<Upstream, Member>()
    let introducing: Promise<void> | null = null
    const room: Room = {
      config,
      log,
      metrics,
      members,
      isCalm: () => members.isCalm || !config.rests.enabled,
      memberOf,
      budget: config.budget.enabled ? budget : null,
      together,
      unreadable,
      explains: context.wants('decision'),
    }
    if (together) await join(() => together.listen())
    await join(() => store.subscribe(upstreamsWoken, wake))
    context.every(pullEvery, async () => {
      members.sweep(Date.now())
      await together?.pull()
    })

    function memberOf(upstream: Upstream): Member {
      let member = own.get(upstream)
      if (!member) own.set(upstream, (member = members.of(upstream)))
      return member
    }
    function hasStranger(candidates: readonly Upstream[]): boolean {
      return candidates.some((candidate) => !own.has(candidate))
    }
    function storeFailed(error: unknown): void {
      log.debug({ err: error }, 'failover: the store did not answer; what other processes know of rests is not known')
    }
    /** The one time that an exchange waits for the store: when this process meets an upstream for the first time. */
    async function introduce(together: Together, candidates: readonly Upstream[], model: string | null): Promise<void> {
      const strangers = candidates.filter((candidate) => !own.has(candidate))
      await together.introduce(strangers.map(memberOf), model)
      introducing = null
    }
    /** An operator has ended the rest of an upstream. */
    function wake(name: string): void {
      for (const member of members.called(name)) {
        // What is written goes first: nobody shall learn it again.
        void (together?.forget(member) ?? Promise.resolve()).catch(storeFailed).then(() => member.wake())
      }
      log.info({ account_id: name }, 'failover: an operator has ended its rests')
    }
    async function join(listen: () => Promise<() => Promise<void>>): Promise<void> {
      const leave = await listen().catch(storeFailed)
      signal.addEventListener('abort', () => void leave?.().catch(storeFailed), { once: true })
    }

    return {
      rankUpstreams(exchange, candidates) {
        let { asking } = exchange.facts
        if (asking === null) {
          asking = newAsking(candidates)
          exchange.facts.asking = asking
          budget.deposit()
        }
        if (
          together &&
          introducing === null &&
          hasStranger(shortlist(candidates, exchange.facts.session ?? exchange.id))
        )
          introducing = introduce(together, candidates, exchange.facts.model)
        if (introducing === null) return choose(exchange, asking, candidates, room)
        const known = asking
        return introducing.then(() => choose(exchange, known, candidates, room))
      },
      onUpstreamRequest(exchange, outgoing) {
        const { facts, failures, upstream } = exchange
        const { asking } = facts
        if (!upstream || !asking) return undefined
        const member = memberOf(upstream)
        // It may have begun to rest while the exchange waited for a slot: then the choice is made anew.
        if (!room.isCalm() && hasBegunToRest(asking, member, facts.model)) {
          asking.again = null
          return retry()
        }
        member.usedAt = performance.now()
        if (asking.proof && asking.proof.upstream !== upstream) endProof(room, asking, false)
        if (config.encrypted_reasoning === 'pass') return undefined
        if (facts.session !== null && unreadable.has(facts.session)) asking.strips = true
        const home = facts.pin?.upstream ?? failures[0]?.upstream.name ?? upstream.name
        // Signatures of Anthropic's are good for every account; only where one was refused do they go as well.
        const isElsewhere = home !== upstream.name && isAccountBound(outgoing.body)
        if (!asking.strips && !isElsewhere) return undefined
        const found = stripReasoning(outgoing.body, { signatures: asking.strips })
        if (found) rememberUnreadable(room, facts.session)
        return undefined
      },
      onUpstreamResult(exchange, result) {
        const { upstream } = exchange
        const { asking } = exchange.facts
        if (!upstream || !asking) return undefined
        asking.again = null
        const verdict = verdictOf(result, upstream)
        if (asking.proof) endProof(room, asking, verdict.isProof)
        // The client has left, and what came of that is no fault of anybody's.
        if (exchange.error !== null) return undefined
        // Nor may be what became of an upload: it is the client that sends it.
        if (result.kind === 'response' || exchange.body.kind !== 'stream')
          learn(exchange, upstream, result, verdict, room)
        if (result.kind === 'response' && result.status < 400) {
          asking.served = upstream
          asking.sentAt = performance.now() - result.ms
          return undefined
        }
        const another = again(exchange, asking, upstream, result, verdict, room)
        if (another) metrics.retries.with({ upstream: upstream.name }).inc()
        return another
      },
      onEnd(exchange) {
        const { asking } = exchange.facts
        if (asking?.proof) endProof(room, asking, false)
        if (asking?.served && exchange.error !== null)
          learnBreak(exchange, asking.served, asking.sentAt, exchange.error, room)
      },
    }
  },
})

/** Since it was chosen: a limit, or a rest for its health that is longer than the one that was known of. */
function hasBegunToRest({ inSpiteOf }: Asking, member: Member, model: string | null): boolean {
  const now = Date.now()
  if (member.firmRest(model, now)) return true
  const rest = member.rest(model, now)
  return rest !== null && rest.until > inSpiteOf
}

function newAsking(candidates: Asking['candidates']): Asking {
  return {
    since: performance.now(),
    candidates,
    again: null,
    strips: false,
    staysHome: false,
    proof: null,
    inSpiteOf: 0,
    served: null,
    sentAt: 0,
  }
}
