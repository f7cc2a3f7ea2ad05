/** Counters of a pool of WebSocket connections. Plain numbers that only grow; what is there now is counted when asked. */

export interface WsCounters {
  /** Times a connection was lent: those that were there already, and those opened for who asked. */
  acquired: number
  reused: number
  /** Lendings that ended well, and those that ended the connection with them. */
  returned: number
  broken: number
  /** Handshakes that made a connection, and that did not. */
  created: number
  dialFailures: number
  /** Connections that are no more, for any reason. */
  closed: number
  /** Acquisitions that found every connection taken, and the milliseconds until they got one. */
  waits: number
  waitMs: number
  /** Acquisitions that ended without a connection. */
  queueFull: number
  timeouts: number
  cancelled: number
  unavailable: number
  /** Those whose handshake failed. */
  failed: number
  /** Idle connections that the pool closed: for age, surplus, silence, a stray message, or to make room. */
  evicted: number
  /** Idle connections that the upstream closed. */
  lost: number
  pings: number
  pingTimeouts: number
  /** Connections opened before anyone asked; idle ones closed because there were too many. */
  scaleUps: number
  scaleDowns: number
}

export interface WsStats extends WsCounters {
  readonly lanes: number
  readonly idle: number
  /** Idle, and a session's own. */
  readonly pinned: number
  readonly leased: number
  readonly dialing: number
  readonly waiting: number
}

/** What is there now, without what has been counted. */
export type WsNow = Omit<WsStats, keyof WsCounters>

export function zeroNow(): { -readonly [name in keyof WsNow]: number } {
  return { lanes: 0, idle: 0, pinned: 0, leased: 0, dialing: 0, waiting: 0 }
}

/** All of them together. */
export function sum(all: Iterable<WsStats>): WsStats {
  const total: Record<keyof WsStats, number> = { ...zeroCounters(), ...zeroNow() }
  for (const one of all) {
    // `zeroCounters` and `zeroNow` have every key there is.
    for (const name of Object.keys(total) as (keyof WsStats)[]) total[name] += one[name]
  }
  return total
}

export function zeroCounters(): WsCounters {
  return {
    acquired: 0,
    reused: 0,
    returned: 0,
    broken: 0,
    created: 0,
    dialFailures: 0,
    closed: 0,
    waits: 0,
    waitMs: 0,
    queueFull: 0,
    timeouts: 0,
    cancelled: 0,
    unavailable: 0,
    failed: 0,
    evicted: 0,
    lost: 0,
    pings: 0,
    pingTimeouts: 0,
    scaleUps: 0,
    scaleDowns: 0,
  }
}
