/** How a WebSocket of turns ends: the codes and reasons of its close frames (RFC 6455 §7.4). */

/** A close frame; null where the connection can serve another turn. */
export interface Closing {
  readonly code: number
  readonly reason: string
}

/** What clients of the system before this one look for in reasons, so they stay as they were. */
export const closings = {
  noFirst: { code: 1008, reason: 'missing first response.create message' },
  empty: { code: 1008, reason: 'empty websocket request payload' },
  noJsonFirst: { code: 1008, reason: 'invalid JSON payload' },
  noJson: { code: 1008, reason: 'invalid websocket request payload' },
  idle: { code: 1000, reason: 'no request came for too long' },
  draining: { code: 1001, reason: 'the gateway is shutting down' },
  busy: { code: 1013, reason: 'too many concurrent requests, please retry later' },
  noUpstream: { code: 1013, reason: 'no available account' },
  upstreamLimited: { code: 1013, reason: 'account is busy, please retry later' },
  upstreamBusy: { code: 1013, reason: 'upstream websocket is busy, please retry later' },
  continuationLost: {
    code: 1008,
    reason: 'upstream continuation connection is unavailable; please restart the conversation',
  },
  upstreamFailed: { code: 1011, reason: 'upstream websocket proxy failed' },
  billing: { code: 1008, reason: 'billing check failed' },
} as const satisfies Record<string, Closing>

/** What a refusal of the gateway's own does to the connection. */
export function closeFor(code: string, status: number, message = ''): Closing | null {
  const known = byCode[code]
  if (known) return known
  if (status === 429) return closings.busy
  if (status === 402 || code === 'INSUFFICIENT_BALANCE') return closings.billing
  if (status === 401 || status === 403) return { code: 1008, reason: message }
  if (status === 502 || status === 504) return closings.upstreamFailed
  if (status === 503) return { code: 1013, reason: message }
  return status >= 500 ? { code: 1011, reason: message } : null
}

/** What a connection to an upstream that failed does to the client's. */
export function closeForNetwork(error: NodeJS.ErrnoException): Closing | null {
  if (error.code === 'CONNECTION_UNAVAILABLE') return closings.continuationLost
  if (error.code === 'QUEUE_FULL' || error.code === 'ACQUIRE_TIMEOUT') return closings.upstreamBusy
  return error.code === 'DRAIN_ENDED' ? closings.draining : closings.upstreamFailed
}

const byCode: Readonly<Record<string, Closing | undefined>> = {
  DRAINING: closings.draining,
  NO_UPSTREAM: closings.noUpstream,
  NO_MODEL: closings.noUpstream,
  UPSTREAMS_LIMITED: closings.upstreamLimited,
}
