/** Every error the gateway can make: code, status, what the client is told, and the cure for whoever runs the gateway. */
import { redactText } from './observe/redact.ts'
import { refuse, type Refusal } from './reply.ts'
import type { Headers } from './plugin.ts'

interface Row {
  readonly status: number
  readonly message: string
  readonly remedy: string
}

export const errors = {
  BAD_TARGET: {
    status: 400,
    message: 'The request target is not one this gateway passes on',
    remedy: 'Send an absolute path without dot segments, backslashes, an encoded NUL or broken percent-encoding.',
  },
  BAD_REQUEST: {
    status: 400,
    message: 'The request is ambiguous and was refused',
    remedy: 'One Host header, no Transfer-Encoding on HTTP/1.0, no absolute target that disagrees with Host.',
  },
  METHOD_REFUSED: {
    status: 405,
    message: 'This method is not passed on',
    remedy: 'TRACE and CONNECT have no use at an AI API and are refused always.',
  },
  NO_ROUTE: {
    status: 404,
    message: 'No provider of this gateway serves this path',
    remedy: 'Mount the provider in plugins, or correct the base URL; `postern explain` lists what is served.',
  },
  UPGRADE_REQUIRED: {
    status: 426,
    message: 'WebSocket upgrade required (Upgrade: websocket)',
    remedy: 'This path is for WebSocket clients alone; by HTTP the same is asked with POST.',
  },
  NO_WEBSOCKET: {
    status: 501,
    message: 'This path is not served over WebSocket',
    remedy: 'Ask by HTTP, or choose an upstream whose API has WebSocket.',
  },
  BODY_TOO_LARGE: {
    status: 413,
    message: 'Request body too large',
    remedy: 'Raise limits.body (JSON) or limits.upload (everything else) if such requests are wanted.',
  },
  BODY_BROKEN: {
    status: 400,
    message: 'Failed to read request body',
    remedy: 'The client ended or broke the body before its announced end.',
  },
  INVALID_JSON: {
    status: 400,
    message: 'Failed to parse request body',
    remedy: 'The body says it is JSON and is not.',
  },
  NO_MODEL: {
    status: 404,
    message: 'No upstream of this gateway serves this model',
    remedy: 'Add the model to the models of an upstream, or leave models out to serve all.',
  },
  NO_UPSTREAM: {
    status: 503,
    message: 'No upstream can take this exchange',
    remedy: 'Add an upstream for this provider and model, or look at why each one was passed over.',
  },
  UPSTREAMS_LIMITED: {
    status: 429,
    message: 'Every upstream has reached a limit',
    remedy:
      'Come again after the seconds of Retry-After, or add an upstream; the message says why each was passed over.',
  },
  UPSTREAM_UNREACHABLE: {
    status: 502,
    message: 'The upstream could not be reached',
    remedy: 'Look at the upstream address and its network; the log has the error of the socket.',
  },
  UPSTREAM_ADDRESS: {
    status: 502,
    message: 'The upstream has an address that this gateway does not dial',
    remedy:
      'Correct its url; where it is meant to be private, give the upstream allow_private: true. The log has the address.',
  },
  UPSTREAM_CERTIFICATE: {
    status: 502,
    message: 'The certificate of the upstream was refused',
    remedy: 'The log says what is wrong with it: tls.ca names an issuer of your own, tls.server_name another name.',
  },
  UPSTREAM_BROKEN: {
    status: 502,
    message: 'The upstream broke off or sent an answer that is none',
    remedy: 'The log has the error of the socket or of the parser.',
  },
  UPSTREAM_TIMEOUT: {
    status: 504,
    message: 'The upstream did not answer in time',
    remedy: 'Raise timeouts.connect or timeouts.headers if the upstream is known to be slow.',
  },
  UPSTREAM_ERROR: {
    status: 502,
    message: 'The upstream answered with an error',
    remedy: 'Told inside a stream whose client had waited long; the log has the upstream and its status.',
  },
  TIMEOUT: {
    status: 504,
    message: 'The answer took longer than this gateway allows',
    remedy: 'Raise timeouts.total, or leave it out: then only silence is limited.',
  },
  OVERLOADED: {
    status: 503,
    message: 'The gateway has too much to do',
    remedy:
      'Come again after the seconds of Retry-After. If it lasts: more memory (limits.memory), more sidecars, or a lower priority for what can wait; ' +
      'the log and postern_pressure_ratio say which limit it is.',
  },
  DRAINING: {
    status: 503,
    message: 'The gateway is shutting down',
    remedy: 'Send the request again: another instance, or this one after its restart, takes it.',
  },
  INTERNAL: {
    status: 500,
    message: 'Internal error of the gateway',
    remedy: 'A plugin failed; the log names it and the phase.',
  },
} as const satisfies Record<string, Row>

export type ErrorCode = keyof typeof errors

/** The refusal of a row; `detail` is told to the client after the row's message, redacted: answers are kept in logs of others. */
export function fault(code: ErrorCode, detail = '', headers: Headers = {}): Refusal {
  const { status, message } = errors[code]
  return refuse(status, code, detail ? `${message}: ${redactText(detail)}` : message, headers)
}

/** Thrown where a refusal has to travel through code that returns something else. */
export class Refused extends Error {
  override name = 'Refused'
  readonly refusal: Refusal
  constructor(refusal: Refusal) {
    super(refusal.message)
    this.refusal = refusal
  }
}

/** The client went away; nobody is left to be answered. */
export class ClientGone extends Error {
  override name = 'ClientGone'
  readonly code = 'CLIENT_GONE'
  constructor() {
    super('the client left before its answer ended')
  }
}

/** The exchange took longer than `timeouts.total`. */
export class TimedOut extends Error {
  override name = 'TimedOut'
  readonly code = 'TIMEOUT'
  constructor() {
    super('the exchange took longer than timeouts.total')
  }
}

/** The drain of a shutdown ended before the exchange did. */
export class DrainEnded extends Error {
  override name = 'DrainEnded'
  readonly code = 'DRAIN_ENDED'
  constructor() {
    super('the gateway shut down before the answer ended')
  }
}
