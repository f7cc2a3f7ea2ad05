/** What the faces of the verifier share: where the key is looked for, what becomes of it, and what the upstream gets to see. */
import type { Exchange, Headers, Maybe, Outgoing, Reply } from '../plugin.ts'
import { dropCredentials } from '../provider.ts'
import { credentialIn, type Access, type Place, type Verdict } from './access.ts'
import { deny, type Denial } from './verify.ts'

/** How one kind of client is spoken to. */
export interface Face {
  /** Where its clients put their keys, in the order in which they count. */
  readonly places: readonly Place[]
  /** Parameters of a query in which a key is refused, since URLs stand in logs. */
  readonly refusedParameters: RegExp
  /** Whether an exchange needs no key. */
  isOpen(exchange: Guarded): boolean
  /** Whether what is asked for costs nothing: then a caller who cannot pay may still ask. */
  isFree?(exchange: Guarded): boolean
  /** The denial in its clients' words. */
  refuse(denial: Denial): Reply
}

type Guarded = Exchange<'claim', 'principal'>

export interface Guard {
  onRequest(exchange: Guarded): Maybe<Reply>
  onUpstreamRequest(exchange: Guarded, outgoing: Outgoing): void
}

/** The hooks of a face. An exchange that another face has admitted passes. */
export function guard(access: Access, face: Face): Guard {
  function settle(exchange: Guarded, { principal, denial }: Verdict): Reply | undefined {
    if (denial) {
      exchange.log.warn({ code: denial.code, client: exchange.client, path: exchange.path }, 'refused by its key')
      const answer = face.refuse(denial)
      const { retryAfter } = denial
      return retryAfter === undefined
        ? answer
        : { ...answer, headers: { 'retry-after': String(retryAfter), ...answer.headers } }
    }
    exchange.facts.principal = principal
    return undefined
  }

  return {
    onRequest(exchange) {
      if (exchange.facts.principal !== null || face.isOpen(exchange)) return undefined
      const none = { principal: null, standing: null }
      if (face.refusedParameters.test(exchange.query))
        return settle(exchange, { ...none, denial: deny('API_KEY_IN_QUERY_DEPRECATED') })
      const credential = credentialIn(exchange.headers, face.places)
      if (credential === null) return settle(exchange, { ...none, denial: deny('API_KEY_REQUIRED') })
      const verdict = access.verify(credential, exchange.client, face.isFree?.(exchange) ?? false)
      return verdict instanceof Promise ? verdict.then((told) => settle(exchange, told)) : settle(exchange, verdict)
    },

    /** The key was for the gateway: an upstream without a credential of its own does not get it instead. */
    onUpstreamRequest({ facts, upstream }, outgoing) {
      if (facts.principal !== null && upstream?.key === null) dropCredentials(outgoing.headers)
    },
  }
}

/** For a 401: how a client may say who it is (RFC 9110 §11.6.1). */
export function challenge(status: number): Headers {
  return status === 401 ? { 'www-authenticate': 'Bearer realm="postern"' } : {}
}
