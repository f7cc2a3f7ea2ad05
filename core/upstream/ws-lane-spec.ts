/** Which connections are alike: a lane holds those that any session of it may be lent. */
import { createHash } from 'node:crypto'
import type { Headers } from '../plugin.ts'
import { dialer, saysItself, type Dial } from './dial.ts'

export interface LaneLimits {
  /** Connections, idle or lent, and handshakes under way; one whose closing has begun does not count. */
  readonly max: number
  /** Connections, lent or idle, that each acquisition opens the missing ones of. */
  readonly minIdle: number
  /** More idle ones than these are closed by the next cleanup. */
  readonly maxIdle: number
  /** The share of connections that should be in use, more than 0: at 0.7, ten are open while seven are lent; 1 opens none in advance. */
  readonly utilization: number
  /** Acquisitions that may wait beyond those that a handshake under way will serve. */
  readonly queue: number
}

/** The numbers that an operator of many accounts settled on; but nothing is kept open for nobody. */
export const laneDefaults: LaneLimits = { max: 128, minIdle: 0, maxIdle: 12, utilization: 0.7, queue: 64 }

/** What a lane is asked for by; made once per session or upstream, not per turn. */
export interface LaneSpec {
  readonly upstream: string
  readonly url: URL
  readonly dial: Dial
  /** Neutral: nothing in them may belong to one session, for the connection will serve others. */
  readonly headers: Readonly<Headers>
  readonly protocols: readonly string[]
  readonly limits: LaneLimits
  /** A hash of all that has to be alike. The credential is in it and cannot be read from it. */
  readonly key: string
}

export interface LaneOptions {
  readonly upstream: string
  readonly url: URL
  /** How it is reached, and a text that differs where that does. Absent: as an address of gateway.yaml would be. */
  readonly dial?: Dial
  readonly way?: string
  /**
   * What the upstream knows the caller by: token and account. Where it is another one, no connection is shared, even if all
   * of the headers are the same.
   */
  readonly credential: string
  readonly headers?: Readonly<Headers>
  readonly protocols?: readonly string[]
  readonly limits?: Partial<LaneLimits>
}

export function laneSpec(options: LaneOptions): LaneSpec {
  const { upstream, url, way = '', credential, headers = {}, protocols = [] } = options
  const dial = options.dial ?? dialer(url, { timeout: 10_000, allowsPrivate: saysItself(url) })
  const limits = { ...laneDefaults, ...options.limits }
  const alike = [upstream, url.href, way, credential, Object.entries(headers).toSorted(byName), protocols]
  const key = createHash('sha256').update(JSON.stringify(alike)).digest('base64url')
  return { upstream, url, dial, headers, protocols, limits, key }
}

function byName([one]: [string, unknown], [other]: [string, unknown]): number {
  return one < other ? -1 : 1
}
