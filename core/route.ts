/** What a configuration compiled to: for each mounted provider, the chains that an exchange with it walks. */
import {
  everyone,
  everyoneAsked,
  everyoneInTurn,
  firstAnswer,
  eachMessage,
  refine,
  type Chain,
  type HookError,
  type Link,
} from './chain.ts'
import type {
  AnswerHead,
  Exchange,
  Hooks,
  Maybe,
  Outgoing,
  Phase,
  Reply,
  Result,
  Retry,
  SessionMessage,
  Upstream,
} from './plugin.ts'
import type { Provider } from './provider.ts'
import type { Settings } from './config/schema.ts'
import type { Watch } from './upstream/attempt.ts'

/** A plugin of the list, set up. */
export interface Joined {
  readonly name: string
  /** Its hooks join the exchanges of these providers only; null joins every exchange. */
  readonly providers: readonly Provider[] | null
  readonly hooks: Hooks
}

type Candidates = readonly Upstream[]

/** The chains of one provider's exchanges; of those that no provider claims where `provider` is null. */
export interface Route {
  readonly provider: Provider | null
  readonly onRequest: Chain<void, Maybe<Reply>> | null
  readonly onBody: Chain<void, Maybe<Reply>> | null
  readonly rankUpstreams: Chain<Candidates, Candidates | Promise<Candidates>> | null
  readonly onUpstreamRequest: Chain<Outgoing, Maybe<Reply | Retry>> | null
  readonly onUpstreamResult: Chain<Result, Maybe<Retry>> | null
  readonly onResponse: Chain<AnswerHead, void> | null
  readonly onEvent: Chain<Buffer, void> | null
  readonly editEvent: Chain<Buffer, Buffer | Promise<Buffer>> | null
  readonly onMessage: Chain<SessionMessage, SessionMessage | null> | null
  readonly onEnd: Chain<void, void | Promise<void>> | null
  /** How an attempt is watched, for streams and for other answers. */
  readonly watchOf: (isStream: boolean) => Watch
  /** The plugins of each phase, in the order in which they are asked. */
  readonly plugins: Readonly<Record<Phase, readonly string[]>>
}

/** Phases on the way back: the list is asked from its end. */
const upwards: ReadonlySet<Phase> = new Set<Phase>(['onUpstreamResult', 'onResponse', 'onEvent', 'editEvent', 'onEnd'])

/** Compiles the route of one provider. `failed` is told of hooks that throw where nobody can be refused any more. */
export function compileRoute(
  provider: Provider | null,
  list: readonly Joined[],
  timeouts: Settings['timeouts'],
  failed: (exchange: Exchange, error: HookError) => void,
): Route {
  const joined = list.filter(
    ({ providers }) => providers === null || (provider !== null && providers.includes(provider)),
  )
  const plugins: Partial<Record<Phase, readonly string[]>> = {}

  function links<P extends Phase>(phase: P): Link<NonNullable<Hooks[P]>>[] {
    const found = joined.flatMap(({ name, hooks }) => {
      // Bound, so that a plugin may write its hooks as methods that use `this`.
      const hook = hooks[phase]?.bind(hooks) as NonNullable<Hooks[P]> | undefined
      return hook ? [{ plugin: name, hook }] : []
    })
    if (upwards.has(phase)) found.reverse()
    plugins[phase] = found.map((link) => link.plugin)
    return found
  }

  const onUpstreamResult = everyoneAsked<Result, Retry>('onUpstreamResult', links('onUpstreamResult'))
  // Held back is only what somebody could still want to have from elsewhere.
  const hold = onUpstreamResult ? timeouts.hold : null
  const plain: Watch = { hold, firstEvent: null }
  const streamed: Watch = { hold, firstEvent: timeouts.first_event ?? null }

  return {
    provider,
    onRequest: firstAnswer<void, Reply>('onRequest', links('onRequest')),
    onBody: firstAnswer<void, Reply>('onBody', links('onBody')),
    rankUpstreams: refine<Candidates>('rankUpstreams', links('rankUpstreams')),
    onUpstreamRequest: firstAnswer<Outgoing, Reply | Retry>('onUpstreamRequest', links('onUpstreamRequest')),
    onUpstreamResult,
    onResponse: everyone<AnswerHead>('onResponse', links('onResponse'), failed),
    onEvent: everyone<Buffer>('onEvent', links('onEvent'), failed),
    editEvent: refine<Buffer>('editEvent', links('editEvent')),
    onMessage: eachMessage(links('onMessage')),
    onEnd: everyoneInTurn<void>('onEnd', links('onEnd'), failed),
    watchOf: (isStream) => (isStream ? streamed : plain),
    plugins: plugins as Record<Phase, readonly string[]>, // every phase was asked for above
  }
}
