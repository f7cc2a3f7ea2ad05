/** Whose matter an error is, how bad it is, and whether to try again. */
import type { Cause, Exchange, FailedAttempt } from 'postern/plugin'
import { noTold, ofError, type Sightings, type Told } from './attempts.ts'

type Ended = Pick<Exchange, 'status' | 'error' | 'attempt'>

/** The cause of an exchange that has failed. What stopped it counts before what was seen on the way. */
export function classify({ status, error, attempt }: Ended, sightings: Sightings | null): Cause {
  const code = error && 'code' in error ? String(error.code) : ''
  if (code === 'CLIENT_GONE') return cause('request', 'client', 'client_request', 'P3', false, ofError(error!))
  if (code === 'DRAIN_ENDED') return cause('internal', 'gateway', 'gateway', 'P2', true, ofError(error!))
  if (error?.name === 'HookError') return cause('internal', 'gateway', 'gateway', 'P1', true, ofError(error))

  const last = sightings?.attempts.at(-1)
  if (sightings && last?.attempt === attempt && (last.status === null || isItsAnswer(last.status, status))) {
    const { told, keyIsOurs } = sightings
    if (last.status === null) return cause('upstream', 'upstream', 'upstream_network', 'P1', true, told)
    return ofUpstream(last.status, 'upstream_http', told, keyIsOurs)
  }
  if (sightings?.midStream) return ofUpstream(503, 'upstream_event', sightings.midStream, sightings.keyIsOurs)
  // It broke off after it had begun, or took too long.
  if (error) return cause('upstream', 'upstream', 'upstream_network', 'P1', true, ofError(error))
  return ofGateway(status, sightings?.refusal ?? noTold)
}

/** The cause of trouble that another attempt has overcome. */
export function recoveredAs({ status, error, message }: FailedAttempt): Cause {
  const what = status === null ? ` ${error}` : ` ${status}`
  return {
    phase: 'upstream',
    owner: 'upstream',
    source: status === null ? 'upstream_network' : 'upstream_http',
    severity: status === null ? 'P1' : severityOf(status),
    is_retryable: true,
    type: 'upstream_error',
    code: error,
    message: `Recovered upstream error${what}${message === null ? '' : `: ${message}`}`,
  }
}

/** The client was told the upstream's own status, or 200 while it waited. */
function isItsAnswer(upstream: number, told: number): boolean {
  return told === upstream || told < 400
}

/** Types of the APIs' errors, told in a stream, for which the status is known. */
const statusOfType: readonly (readonly [RegExp, number])[] = [
  [/invalid|not_found|too_large/, 400],
  [/authentication|permission|api_key/, 401],
  [/rate_limit|quota|exhausted/, 429],
]

function ofUpstream(status: number, source: Cause['source'], told: Told, keyIsOurs: boolean): Cause {
  const name = `${told.type ?? ''} ${told.code ?? ''}`.toLowerCase()
  const meant =
    source === 'upstream_event' ? (statusOfType.find(([pattern]) => pattern.test(name))?.[1] ?? status) : status
  const retryable = isRetryable(meant)
  if (meant === 401 || meant === 402 || meant === 403) {
    return cause('auth', keyIsOurs ? 'gateway' : 'client', source, keyIsOurs ? 'P1' : 'P3', retryable, told)
  }
  if (retryable) return cause('upstream', 'upstream', source, severityOf(meant), true, told)
  return cause('request', 'client', source, 'P3', false, told)
}

function ofGateway(status: number, told: Told): Cause {
  if (status === 401 || status === 403) return cause('auth', 'client', 'client_request', 'P3', false, told)
  if (status >= 400 && status < 500)
    return cause('request', 'client', 'client_request', 'P3', isRetryable(status), told)
  if (status === 503) return cause('routing', 'gateway', 'gateway', 'P1', true, told)
  if (status === 502 || status === 504) return cause('upstream', 'upstream', 'upstream_network', 'P1', true, told)
  return cause('internal', 'gateway', 'gateway', 'P1', status >= 500, told)
}

/** The same request may be answered a moment later. */
function isRetryable(status: number): boolean {
  return status >= 500 || status === 408 || status === 409 || status === 425 || status === 429
}

function severityOf(status: number): Cause['severity'] {
  return status >= 500 || status === 429 ? 'P1' : 'P2'
}

function cause(
  phase: Cause['phase'],
  owner: Cause['owner'],
  source: Cause['source'],
  severity: Cause['severity'],
  isRetryable: boolean,
  told: Told,
): Cause {
  return { phase, owner, source, severity, is_retryable: isRetryable, ...told }
}
