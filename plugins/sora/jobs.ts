/** Which upstream a video lives at: only the account that made it knows it. */
import { retry, StoreDown, type Exchange, type Hooks, type PluginContext, type Upstream } from 'postern/plugin'
import { jsonField } from 'postern/provider'
import { claimOf, isVideoId } from './claims.ts'

type JobHooks = Required<Pick<Hooks, 'rankUpstreams' | 'onUpstreamResult' | 'onEvent'>>

/**
 * The hooks that remember where a video was made, and ask there. `ttl` (ms) is how long that is remembered; `mount` keeps
 * apart what two mounts know. A video nobody remembers is looked for at one upstream after the other.
 */
export function jobHooks(context: Pick<PluginContext<unknown>, 'store' | 'log'>, ttl: number, mount: string): JobHooks {
  const keyOf = (video: string) => `sora:${mount}:${video}`
  /** The name of the upstream that each exchange has to ask; null: it is looked for. */
  const owners = new WeakMap<Exchange, string | null>()

  function remember(video: string, upstream: Upstream): void {
    context.store.set({ key: keyOf(video), value: upstream.name, ttl }).catch((error: unknown) => {
      context.log.warn({ err: error, account_id: upstream.name }, 'sora: where a video was made is not remembered')
    })
  }

  /** Null where nobody remembers. Without a store the gateway goes on, and looks. */
  async function recall(video: string): Promise<string | null> {
    try {
      return await context.store.get(keyOf(video))
    } catch (error) {
      if (!(error instanceof StoreDown)) throw error
      context.log.warn({ err: error }, 'sora: the store cannot say where a video was made')
      return null
    }
  }

  return {
    rankUpstreams(exchange, candidates) {
      const video = videoOf(exchange)
      if (video === null) return candidates
      const owner = owners.get(exchange)
      if (owner !== undefined) return rank(exchange, candidates, owner)
      return recall(video).then((recalled) => {
        const known = recalled !== null && isThere(exchange, candidates, recalled) ? recalled : null
        owners.set(exchange, known)
        return rank(exchange, candidates, known)
      })
    },

    onUpstreamResult(exchange, result) {
      if (result.kind !== 'response' || owners.get(exchange) !== null) return undefined
      if (result.status === 404) return retry()
      // A list may well be answered by an account that does not know where it shall go on.
      const video = claimOf(exchange).operation === 'videos.list' ? null : videoOf(exchange)
      if (video !== null && result.status < 400) remember(video, exchange.upstream!) // who has answered was asked
      return undefined
    },

    onEvent(exchange, data) {
      if (!makes.has(claimOf(exchange).operation) || exchange.status >= 300) return
      const made = jsonField(data, 'id')
      if (isVideoId(made)) remember(made, exchange.upstream!) // whose answer this is
    },
  }
}

/** Operations whose answer is a video, or a character, that was not there before. */
const makes: ReadonlySet<string> = new Set([
  'videos.create',
  'videos.remix',
  'videos.edit',
  'videos.extend',
  'videos.characters.create',
])

/**
 * The video that has to be there already: named by the path, by a JSON body that edits or extends one, or by the query of a
 * list that shall go on behind it.
 */
function videoOf(exchange: Exchange): string | null {
  const { operation, video } = claimOf(exchange)
  if (video !== null) return video
  const named = namedElsewhere[operation]?.(exchange)
  return isVideoId(named) ? named : null
}

const inBody = ({ body }: Exchange): unknown => (body.kind === 'json' ? body.get('video.id') : null)
const namedElsewhere: Readonly<Record<string, (exchange: Exchange) => unknown>> = {
  'videos.edit': inBody,
  'videos.extend': inBody,
  'videos.list': ({ query }) => (query === '' ? null : new URLSearchParams(query).get('after')),
}

/** Whether the upstream is configured, even if a plugin has passed it over for now. */
function isThere({ passedOver }: Exchange, candidates: readonly Upstream[], name: string): boolean {
  return candidates.some((one) => one.name === name) || passedOver.some(({ upstream }) => upstream.name === name)
}

/** Nobody but its owner has a video. While it is looked for, whoever has said 404 is not asked again. */
function rank({ failures }: Exchange, candidates: readonly Upstream[], owner: string | null): readonly Upstream[] {
  if (owner !== null) return candidates.filter(({ name }) => name === owner)
  if (failures.length === 0) return candidates
  return candidates.filter((one) => !failures.some(({ upstream, status }) => upstream === one && status === 404))
}
