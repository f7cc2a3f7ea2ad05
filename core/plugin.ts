/**
 * THE CONTRACT. Everything a plugin can say, see and do is in this file; `postern/plugin` is its public name.
 *
 * A plugin is a name, a schema for its configuration, and the hooks it wants. Its `setup` runs once per gateway (that is,
 * once per version of gateway.yaml); what it returns runs for every exchange. Compile in `setup`, run in the hooks.
 */
import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { Dialect, Provider } from './provider.ts'

export { contractVersion } from './contract.ts'
export { addressSet, isAddressPattern, type AddressSet } from './address.ts'
export { applyPatch, deleteField, setField, type Edit } from './body/patch.ts'
export { redactHeaders, redactJson, redactText, redactUrl, trimRequest } from './observe/redact.ts'
export { refuse, reply, retry, type Refusal, type Reply, type Retry, type StraightReply } from './reply.ts'
import type { Reply, Retry } from './reply.ts'
export type { Failure, Judgement, PassedOver, Result, Said, Speaker, Upstream, UpstreamTls } from './result.ts'
import type { Failure, PassedOver, Result, Said, Speaker, Upstream } from './result.ts'
export { upstreamsWoken } from './result.ts'
export { shortlist } from './shortlist.ts'
export type { AnswerHead, Body, Outgoing } from './outgoing.ts'
import type { AnswerHead, Body, Outgoing } from './outgoing.ts'
export { Secret } from './secret.ts'
import type { Secret } from './secret.ts'
export { StoreDown, type Slot, type Store, type StoreEntry } from './store/store.ts'
import type { Store } from './store/store.ts'
export type { Database, Query } from './database/database.ts'
export { janitor, type Expiring } from './database/janitor.ts'
export { recordId, type CapturedError, type Cause, type FailedAttempt } from './captured/captured.ts'
export { findErrors, listErrors, sumErrors, type Places as ErrorPlaces } from './captured/archive.ts'
export type { Filter as ErrorFilter } from './captured/filter.ts'
import type { Database } from './database/database.ts'
export type { Principal } from './access/principal.ts'
export type { Counter, Gauge, Histogram, Labelled, MetricReading, Metrics } from './observe/metrics.ts'
import type { Metrics } from './observe/metrics.ts'
import type { Access } from './access/access.ts'
export type { PageHandler, PageMethod, PageOptions } from './pages.ts'
import type { PageHandler, PageMethod, PageOptions } from './pages.ts'

/** What plugins know about an exchange. The owner of a fact adds its type here, by declaration merging. */
export interface Facts {
  /** The mounted provider that claims this exchange; set by the gateway before `onRequest`. */
  provider: Provider
  /** Who is turned away first when there is too much to do (`limits.memory`, `limits.lag`). Null counts as `normal`. */
  priority: Priority
}
export type Priority = 'low' | 'normal' | 'high'
export type Fact = keyof Facts

/** Lower-case names, always. Several values of one name are an array. */
export type Headers = Record<string, string | string[] | undefined>

export type Maybe<T> = T | void | undefined | Promise<T | void | undefined>

export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** One request and its answer, as it walks through. `R`: the facts that are read, `W`: those that are written. */
export interface Exchange<R extends Fact = Fact, W extends Fact = Fact> {
  /** Taken from the client's X-Request-ID or made; told in the answer. */
  readonly id: string
  /**
   * `http`: a request and its answer. `session`: the upgrade to WebSocket and, where that is one exchange, all that follows.
   * `turn`: one request over a WebSocket and the events that answer it; it walks as the same request would by HTTP.
   */
  readonly kind: 'http' | 'session' | 'turn'
  /** When it came, as `performance.now()` tells time. */
  readonly startedAt: number
  readonly method: string
  /** Without the query; percent-encoded unreserved characters decoded, dot segments refused. */
  readonly path: string
  /** With its `?`, or empty. May hold a credential: never log it. */
  readonly query: string
  /** The client's address, with trusted proxies already considered. */
  readonly client: string
  readonly headers: Readonly<Headers>
  /** Throws before `onBody`. */
  readonly body: Body
  readonly facts: { readonly [F in R]: Facts[F] | null } & { [F in W]: Facts[F] | null }
  /** 1 for the first upstream asked. */
  readonly attempt: number
  readonly upstream: Upstream | null
  /** Earlier attempts, oldest first. */
  readonly failures: readonly Failure[]
  /** Upstreams that were passed over in the latest ranking. */
  readonly passedOver: readonly PassedOver[]
  /** Says why an upstream is left out of a ranking. `rankUpstreams` calls it for each candidate it drops. */
  passOver(upstream: Upstream, reason: string, more?: { wait?: number; isLimited?: boolean }): void
  /** Who has answered in place of an upstream; null where none has, or where it was the gateway itself. */
  readonly answeredBy: Speaker | null
  /** What plugins have done to it, oldest first; the first of them, where they are many. */
  readonly said: readonly Said[]
  /** When `onRequest` was over, when the body was here, and when `onBody` was over: of the monotonic clock in ms, 0 until then. */
  readonly checkedAt: number
  readonly readAt: number
  readonly informedAt: number
  /** The status the client was told, 0 until it was told one. */
  readonly status: number
  /** Made on first use; aborted when the client leaves, unless its answer is read on (`on_disconnect`), or the drain ends. */
  readonly signal: AbortSignal
  /** What went wrong, set before `onEnd`. */
  readonly error: Error | null
  readonly log: Log
}

/** A message of a WebSocket session. */
export interface SessionMessage {
  readonly from: 'client' | 'upstream'
  readonly data: Buffer
  readonly isBinary: boolean
}

/** The moments of an exchange. Down the list towards the upstream (↓), up the list on the way back (↑). */
export interface Hooks<R extends Fact = Fact, W extends Fact = Fact> {
  /** ↓ Headers are here, the body is not. The first answer stops. */
  onRequest?(exchange: Exchange<R, W>): Maybe<Reply>
  /** ↓ The body is here. Declaring it makes the gateway buffer JSON bodies. The first answer stops. */
  onBody?(exchange: Exchange<R, W>): Maybe<Reply>
  /** ↓ Per attempt: best first; what is left out is not asked. */
  rankUpstreams?(
    exchange: Exchange<R, W>,
    candidates: readonly Upstream[],
  ): readonly Upstream[] | Promise<readonly Upstream[]>
  /** ↓ Per attempt: edit what is sent. The first answer stops. */
  onUpstreamRequest?(exchange: Exchange<R, W>, outgoing: Outgoing): Maybe<Reply | Retry>
  /** ↑ Per attempt: everyone sees it, the first Retry counts. */
  onUpstreamResult?(exchange: Exchange<R, W>, result: Result): Maybe<Retry>
  /** ↑ Once, whoever answers: edit status and headers. */
  onResponse?(exchange: Exchange<R, W>, head: AnswerHead): void
  /** ↑ Each event of the answer: an SSE event's data, or a whole JSON body. The bytes flow on at once. */
  onEvent?(exchange: Exchange<R, W>, data: Buffer): void
  /** ↑ The same, but may replace it; declaring it holds each event until it is whole. */
  editEvent?(exchange: Exchange<R, W>, data: Buffer): Buffer | void
  /** ↓ or ↑ Each message of a WebSocket session, by who sent it: another one in its place, or null to drop it. */
  onMessage?(exchange: Exchange<R, W>, message: SessionMessage): SessionMessage | null | void
  /** ↑ Exactly once, whatever happened. */
  onEnd?(exchange: Exchange<R, W>): void | Promise<void>
}

export const phases = [
  'onRequest',
  'onBody',
  'rankUpstreams',
  'onUpstreamRequest',
  'onUpstreamResult',
  'onResponse',
  'onEvent',
  'editEvent',
  'onMessage',
  'onEnd',
] as const satisfies readonly (keyof Hooks)[]
export type Phase = (typeof phases)[number]

export interface QueueOptions {
  /** Items that may wait; more are refused. */
  readonly capacity: number
  /** Workers that take items at the same time. */
  readonly workers?: number
}

/** A bounded queue: what does not fit is refused, never waited for. */
export interface Queue<T> {
  /** False where the queue is full or closed. */
  push(item: T): boolean
  readonly length: number
}

/** What a plugin is given when a gateway is built. Everything in it ends with that gateway, except `shared`. */
export interface PluginContext<C> {
  /** Checked against the schema, defaults applied, durations in ms, sizes in bytes, frozen. */
  readonly config: C
  readonly log: Log
  /** Declared once per process, under a name that begins with `postern_`; a reload finds them again. */
  readonly metrics: Metrics
  /** What sidecars know together: in memory, or in Redis where gateway.yaml says so. */
  readonly store: Store
  /** PostgreSQL; null where gateway.yaml has none. There for certain if the plugin declares that it needs one. */
  readonly database: Database | null
  /** Who may call. Opened for the first plugin that asks. */
  readonly access: () => Promise<Access>
  /** The upstreams of gateway.yaml. */
  readonly upstreams: readonly Upstream[]
  /** Puts further upstreams beside those of gateway.yaml, at any time, in place of those it offered before. */
  offer(upstreams: readonly Upstream[]): void
  /**
   * A page on the admin listener, for as long as this gateway is the latest. A `*` at the end of the path stands for whatever is
   * below it. Throws where the path has a page already. What is asked of it has passed the listener's guard: its key, its own
   * names, no other origin, JSON where it is a POST.
   */
  page(method: PageMethod, path: string, handle: PageHandler, options?: PageOptions): void
  /** Aborted when this gateway has retired. */
  readonly signal: AbortSignal
  /** Whether a plugin of this gateway reads the fact: do not compute what nobody reads. */
  wants(fact: Fact): boolean
  /** Runs a task again and again, `ms` after the last run has ended, until the gateway retires. */
  every(ms: number, task: () => void | Promise<void>): void
  /** A bounded queue, drained when the gateway retires. */
  queue<T>(options: QueueOptions, worker: (item: T) => void | Promise<void>): Queue<T>
  /** Something that outlives a reload: opened for the first gateway that asks, closed after the last. */
  shared<T>(key: string, open: () => T | Promise<T>, close: (it: T) => void | Promise<void>): Promise<T>
}

/** Turns `duration` and `size` strings of a schema into the numbers that a plugin is given. */
export type ConfigOf<S extends JSONSchema> = FromSchema<
  S,
  {
    deserialize: [
      { pattern: { type: 'string'; format: 'duration' }; output: number },
      { pattern: { type: 'string'; format: 'size' }; output: number },
      { pattern: { type: 'string'; format: 'secret' }; output: Secret },
      { pattern: { type: 'string'; format: 'store' }; output: Secret },
      { pattern: { type: 'string'; format: 'database' }; output: Secret },
    ]
  }
>

/** A plugin as the gateway sees it: its types have done their work in `definePlugin`. */
export interface Plugin {
  readonly name: string
  readonly config: JSONSchema
  readonly reads: readonly Fact[]
  /** Read where a plugin above writes them, null where none does. */
  readonly mayRead: readonly Fact[]
  readonly writes: readonly Fact[]
  /** The version of the contract it was written for; one that is not kept here is refused. Absent: it is not asked. */
  readonly contract?: string
  /** Whether it cannot be without a database: a gateway.yaml that has none is refused. */
  readonly needsDatabase?: boolean
  /**
   * Where it keeps what all workers have to know: with more than one (`workers`) a gateway.yaml whose store is each process's own, or
   * that has no database, is refused. Absent: each worker may know something else.
   */
  readonly sharesState?: 'store' | 'database' | undefined
  /** Set by `defineProvider`: the providers whose dialects it builds on. */
  readonly speaks?: readonly string[]
  /** Set by `defineProvider`: makes what this configuration mounts, one for each dialect, all under one name. */
  readonly mount?: (config: unknown, spoken: readonly Dialect[]) => readonly Provider[]
  setup(context: PluginContext<unknown>): Hooks | Promise<Hooks>
}

/**
 * Declares a plugin. An undeclared fact, an unknown configuration key or writing a fact that is only read do not compile.
 */
export function definePlugin<
  const S extends JSONSchema,
  const R extends Fact = never,
  const W extends Fact = never,
  const M extends Fact = never,
  C = ConfigOf<S>,
>(spec: {
  name: string
  config: S
  reads?: readonly R[]
  /** Facts it can do without: null where no plugin writes them. */
  mayRead?: readonly M[]
  writes?: readonly W[]
  /** The `contractVersion` it was written for. */
  contract?: string
  needsDatabase?: boolean
  sharesState?: 'store' | 'database'
  setup(context: PluginContext<C>): Hooks<R | M, W> | Promise<Hooks<R | M, W>>
}): Plugin {
  return {
    name: spec.name,
    config: spec.config,
    reads: spec.reads ?? [],
    mayRead: spec.mayRead ?? [],
    writes: spec.writes ?? [],
    contract: spec.contract,
    needsDatabase: spec.needsDatabase ?? false,
    sharesState: spec.sharesState,
    // Checked against S by the loader and against R and W by the compiler: from here on the gateway only carries them.
    setup: (context) => spec.setup(context as PluginContext<C>),
  }
}
