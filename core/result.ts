/** Where an exchange can be sent, and what came of it. Part of the contract: `postern/plugin` has it all. */
import type { Headers, Phase } from './plugin.ts'
import type { Secret } from './secret.ts'

/** Somewhere an exchange can be sent: one credential at one provider. */
export interface Upstream {
  readonly name: string
  /** The name under which its provider is mounted. */
  readonly provider: string
  /** Base address; null means the provider's own. */
  readonly url: URL | null
  /** null: the client's own credential is passed on. */
  readonly key: Secret | null
  /** Model names it serves, `*` at the end matches any rest; null serves every model. */
  readonly models: readonly string[] | null
  /** Lower is asked first. */
  readonly priority: number
  /** How many exchanges it may have at the same time; null: as many as come. */
  readonly slots: number | null
  /**
   * Where its API has WebSocket: turns go over it (true, or absent), requests by HTTP as well (`always`), or nothing does (false).
   */
  readonly websocket?: boolean | 'always'
  /** Whether its address may be of this machine or a private network. A literal one of gateway.yaml may be without. */
  readonly allowsPrivate?: boolean
  /** How TLS is spoken with it; absent: as with anybody, by the certificates that Node trusts. */
  readonly tls?: UpstreamTls
}

/** TLS with one upstream. Texts are PEM. */
export interface UpstreamTls {
  /** Issuers, in place of those that Node trusts. */
  readonly ca: string | null
  /** What the gateway shows of itself. */
  readonly cert: string | null
  readonly key: Secret | null
  /** The name its certificate has, where it is not that of the url. */
  readonly serverName: string | null
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
}

/** Whether another upstream may do better: no (`final`), yes (`elsewhere`), yes and this one should rest. */
export type Judgement = 'final' | 'elsewhere' | { readonly rest: number; readonly scope: 'credential' | 'model' }

/** An attempt's outcome. A failure is a value, never an exception. */
export type Result =
  | {
      readonly kind: 'response'
      /** Of an error told inside a stream that had begun with 200, the status it stands for. */
      readonly status: number
      readonly headers: Headers
      readonly judgement: Judgement
      /** From the sending to the first byte of content, or to the error, in ms. */
      readonly ms: number
      /** The beginning of an error's body, decoded where it was compressed; null where the answer is none. */
      readonly body: Buffer | null
    }
  | {
      readonly kind: 'failure'
      readonly error: NodeJS.ErrnoException
      readonly judgement: Judgement
      readonly ms: number
    }

/** An earlier attempt of the same exchange. */
export interface Failure {
  readonly upstream: Upstream
  readonly attempt: number
  /** The status of the answer, or null where none came. */
  readonly status: number | null
  /** The code of the network error, or null where an answer came. */
  readonly error: string | null
  readonly judgement: Judgement
}

/** Why an upstream is not asked for an exchange; told in the refusal and in the decision trail. */
export interface PassedOver {
  readonly upstream: Upstream
  /** Ends the sentence "claude-a …", such as `is resting (18 s)`. */
  readonly reason: string
  /** After how many ms it may be asked again, where that is known. */
  readonly wait: number | null
  /** Whether a limit on the rate of requests is why: a refusal is 429 where that holds for every upstream. */
  readonly isLimited: boolean
  /** The plugin that passed it over. */
  readonly by: string | null
}

/** A plugin in one of its hooks. */
export interface Speaker {
  readonly plugin: string
  readonly phase: Phase
}

/**
 * On which channel of the store it is told, by whoever knows, that an upstream shall rest no more; the message is its name. Whoever
 * lets upstreams rest listens, in every process.
 */
export const upstreamsWoken = 'upstreams_woken'

/** What a plugin has done to an exchange, by name and without values: for those who ask why. */
export interface Said extends Speaker {
  /** The attempt it was said at; 0 before the first. */
  readonly attempt: number
  /** It has answered in place of an upstream, wanted another attempt, or edited a field of the request's body. */
  readonly what: 'answer' | 'retry' | 'edit'
  /** The field that was edited. */
  readonly field: string | null
}
