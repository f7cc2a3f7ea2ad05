/** What the kit is given and gives: the types of `postern/testing`, which lead to nothing of the inside. */
import type { Problem } from '../config/problems.ts'
import type { Exchange, Headers, Hooks, Plugin } from '../plugin.ts'

/** gateway.yaml as an object; a plugin object in `plugins` joins the list under its own name, without a file. */
export interface GatewayOptions {
  plugins: readonly (string | Plugin | Record<string, unknown>)[]
  upstreams?: readonly Record<string, unknown>[]
  env?: Record<string, string>
  /** Whether the file is watched; tests that do not change it save the watcher. */
  watch?: boolean
  [key: string]: unknown
}

/** What is around a gateway.yaml. */
export interface GatewaySurroundings {
  /** Plugins that its list names, without a folder of their own. */
  readonly plugins?: readonly Plugin[]
  /** The folder in which `./our-plugins/tenant` is looked for; where absent, a new and empty one. */
  readonly folder?: string | URL
  /** What `${NAME}` stands for. */
  readonly env?: Record<string, string>
  /** Whether the file is watched; no where absent. */
  readonly watch?: boolean
}

/** A record of the log. */
export interface LogRecord {
  readonly level: string
  readonly message: string
  readonly [field: string]: unknown
}

export interface TestGateway extends AsyncDisposable {
  readonly url: string
  readonly adminUrl: string
  readonly file: string
  readonly records: readonly LogRecord[]
  /** Writes another gateway.yaml and reloads it, resolves with its problems. */
  reload(options: GatewayOptions | string): Promise<readonly Problem[]>
  /** Stops it; called by the end of the test's block as well, which then looks for what was left open. */
  stop(): Promise<void>
}

/** A request as a client would send it. */
export interface AskedFor {
  readonly method?: string
  /** With its query. */
  readonly path: string
  readonly headers?: Headers
  readonly body?: Buffer | string
  /** The client's address; 127.0.0.1 where absent. */
  readonly client?: string
}

export interface Rehearsal extends AsyncDisposable {
  /** The hooks of a plugin, as its setup has made them for this configuration. */
  hooks(plugin: Plugin): Hooks
  /** An exchange whose body is there. `onRequest` and `onBody` of nobody were asked; it has left when the rehearsal ends. */
  exchange(asked: AskedFor): Promise<Exchange>
}
