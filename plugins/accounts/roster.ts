/** From rows to upstreams. One whose row says the same as before is the very same object: pools, pins and rests are bound to it. */
import { Secret, type Log, type Upstream } from 'postern/plugin'
import type { AccountRow, Reading } from './read.ts'
import { routerOf, type Router } from './routes.ts'
import { readRules, type PauseRule } from './rules.ts'
import type { Sealer } from './seal.ts'

/** An account that may be asked, but for what time alone ends. */
export interface Account {
  readonly id: number
  readonly upstream: Upstream
  readonly sealed: Buffer | null
  /** Null: it is in none. */
  readonly groups: ReadonlySet<number> | null
  /** Moments are in ms since 1970, by this machine's clock. Infinity: never. */
  readonly expiresAt: number
  readonly rest: Rest | null
  readonly modelRests: ReadonlyMap<string, number> | null
  readonly rules: readonly PauseRule[]
}

export interface Rest {
  readonly until: number
  /** Whether a limit on the rate of requests is why. */
  readonly isLimited: boolean
}

export interface RosterOptions {
  readonly providers: Readonly<Record<string, string>>
  readonly namedBy: 'id' | 'name'
  /** What upstreams of gateway.yaml are called. */
  readonly taken: ReadonlySet<string>
  /** Null: there are no secrets, and nothing can be opened. */
  readonly sealer: Sealer | null
  /** Whom accounts without a group serve. */
  readonly ungrouped: 'everyone' | 'ungrouped'
  /** Whether their addresses may be private ones. */
  readonly allowsPrivate: boolean
}

export class Roster {
  readonly #options: RosterOptions
  readonly #log: Log
  readonly #known = new WeakMap<Upstream, Account>()
  #accounts = new Map<number, Account>()
  #routers = new Map<number, Router>()
  /** What is wrong with an account is said once, until it is something else. */
  #problems = new Map<number, string>()
  #hidden = new Map<number | null, ReadonlySet<Upstream>>()
  #changing: ReadonlySet<Upstream> = new Set()

  constructor(options: RosterOptions, log: Log) {
    this.#options = options
    this.#log = log
  }

  /** The upstreams of a reading, in its order. */
  update({ rows, routes, at }: Reading): readonly Upstream[] {
    const before = this.#accounts
    const problems = this.#problems
    this.#accounts = new Map()
    this.#problems = new Map()
    for (const row of rows) {
      const account = this.#accountOf(row, at, before.get(row.id), problems)
      if (!account) continue
      this.#accounts.set(account.id, account)
      this.#known.set(account.upstream, account)
    }
    this.#routers = new Map()
    for (const [id, patterns] of Object.entries(routes)) {
      const router = routerOf(patterns)
      if (router) this.#routers.set(Number(id), router)
    }
    this.#hidden = new Map()
    const accounts = [...this.#accounts.values()]
    this.#changing = new Set(accounts.filter(isChanging).map(({ upstream }) => upstream))
    return accounts.map(({ upstream }) => upstream)
  }

  /** What is known of an upstream, by the latest reading it was in; undefined for those of gateway.yaml. */
  accountOf(upstream: Upstream): Account | undefined {
    return this.#known.get(upstream)
  }

  /** What the upstream of an account is called, whether or not it can be asked just now. */
  nameOf(id: number): string {
    return this.#accounts.get(id)?.upstream.name ?? `account:${id}`
  }

  /** Whether any account has a rest or an end to be looked at. */
  get hasChanging(): boolean {
    return this.#changing.size > 0
  }

  isChanging(upstream: Upstream): boolean {
    return this.#changing.has(upstream)
  }

  routerFor(group: number | null): Router | null {
    return group === null ? null : (this.#routers.get(group) ?? null)
  }

  /** Which upstreams are not for the callers of a group (null: for those without one). Worked out once per group and reading. */
  hiddenFrom(group: number | null): ReadonlySet<Upstream> {
    let hidden = this.#hidden.get(group)
    if (!hidden) {
      const { ungrouped } = this.#options
      const others = [...this.#accounts.values()].filter(({ groups }) =>
        groups === null ? group !== null && ungrouped === 'ungrouped' : group === null || !groups.has(group),
      )
      this.#hidden.set(group, (hidden = new Set(others.map(({ upstream }) => upstream))))
    }
    return hidden
  }

  #accountOf(
    row: AccountRow,
    at: number,
    before: Account | undefined,
    problems: ReadonlyMap<number, string>,
  ): Account | null {
    try {
      const upstream = this.#upstreamOf(row, before)
      const isSame = before !== undefined && isAlike(before.upstream, upstream)
      return {
        id: row.id,
        upstream: isSame ? before.upstream : upstream,
        sealed: row.credentials,
        groups: row.groups && new Set(row.groups),
        expiresAt: row.expires_in === null ? Number.POSITIVE_INFINITY : at + row.expires_in,
        rest: restOf(row, at),
        modelRests: modelRestsOf(row, at),
        rules: readRules(row.rules),
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      this.#problems.set(row.id, reason)
      if (problems.get(row.id) !== reason)
        this.#log.error({ account: row.id, reason }, `account ${row.id} cannot be asked: ${reason}`)
      return null
    }
  }

  #upstreamOf(row: AccountRow, before: Account | undefined): Upstream {
    const { providers, namedBy, taken, allowsPrivate } = this.#options
    // Without it, the account would be seen from an address that it must not be seen from.
    if (row.has_proxy) throw new Error('it is to be reached through a proxy, which is not supported')
    const isUsable = namedBy === 'name' && row.name !== '' && !taken.has(row.name)
    return Object.freeze({
      name: isUsable ? row.name : `account:${row.id}`,
      provider: providers[row.platform] ?? row.platform,
      url: addressOf(row.url),
      key: this.#keyOf(row, before),
      models: modelsOf(row.models),
      priority: row.priority,
      slots: row.concurrency === 0 ? null : row.concurrency,
      ...(typeof row.websocket === 'boolean' || row.websocket === 'always' ? { websocket: row.websocket } : {}),
      ...(allowsPrivate ? { allowsPrivate } : {}),
    })
  }

  #keyOf({ id, credentials }: AccountRow, before: Account | undefined): Secret | null {
    if (credentials === null) return null
    if (before?.sealed?.equals(credentials)) return before.upstream.key
    const { sealer } = this.#options
    if (!sealer) throw new Error('it has credentials, and secrets, which would open them, is empty')
    return new Secret(sealer.open(id, credentials).key)
  }
}

function isChanging({ rest, modelRests, expiresAt }: Account): boolean {
  return rest !== null || modelRests !== null || expiresAt !== Number.POSITIVE_INFINITY
}

/** Whether they are the same in everything that matters to whoever asks them. */
function isAlike(one: Upstream, other: Upstream): boolean {
  return (
    one.name === other.name &&
    one.provider === other.provider &&
    one.url?.href === other.url?.href &&
    one.key?.reveal() === other.key?.reveal() &&
    JSON.stringify(one.models) === JSON.stringify(other.models) &&
    one.priority === other.priority &&
    one.slots === other.slots &&
    one.websocket === other.websocket
  )
}

function addressOf(text: string | null): URL | null {
  if (text === null || text === '') return null
  const url = URL.canParse(text) ? new URL(text) : null
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '')
    throw new Error('its url is no address that begins with http:// or https:// and has neither user nor query')
  return url
}

function modelsOf(list: readonly unknown[] | null): readonly string[] | null {
  return list && Object.freeze(list.filter((item): item is string => typeof item === 'string'))
}

function restOf({ limited_for, overloaded_for, paused_for }: AccountRow, at: number): Rest | null {
  const limited = limited_for ?? 0
  const other = Math.max(overloaded_for ?? 0, paused_for ?? 0)
  const longest = Math.max(limited, other)
  return longest > 0 ? { until: at + longest, isLimited: limited >= other } : null
}

function modelRestsOf({ model_limits: limits, clock }: AccountRow, at: number): ReadonlyMap<string, number> | null {
  if (typeof limits !== 'object' || limits === null) return null
  const rests = new Map<string, number>()
  for (const [model, limit] of Object.entries(limits as Record<string, unknown>)) {
    const end =
      typeof limit === 'object' && limit !== null && 'rate_limit_reset_at' in limit ? limit.rate_limit_reset_at : null
    const until = typeof end === 'string' ? at + Date.parse(end) - clock : Number.NaN
    if (until > at) rests.set(model, until)
  }
  return rests.size > 0 ? rests : null
}
