/** The upstreams of one gateway: which could be asked for a model, and how each is reached. */
import type { Config } from '../config/load.ts'
import type { Metrics } from '../observe/metrics.ts'
import { tellPool } from '../observe/websockets.ts'
import type { Upstream } from '../plugin.ts'
import type { Provider } from '../provider.ts'
import type { Shared } from '../shared.ts'
import { dialer, saysItself, type Dial } from './dial.ts'
import type { Resolve } from './lookup.ts'
import { fingerprintOf } from './tls.ts'
import { Connections } from './transport.ts'
import type { LaneLimits } from './ws-lane-spec.ts'
import type { WsPool, WsPoolOptions } from './ws-pool.ts'

/** Connections to an upstream and what its base address puts before each path. */
export interface Target {
  readonly connections: Connections
  /** The whole path for one of the API's own. */
  readonly pathOf: (path: string) => string
  readonly websockets: WebSockets
}

/** WebSocket connections to an upstream. */
export interface WebSockets {
  /** The address of a path and query of the upstream's own. */
  url(path: string): URL
  /** How many connections there may be that are alike. */
  readonly limits: LaneLimits
  readonly dial: Dial
  /** Connections that were dialled in another way, with another certificate say, are never lent in place of these. */
  readonly way: string
  /** The pool that all upstreams have in common, kept open at the least until it is released; it outlives a reload. */
  hold(): Promise<HeldPool>
  /** The upstream has said that it has no WebSocket: until then (`performance.now()`) it is asked by HTTP. */
  absentUntil: number
}

export interface HeldPool {
  readonly pool: WsPool
  release(): void
}

type Serves = (model: string) => boolean

export class Upstreams {
  readonly #config: Config
  readonly #shared: Shared
  readonly #metrics: Metrics
  readonly #resolve: Resolve | undefined
  readonly #keys = new Map<string, Promise<Connections>>()
  /** What plugins have offered, each its own list. */
  readonly #offered = new Map<string, readonly Upstream[]>()
  readonly #targets = new WeakMap<Upstream, Target | Promise<Target>>()
  #pool: Promise<{ readonly key: string }> | null = null
  #byProvider: ReadonlyMap<string, Served>

  /** `resolve`: how names become addresses, where it is not by the system. */
  constructor(config: Config, shared: Shared, metrics: Metrics, resolve?: Resolve) {
    this.#config = config
    this.#shared = shared
    this.#metrics = metrics
    this.#resolve = resolve
    this.#byProvider = served(config.upstreams)
  }

  /** Puts these beside those of gateway.yaml, in place of what the same plugin offered before. A name counts once: the file's first. */
  offer(plugin: string, upstreams: readonly Upstream[]): void {
    this.#offered.set(plugin, upstreams)
    const names = new Set<string>()
    const all = [this.#config.upstreams, ...this.#offered.values()].flat().filter(({ name }) => {
      const isNew = !names.has(name)
      names.add(name)
      return isNew
    })
    this.#byProvider = served(all)
  }

  /** By priority, then in the order of gateway.yaml. Where the model is unknown every upstream is a candidate. */
  candidates(provider: Provider, model: string | null): readonly Upstream[] {
    const found = this.#byProvider.get(provider.name)
    if (!found) return none
    if (found.serves === null || model === null) return found.all
    return found.byModel.get(model) ?? remember(found, found.serves, model)
  }

  /** Opened when first asked for; kept until the gateway retires, and by the next one if it asks too. */
  target(upstream: Upstream, provider: Provider): Target | Promise<Target> {
    const known = this.#targets.get(upstream)
    if (known) return known
    // The loader refuses an upstream where neither has an address.
    const opening = this.#open(upstream, upstream.url ?? provider.url!, provider).then((target) => {
      this.#targets.set(upstream, target)
      return target
    })
    this.#targets.set(upstream, opening)
    return opening
  }

  async close(): Promise<void> {
    const pool = await this.#pool
    const keys = pool ? [...this.#keys.keys(), pool.key] : [...this.#keys.keys()]
    await Promise.all(keys.map((key) => this.#shared.release(key)))
  }

  async #open(upstream: Upstream, address: URL, { dialect }: Provider): Promise<Target> {
    const { timeouts, transport, websocket } = this.#config.settings
    const { connect, headers, idle } = timeouts
    const { max, min_idle: minIdle, max_idle: maxIdle, queue, utilization } = websocket.pool
    const allowsPrivate = upstream.allowsPrivate === true || (saysItself(address) && this.#isOfTheFile(upstream))
    const tls = address.protocol === 'https:' ? (upstream.tls ?? null) : null
    const way = `${allowsPrivate ? 'anywhere' : 'public'} ${fingerprintOf(tls)}`
    const key = `connections ${transport} ${address.origin} ${connect} ${headers} ${idle} ${way}`
    let opening = this.#keys.get(key)
    if (!opening) {
      opening = this.#shared.take(
        key,
        () => {
          const origin = new URL(address.origin)
          const options = { timeout: connect, allowsPrivate, tls, resolve: this.#resolve }
          return new Connections(origin, timeouts, transport, dialer(origin, options))
        },
        (open) => open.close(),
      )
      this.#keys.set(key, opening)
    }
    const connections = await opening
    const websockets: WebSockets = {
      dial: connections.dial,
      way,
      url: (path) => new URL(path, address.origin.replace(/^http/, 'ws')),
      limits: { max, minIdle, maxIdle, queue, utilization },
      hold: () => this.#holdPool(),
      absentUntil: 0,
    }
    return { connections, pathOf: joiner(address.pathname, dialect.version ?? ''), websockets }
  }

  /** Whether its address was written by whoever wrote gateway.yaml: there, or as the address of its provider. */
  #isOfTheFile(upstream: Upstream): boolean {
    return upstream.url === null || this.#config.upstreams.includes(upstream)
  }

  /** The gateway holds it too: connections wait in it for sessions to come. */
  async #holdPool(): Promise<HeldPool> {
    const options = poolOptions(this.#config.settings)
    const key = `websockets ${JSON.stringify(options)}`
    const open = async () => {
      const { WsPool } = await import('./ws-pool.ts')
      const pool = new WsPool(options)
      return { pool, untell: tellPool(pool, this.#metrics) }
    }
    const take = async () => {
      const { pool } = await this.#shared.take(key, open, async (it) => {
        await it.pool.close()
        it.untell()
      })
      return pool
    }
    this.#pool ??= take().then((pool) => ({ key, pool }))
    const pool = await take()
    return { pool, release: () => void this.#shared.release(key) }
  }
}

/** What all of its connections have in common: where one of these changes, a pool of its own is opened beside the one before. */
function poolOptions({ timeouts: { connect }, websocket }: Config['settings']): Partial<WsPoolOptions> {
  return {
    handshakeTimeout: connect,
    acquireTimeout: connect + 2000,
    maxPayload: websocket.message,
    isCompressed: websocket.compress_upstreams,
    pingEvery: websocket.ping,
    pingTimeout: websocket.ping_timeout,
    maxAge: websocket.pool.max_age,
  }
}

/** The upstreams of one provider, by priority, and which models each serves; null where all serve every model. */
interface Served {
  readonly all: readonly Upstream[]
  readonly serves: readonly (Serves | null)[] | null
  /** What was found for models that were asked for; plugins may keep what they know of a list as long as it is the same. */
  readonly byModel: Map<string, readonly Upstream[]>
}

/** Clients choose the names: beyond it the one that was asked for first is looked for anew. */
const mostModels = 200

function remember({ all, byModel }: Served, serves: readonly (Serves | null)[], model: string): readonly Upstream[] {
  const found = all.filter((_, at) => serves[at]?.(model) ?? true)
  const [oldest] = byModel.keys()
  if (byModel.size >= mostModels && oldest !== undefined) byModel.delete(oldest)
  byModel.set(model, found.length === 0 ? none : found)
  return found
}

function served(upstreams: readonly Upstream[]): ReadonlyMap<string, Served> {
  const byProvider = new Map<string, Served>()
  for (const [name, list] of Map.groupBy(upstreams, ({ provider }) => provider)) {
    const all = list.toSorted((one, other) => one.priority - other.priority)
    const serves = all.map((upstream) => (upstream.models ? compileModels(upstream.models) : null))
    byProvider.set(name, { all, serves: serves.some(Boolean) ? serves : null, byModel: new Map() })
  }
  return byProvider
}

const none: readonly Upstream[] = Object.freeze([])

/** Exact names, and prefixes written with a `*` at their end. */
function compileModels(patterns: readonly string[]): Serves {
  const names = new Set(patterns.filter((pattern) => !pattern.endsWith('*')))
  const prefixes = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1))
  return (model) => names.has(model) || prefixes.some((prefix) => model.startsWith(prefix))
}

/**
 * A base address with a path takes the place of the API's version: `https://api.groq.com/openai/v1` and `/v1/chat` make
 * `/openai/v1/chat`, as an SDK that is given that base URL would ask.
 */
function joiner(base: string, version: string): (path: string) => string {
  const before = base.endsWith('/') ? base.slice(0, -1) : base
  if (before === '') return (path) => path
  return (path) => before + (version !== '' && path.startsWith(`${version}/`) ? path.slice(version.length) : path)
}
