/** Why there is no WebSocket connection to an upstream. What else `acquire` rejects with is the system's own network error. */
import type { Headers } from '../plugin.ts'

export type WsErrorCode =
  /** As many wait for a connection as may. */
  | 'QUEUE_FULL'
  /** None was free in time. */
  | 'ACQUIRE_TIMEOUT'
  /** The one connection that was asked for is gone, is another session's, or did not answer. */
  | 'CONNECTION_UNAVAILABLE'
  /** The upstream took the connection and did not finish the handshake in time. */
  | 'HANDSHAKE_TIMEOUT'
  /** The upstream answered the upgrade with a 101 that names no WebSocket. */
  | 'HANDSHAKE_BROKEN'
  /** The upstream answered the upgrade with HTTP: see `UpgradeRefused`. */
  | 'UPGRADE_REFUSED'
  /** The credential of this lane has been replaced. */
  | 'LANE_RETIRED'
  /** As many lanes are in use as may be. */
  | 'TOO_MANY_LANES'
  | 'POOL_CLOSED'

export class WsError extends Error {
  readonly code: WsErrorCode

  constructor(code: WsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** An answer instead of an upgrade, as a plugin that judges results wants it. */
export class UpgradeRefused extends WsError {
  readonly status: number
  readonly headers: Headers
  /** At most 64 KiB of it. */
  readonly body: Buffer

  constructor(status: number, headers: Headers, body: Buffer) {
    super('UPGRADE_REFUSED', `the upstream answered the WebSocket upgrade with ${status}`)
    this.status = status
    this.headers = headers
    this.body = body
  }
}
