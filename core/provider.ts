/**
 * A provider is a plugin written with fewer words: a dialect says how one API is spoken, `defineProvider` turns it into
 * hooks. `postern/provider` is the public name of this file.
 */
import type { JSONSchema } from 'json-schema-to-ts'
import type { ConfigOf, Headers, Hooks, Judgement, Outgoing, Plugin, PluginContext } from './plugin.ts'
import { complaintOf, restOf } from './rate-limit.ts'

export type { ReplayDialect, RequestDialect, Said, TurnDialect, WebSocketDialect } from './websocket-dialect.ts'
import type { WebSocketDialect } from './websocket-dialect.ts'
export { jsonBytes, jsonElements, jsonField } from './body/field.ts'
export { complaintOf, restOf, type ErrorAnswer, type RestTold } from './rate-limit.ts'

declare module './plugin.ts' {
  interface Facts {
    /** What the path said: operation, and model or stream flag where the API puts them into the path. */
    claim: Claim
    /** The model the client asked for. */
    model: string
    /** Whether the client asked for a streamed answer. */
    stream: boolean
    /** Tokens, as far as the answer has told them. Only there if a plugin reads it. */
    usage: Usage
  }
}

/** What a provider makes of a method and a path. */
export interface Claim {
  /** A short bounded name such as `messages`; it appears in logs and metrics. `models`: the list, or the one called `model`. */
  readonly operation: string
  /** The path to ask the upstream for, where it differs from the client's. */
  readonly path?: string
  readonly model?: string
  readonly stream?: boolean
  /**
   * How a WebSocket upgrade is served: `turns`, each an exchange of its own; a `session`, all of it one exchange; absent: passed
   * on unread. A path of turns takes nothing but upgrades.
   */
  readonly websocket?: 'turns' | 'session'
  /** A request by HTTP that can be asked as a turn as well: over the WebSocket of an upstream that wants it so. */
  readonly turn?: boolean
  /** The body is a file or a part of one, whatever its content-type says: passed through within `limits.upload`, read by nobody. */
  readonly file?: boolean
  /** Claimed only if no other provider knows the path better. */
  readonly weak?: boolean
}

/** Tokens of one exchange. */
export interface Usage {
  /** Neither read from the provider's prompt cache nor written to it. */
  input: number
  output: number
  cacheRead: number
  cacheWrite: number
}

/** How one API is spoken. */
export interface Dialect {
  /** Null where the request is not of this API. `path` has the mount's prefix removed. */
  claims(method: string, path: string, headers: Readonly<Headers>): Claim | null
  /** A query parameter in which clients of this API send their key: it is moved to a header before anything can log it. */
  readonly keyParameter?: { readonly name: string; readonly header: string }
  /** Where the body says which model is asked for and whether the answer shall be streamed. */
  readonly fields: { readonly model?: string; readonly stream?: string }
  /** The part of the paths that belongs to a base address which has a path of its own, such as `/v1`. */
  readonly version?: string
  /**
   * Puts the upstream's key where this API wants it, in place of every credential of the client's (`dropCredentials`). With
   * null the client's own credential is passed on.
   */
  authorize(outgoing: Outgoing, key: string | null): void
  /** Whether another upstream may do better; `judgeByStatus` where absent. */
  readonly judge?: (result: Unjudged) => Judgement
  /** Adds what one event of the answer (or a whole JSON answer) tells of tokens. */
  usage(data: Buffer, usage: Usage): void
  /**
   * What an event of a streamed answer (or a whole JSON answer) is: an announcement that content will come (`hold`), content or
   * anything else that belongs to an answer (`commit`), or an error, told inside a 200, with the status it stands for. An
   * answer's start is held until it is known to be one. Absent: nothing is held.
   */
  readonly firstEvent?: (data: Buffer) => 'hold' | 'commit' | { readonly status: number }
  /** The bytes of the event that tells a streaming client of an error; `data: …` with the refusal where absent. */
  readonly errorEvent?: (error: object, operation: string) => string
  /** Whether a stream is server-sent events, by the query; true where absent. Comments can be sent only into those. */
  readonly streamsEvents?: (query: string) => boolean
  /** How this API is spoken over WebSocket. */
  readonly websocket?: WebSocketDialect
  /** How this API tells of a model, and of many: for names that the gateway itself has made. */
  readonly models?: { entry(id: string): object; list(entries: readonly object[]): object }
  /** The body of an error of the gateway's own, in the shape that this API's SDK understands. */
  refusal(status: number, code: string, message: string): object
}

export type Unjudged =
  | {
      readonly kind: 'response'
      readonly status: number
      readonly headers: Headers
      /** The beginning of an error's body; null where the answer is none. */
      readonly body: Buffer | null
    }
  | { readonly kind: 'failure'; readonly error: NodeJS.ErrnoException }

/** A dialect, mounted: under a name, a path prefix and a base address. */
export interface Provider {
  readonly name: string
  /** Empty, or a path that begins with `/` and does not end with one. */
  readonly prefix: string
  /** Null: each of its upstreams has an address of its own. */
  readonly url: URL | null
  readonly dialect: Dialect
  /** The largest JSON body in bytes, where it is not the gateway's `limits.body`. */
  readonly bodyLimit: number | null
}

/** Statuses for which another credential or another server may do better. 529 is Anthropic's "overloaded". */
const elsewhere = new Set([401, 402, 403, 408, 429, 500, 502, 503, 504, 529])

/**
 * The judgement that every API shares: by status class, by what the answer says of rate limits, and, for a 400, by whether its
 * body tells of a limit, an overload or a refused key after all.
 */
export function judgeByStatus(result: Unjudged): Judgement {
  if (result.kind === 'failure') return 'elsewhere'
  if (result.status < 400) return 'final'
  const told = restOf(result, Date.now())
  if (told) return { rest: told.rest, scope: told.scope }
  if (elsewhere.has(result.status)) return 'elsewhere'
  return complaintOf(result.body?.toString('utf8', 0, 4096) ?? '') === null ? 'final' : 'elsewhere'
}

/** The options that every provider has. */
const mountOptions = (name: string, url: string | null, prefix: string) =>
  ({
    as: {
      type: 'string',
      pattern: '^[a-z][a-z0-9-]*$',
      default: name,
      description: 'The name it is mounted under: its own, where it is mounted more than once.',
    },
    prefix: {
      type: 'string',
      pattern: '^(/[A-Za-z0-9._~-]+)*$',
      default: prefix,
      description: 'The path under which clients find it, such as /deepseek. Empty: the root.',
    },
    url: {
      type: 'string',
      format: 'url',
      ...(url === null ? {} : { default: url }),
      description:
        url === null
          ? 'The base address, for upstreams without one of their own. Absent: each has its own.'
          : "The API's base address, for upstreams without one of their own.",
    },
  }) as const satisfies Record<string, JSONSchema>

/** Removes the headers in which clients of any of these APIs send their keys. */
export function dropCredentials(headers: Headers): void {
  // Not deleted: an object that has lost a property is slow from then on.
  headers.authorization = undefined
  headers['x-api-key'] = undefined
  headers['x-goog-api-key'] = undefined
  headers['api-key'] = undefined
  // A browser can put a key nowhere else when it opens a WebSocket.
  const offered = headers['sec-websocket-protocol']
  if (offered === undefined) return
  const names = String(offered).split(',')
  headers['sec-websocket-protocol'] = names.filter((name) => !name.includes('api-key')).join(',') || undefined
}

/** What the options that every provider has come to. */
export type MountOptions = { readonly as: string; readonly prefix: string; readonly url?: string }

/**
 * Declares a provider. `url` is the API's own base address, null where it has none; `options` may stand beside `as`, `prefix`
 * and `url`, which every provider has. A provider that speaks as others do names them in `speaks` and is given their dialects;
 * one name may be spoken in several dialects, told apart by what they claim.
 */
export function defineProvider<
  const S extends { readonly [option: string]: JSONSchema } = Record<string, never>,
  O = { readonly [Option in keyof S]: ConfigOf<S[Option]> },
>(spec: {
  name: string
  description: string
  url: string | null
  /** Where clients find it by default; the root where absent. */
  prefix?: string
  options?: S
  /** The `contractVersion` of postern/plugin it was written for. */
  contract?: string
  /** As in `definePlugin`. */
  sharesState?: 'store' | 'database'
  /** Built-in providers, or packages of providers, whose dialects it builds on. */
  speaks?: readonly string[]
  /** Made once per mount. Every option has a default, so every one is there. */
  dialect: (options: O, spoken: readonly Dialect[]) => Dialect | readonly Dialect[]
  /** The largest JSON body in bytes, where it is not the gateway's `limits.body`. */
  bodyLimit?: (options: O) => number
  /** Hooks of its own, for exchanges that it has claimed, asked after those that every provider has. */
  hooks?: (context: PluginContext<unknown>, options: O, mounted: MountOptions) => Hooks | Promise<Hooks>
}): Plugin {
  const options = { ...mountOptions(spec.name, spec.url, spec.prefix ?? ''), ...spec.options }
  return {
    name: spec.name,
    config: {
      type: 'object',
      description: spec.description,
      additionalProperties: false,
      properties: options,
    },
    reads: [],
    mayRead: [],
    writes: ['model', 'stream', 'usage'],
    speaks: spec.speaks ?? [],
    contract: spec.contract,
    sharesState: spec.sharesState,
    mount(config, spoken) {
      // The loader has checked it against the schema above.
      const mounted = config as MountOptions
      const dialects = [spec.dialect(config as never, spoken)].flat()
      return dialects.map((dialect) => ({
        name: mounted.as,
        prefix: mounted.prefix,
        url: mounted.url === undefined ? null : new URL(mounted.url),
        dialect,
        bodyLimit: spec.bodyLimit?.(config as never) ?? null,
      }))
    },
    async setup(context) {
      const own = await spec.hooks?.(context, context.config as never, context.config as MountOptions) // checked as above
      return own ? both(speak(context), own) : speak(context)
    },
  }
}

/** Two sets of hooks as one: the first is asked first. */
function both(first: Hooks, second: Hooks): Hooks {
  const joined: Record<string, unknown> = { ...first, ...second }
  for (const name of Object.keys(first) as (keyof Hooks)[]) {
    const [one, other] = [first[name], second[name]] as [Ask | undefined, Ask | undefined] // the same phase twice
    if (!one || !other) continue
    joined[name] = (exchange: unknown, subject: unknown) => {
      const answer = one(exchange, subject)
      if (answer instanceof Promise) return answer.then((settled: unknown) => settled ?? other(exchange, subject))
      return answer ?? other(exchange, subject)
    }
  }
  return joined // each under the name it had
}

type Ask = (exchange: unknown, subject: unknown) => unknown

const unused: Readonly<Usage> = Object.freeze({ input: 0, output: 0, cacheRead: 0, cacheWrite: 0 })

/** The hooks of every provider. The gateway joins them to the exchanges of the mount they belong to, and to no others. */
function speak(context: PluginContext<unknown>): Hooks {
  const hooks: Hooks = {
    onRequest(exchange) {
      const { claim, model } = exchange.facts
      if (model === null) exchange.facts.model = claim?.model ?? null
      exchange.facts.stream = claim?.stream ?? false
    },
    onBody(exchange) {
      const { facts, body } = exchange
      const { model, stream } = facts.provider?.dialect.fields ?? {}
      if (body.kind !== 'json') return
      if (model !== undefined) {
        const asked = body.get(model)
        if (typeof asked === 'string') facts.model = asked
      }
      if (stream !== undefined && body.get(stream) === true) facts.stream = true
    },
    onUpstreamRequest(exchange, outgoing) {
      const { claim, provider } = exchange.facts
      if (claim?.path !== undefined) outgoing.path = claim.path
      provider?.dialect.authorize(outgoing, exchange.upstream?.key?.reveal() ?? null)
    },
  }
  if (!context.wants('usage')) return hooks
  return {
    ...hooks,
    onEvent(exchange, data) {
      const dialect = exchange.facts.provider?.dialect
      const usage = (exchange.facts.usage ??= { ...unused })
      if (exchange.kind !== 'session') return dialect?.usage(data, usage)
      // Each answer of a session tells its own.
      const told = { ...unused }
      dialect?.usage(data, told)
      usage.input += told.input
      usage.output += told.output
      usage.cacheRead += told.cacheRead
      usage.cacheWrite += told.cacheWrite
    },
  }
}
