/** What a result says: of the upstream's health, of rests, and of whether the same request may be sent once more. Pure. */
import type { Result, Upstream } from 'postern/plugin'
import { complaintOf } from 'postern/provider'
import type { RestKind } from './rests.ts'

export interface Verdict {
  /** Whether it counts against the upstream's health; null where it says nothing of it. */
  readonly isError: boolean | null
  /** Whether the upstream is there and takes this credential: then nothing has to be proved any more. */
  readonly isProof: boolean
  readonly rest: WantedRest | null
  /** Whether the same upstream may do better a moment later. */
  readonly isTransient: boolean
  /** Whether the request was surely not carried out. */
  readonly isUntouched: boolean
  /** For the log: a status or the code of an error. */
  readonly reason: string
}

export interface WantedRest {
  readonly kind: RestKind
  readonly scope: 'credential' | 'model'
  /** What the upstream says itself, in ms. */
  readonly told: number | null
}

/** What was given up by this gateway or its client says nothing of the upstream. */
const notTheirs = new Set(['PASSED_OVER', 'CLIENT_GONE', 'DRAIN_ENDED', 'TIMEOUT'])
/** No byte of the request has left. */
const unsent =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|CONNECT_TIMEOUT|UPSTREAM_(ADDRESS|CERTIFICATE))$/
/** Statuses that refuse a request without carrying it out. */
const refusals = new Set([400, 401, 402, 403, 404, 413, 429, 503, 529])
/** A key that is good, but not for this path: OpenAI's restricted keys answer so. */
const notAllowed = /missing scopes|insufficient permissions|permission_error/i

export function verdictOf(result: Result, upstream: Upstream): Verdict {
  if (result.kind === 'failure') return failed(result.error)
  const { status, judgement } = result
  const told = typeof judgement === 'object' ? judgement.rest * 1000 : null
  const scope = typeof judgement === 'object' ? judgement.scope : 'credential'
  const reason = String(status)
  const isUntouched = refusals.has(status)
  const calm = { isError: false, isProof: true, rest: null, isTransient: false, isUntouched, reason }
  if (status < 400) return calm
  // The client's own credential was passed on: what is wrong with it says nothing of the upstream.
  const isOurs = upstream.key !== null
  switch (status) {
    case 401:
    case 402:
    case 403: {
      const text = result.body?.toString('utf8', 0, 4096) ?? ''
      // What this key may not do, it may not do for this model; for others it may be good.
      const isNarrow = status === 403 || (status === 401 && notAllowed.test(text))
      const rest: WantedRest = { kind: 'refused', scope: isNarrow ? 'model' : scope, told }
      return { ...calm, isError: null, isProof: false, rest: isOurs ? rest : null }
    }
    case 503:
    case 529:
      return {
        ...calm,
        isError: true,
        isProof: false,
        rest: { kind: 'health', scope: 'model', told },
        isTransient: true,
      }
    default:
      if (status >= 500 || status === 408) {
        const rest: WantedRest | null = told === null ? null : { kind: 'health', scope: 'model', told }
        return { ...calm, isError: true, isProof: false, rest, isTransient: true, isUntouched: false }
      }
      return { ...calm, ...limited(status, result.body, told, scope, isOurs) }
  }
}

/** A 429, or another 4xx that says the same. */
function limited(
  status: number,
  body: Buffer | null,
  told: number | null,
  scope: 'credential' | 'model',
  isOurs: boolean,
): Partial<Verdict> {
  const word = status === 429 ? 'limit' : complaintOf(body?.toString('utf8', 0, 4096) ?? '')
  if (word === null) return {}
  if (word === 'overload')
    return { isError: true, isProof: false, rest: { kind: 'health', scope: 'model', told }, isTransient: true }
  if (word === 'refused') {
    const rest: WantedRest = { kind: 'refused', scope: 'credential', told }
    return { isError: null, isProof: false, rest: isOurs ? rest : null }
  }
  return { isError: null, rest: isOurs ? { kind: 'limit', scope, told } : null }
}

/** As `verdictOf`, of what went wrong on the way. */
export function failed({ code, name }: NodeJS.ErrnoException): Verdict {
  const reason = code ?? name
  const isTheirs = !notTheirs.has(reason)
  return {
    isError: isTheirs ? true : null,
    isProof: false,
    rest: null,
    isTransient: isTheirs,
    isUntouched: !isTheirs || unsent.test(reason) || /^(ERR_TLS|ERR_SSL|CERT|DEPTH|SELF|UNABLE)/.test(reason),
    reason,
  }
}

const creating = new Set(['other', 'batches', 'predictLongRunning'])
const repeatable = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

/**
 * Whether the request may be sent again although it may have been carried out. Asking a model twice costs twice and changes
 * nothing; what creates batches, files or jobs would create two.
 */
export function isRepeatable(method: string, operation: string | undefined): boolean {
  return repeatable.has(method) || (operation !== undefined && !creating.has(operation))
}
