/**
 * One version of gateway.yaml brought to life. Immutable; a reload builds another one, moves the server's pointer to it and
 * retires this one, which ends with its last exchange.
 */
import type { Backing } from './backing.ts'
import { watchExchanges } from './clock.ts'
import type { Config } from './config/load.ts'
import type { HookError } from './chain.ts'
import type { Hurry } from './ending.ts'
import { LiveExchange, type Arrival, type FactSheet } from './exchange.ts'
import { exchangeMetrics, type ExchangeMetrics } from './observe/exchanges.ts'
import type { RootLog } from './observe/log.ts'
import type { MetricsRegistry } from './observe/metrics.ts'
import type { Pages } from './pages.ts'
import type { Overload } from './overload.ts'
import type { Log, Upstream } from './plugin.ts'
import type { Claim, Provider } from './provider.ts'
import { compileRoute, type Joined, type Route } from './route.ts'
import { setUp, type SetUp } from './setup.ts'
import type { Shared } from './shared.ts'
import type { Resolve } from './upstream/lookup.ts'
import type { Target, Upstreams } from './upstream/upstreams.ts'
import { waitsOf, type Waits } from './waits.ts'

/** What all gateways of a process have in common. */
export interface House {
  readonly shared: Shared
  readonly log: RootLog
  readonly metrics: MetricsRegistry
  readonly overload: Overload
  /**
   * Begins when the process shall end: from then on whatever ends has a deadline. Before that a gateway that a reload has replaced
   * takes its time, as its exchanges do. Absent: deadlines count at once.
   */
  readonly hurry?: Hurry
  /** Nothing shall be asked or written: it is only said what a configuration compiles to. */
  readonly isOnlyRead?: boolean
  /** How names of upstreams become addresses; by the system where absent. */
  readonly resolve?: Resolve | undefined
}

/** Builds a gateway. Throws ConfigError where a plugin cannot be set up; what was set up by then is taken down again. */
export async function buildGateway(config: Config, house: House): Promise<Gateway> {
  const ready = await setUp(config, house)
  return new Gateway(config, house, ready)
}

export class Gateway {
  readonly config: Config
  readonly log: RootLog
  readonly builtAt = Date.now()
  /** Providers in the order of the list, each with its chains. */
  readonly routes: readonly Route[]
  /** The chains of exchanges that no provider claims. */
  readonly unclaimed: Route
  /**
   * The exchanges that are here, in no order. Not a Set: when V8 grows a Set the old table keeps a pointer to the new one, and with
   * thousands of entries coming and going a second that chain of tables kept dead exchanges alive until the next full collection.
   */
  readonly exchanges: LiveExchange[] = []
  readonly #upstreams: Upstreams
  readonly #ready: SetUp
  readonly #facts: FactSheet
  readonly #endWatch: () => void
  readonly metrics: ExchangeMetrics
  readonly overload: Overload
  #retired: Promise<readonly string[]> | null = null
  #retiredAt: number | null = null
  #empty: (() => void) | null = null

  constructor(config: Config, house: House, ready: SetUp) {
    this.config = config
    this.log = house.log
    this.metrics = exchangeMetrics(house.metrics)
    this.overload = house.overload
    this.#ready = ready
    this.#upstreams = ready.backing.upstreams
    const list: Joined[] = ready.joined
    const failed = (exchange: { log: Log }, error: HookError) => exchange.log.error({ err: error }, error.message)
    const { timeouts } = config.settings
    const providers = list.flatMap((plugin) => plugin.providers ?? [])
    this.routes = providers.map((provider) => compileRoute(provider, list, timeouts, failed))
    this.unclaimed = compileRoute(null, list, timeouts, failed)
    this.#facts = factSheet(config)
    this.#endWatch = watchExchanges(this.exchanges, config.settings)
  }

  /** Lets an exchange in: finds who claims it and gives it its facts. */
  enter(arrival: Arrival): LiveExchange {
    const { method = 'GET', headers } = arrival.far ?? arrival.request
    const [route, claim] = this.#claim(method, arrival.path, headers)
    // Spread from one template: all exchanges of a gateway share one hidden class.
    const facts = { ...this.#facts, provider: route.provider, claim }
    const exchange = new LiveExchange(this, route, facts, withoutKey(arrival, route))
    exchange.place = this.exchanges.push(exchange) - 1
    return exchange
  }

  /** Lets it go. A retired gateway ends with its last one. */
  leave(exchange: LiveExchange): void {
    // The last one takes its place.
    const last = this.exchanges.pop()!
    if (last !== exchange) {
      this.exchanges[exchange.place] = last
      last.place = exchange.place
    }
    if (this.exchanges.length === 0) this.#empty?.()
  }

  /** The upstreams that could be asked, in the order of gateway.yaml and by priority. */
  candidates(provider: Provider, model: string | null): readonly Upstream[] {
    return this.#upstreams.candidates(provider, model)
  }

  /** How an upstream is reached. */
  target(upstream: Upstream, provider: Provider): Target | Promise<Target> {
    return this.#upstreams.target(upstream, provider)
  }

  /** What its plugins show on the admin listener. */
  get pages(): Pages {
    return this.#ready.pages
  }

  /** The store and the database that its plugins stand on. */
  get backing(): Backing {
    return this.#ready.backing
  }

  /** When it was told to retire, in ms since 1970; null while it is the one that exchanges enter. */
  get retiredAt(): number | null {
    return this.#retiredAt
  }

  /** What keeps it from its end: exchanges, or parts of plugins that have not closed. */
  get waits(): Waits & { readonly parts: readonly string[] } {
    return { ...waitsOf(this.exchanges), parts: this.#ready.pending }
  }

  /**
   * No new exchange comes. Resolves when the last one has ended and everything of this gateway is closed, with the names of what did
   * not end as it should.
   */
  retire(): Promise<readonly string[]> {
    return (this.#retired ??= this.#end())
  }

  /** Waits for its exchanges no longer: what is queued shall still be written. They may go on, and find everything closed. */
  giveUp(): void {
    this.#empty?.()
  }

  async #end(): Promise<readonly string[]> {
    this.#retiredAt = Date.now()
    if (this.exchanges.length > 0) {
      await new Promise<void>((resolve) => {
        this.#empty = resolve
      })
    }
    this.#endWatch()
    return this.#ready.end()
  }

  /** The first provider of the list that knows the path; else the first that would pass it on. */
  #claim(method: string, path: string, headers: LiveExchange['headers']): [Route, Claim | null] {
    let weak: [Route, Claim] | null = null
    for (const route of this.routes) {
      const { prefix, dialect } = route.provider!
      if (prefix !== '' && !isUnder(path, prefix)) continue
      const inner = prefix === '' ? path : path.slice(prefix.length) || '/'
      const found = dialect.claims(method, inner, headers)
      if (!found) continue
      const claim = prefix === '' || found.path !== undefined ? found : { ...found, path: inner }
      if (!found.weak) return [route, claim]
      weak ??= [route, claim]
    }
    return weak ?? [this.unclaimed, null]
  }
}

/** A key in the query becomes a header: URLs stand in logs. The header counts, where the client sends both. */
function withoutKey(arrival: Arrival, { provider }: Route): Arrival {
  const parameter = provider?.dialect.keyParameter
  if (!parameter || !arrival.query.includes(`${parameter.name}=`)) return arrival
  const kept: string[] = []
  for (const pair of arrival.query.slice(1).split('&')) {
    if (!pair.startsWith(`${parameter.name}=`)) kept.push(pair)
    else arrival.request.headers[parameter.header] ??= new URLSearchParams(pair).get(parameter.name) ?? ''
  }
  return { ...arrival, query: kept.length > 0 ? `?${kept.join('&')}` : '' }
}

function isUnder(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/')
}

function factSheet(config: Config): FactSheet {
  const names = config.plugins.flatMap(({ plugin }) => [...plugin.reads, ...plugin.mayRead, ...plugin.writes])
  // The gateway's own log and metrics look at these, whoever is mounted.
  const own = { provider: null, claim: null, model: null, stream: null, usage: null, principal: null, priority: null }
  const sheet = { ...own, ...Object.fromEntries(names.map((name) => [name, null])) }
  return sheet as unknown as FactSheet // the plugins' declarations are what Facts is made of
}
