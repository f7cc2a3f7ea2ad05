/**
 * The pool of WebSocket connections to upstreams: transport and not policy, as http.Agent is. Connections that are alike
 * stand in a lane (`laneSpec`); who acquires one holds it alone until it is returned.
 *
 * A connection is lent again only in its own lane: another token, account, address or header is another lane. What a session
 * has pinned, or had opened with headers of its own, is lent to that session alone and closed when the session ends.
 */
import { systemClock, type Clock } from './ws-clock.ts'
import { WsError } from './ws-errors.ts'
import { Lane, type LaneHost } from './ws-lane.ts'
import type { LaneSpec } from './ws-lane-spec.ts'
import type { Lease, Member } from './ws-member.ts'
import { sum, zeroCounters, zeroNow, type WsCounters, type WsStats } from './ws-stats.ts'
import { inParallel, Worker } from './ws-sweep.ts'
import type { Asked } from './ws-waiter.ts'

/** Times in milliseconds. */
export interface WsPoolOptions {
  readonly handshakeTimeout: number
  /** How long an acquisition waits, whatever for. A little more than a handshake, so that its own error is heard. */
  readonly acquireTimeout: number
  readonly closeTimeout: number
  /** Bytes of the longest message. */
  readonly maxPayload: number
  /** Whether permessage-deflate is offered. */
  readonly isCompressed: boolean
  /** From opening to the end of an idle connection: OpenAI ends its own after as long. */
  readonly maxAge: number
  readonly checkAfter: number
  readonly pingTimeout: number
  readonly pingEvery: number
  /** Pings in flight at once: N dead connections cost a sweep ceil(N / 10) timeouts. */
  readonly pingsAtOnce: number
  readonly cleanEvery: number
  readonly maxLanes: number
  readonly clock: Clock
}

const defaults: WsPoolOptions = {
  handshakeTimeout: 10_000,
  acquireTimeout: 12_000,
  closeTimeout: 2_000,
  maxPayload: 16 * 1024 * 1024,
  isCompressed: false,
  maxAge: 60 * 60_000,
  checkAfter: 90_000,
  pingTimeout: 2_000,
  pingEvery: 30_000,
  pingsAtOnce: 10,
  cleanEvery: 30_000,
  maxLanes: 1024,
  clock: systemClock,
}

export class WsPool {
  readonly #options: WsPoolOptions
  /** By upstream. */
  readonly #counters = new Map<string, WsCounters>()
  readonly #lanes = new Map<string, Lane>()
  /** Lanes that lend nothing any more and have connections out. */
  readonly #retired = new Set<Lane>()
  readonly #owners = new Map<string, Member>()
  readonly #host: Omit<LaneHost, 'counters'>
  readonly #pinger: Worker
  readonly #cleaner: Worker
  #sockets = 0
  #lastId = 0
  #closing: Promise<void> | null = null
  #onLastSocket: () => void = () => {}

  constructor(options: Partial<WsPoolOptions> = {}) {
    const all = { ...defaults, ...options }
    this.#options = all
    this.#host = {
      clock: all.clock,
      handshake: all,
      acquireTimeout: all.acquireTimeout,
      pingTimeout: all.pingTimeout,
      checkAfter: all.checkAfter,
      owners: this.#owners,
      nextId: (upstream) => `${upstream}/${++this.#lastId}`,
      socketOpened: () => void this.#sockets++,
      socketClosed: () => {
        if (--this.#sockets === 0) this.#onLastSocket()
      },
    }
    this.#pinger = new Worker(all.clock, all.pingEvery, () => this.#pingAll())
    this.#cleaner = new Worker(all.clock, all.cleanEvery, () => this.#clean())
  }

  /**
   * Lends a connection of the lane: the session's own, the preferred one, the one that has been idle longest, a new one, or
   * the first that is given back. Rejects with `WsError`, `UpgradeRefused`, the signal's reason, or the network's error.
   */
  acquire(spec: LaneSpec, asked: Asked = {}): Promise<Lease> {
    const lane = this.#lanes.get(spec.key) ?? this.#newLane(spec)
    if (lane instanceof WsError) return Promise.reject(lane)
    // Limits are no part of the key: after a reload the new ones hold for the connections that are there.
    lane.spec = spec
    return lane.queue.acquire(asked)
  }

  /** A token or an account has changed: what was opened with the old one is not lent again, nor opened. */
  retire(isOver: (spec: LaneSpec) => boolean): void {
    for (const lane of this.#lanes.values()) if (isOver(lane.spec)) this.#retire(lane)
  }

  /** Closes what the session has pinned, now or when it is given back. */
  endSession(owner: string): void {
    const member = this.#owners.get(owner)
    member?.home.unpin(member)
  }

  /** Of all upstreams together. */
  stats(): WsStats {
    return sum(this.statsByUpstream().values())
  }

  /** Of every upstream that was ever asked for. */
  statsByUpstream(): ReadonlyMap<string, WsStats> {
    const now = new Map([...this.#counters.keys()].map((upstream) => [upstream, zeroNow()]))
    for (const lane of this.#lanes.values()) now.get(lane.spec.upstream)!.lanes++
    for (const lane of this.#all()) {
      const here = now.get(lane.spec.upstream)!
      here.idle += lane.idle.length
      here.pinned += lane.pinned.length
      here.leased += lane.leased
      here.dialing += lane.queue.dialing
      here.waiting += lane.queue.length
      for (const member of lane.members.values()) here.waiting += member.waiting.length
    }
    return new Map(
      [...this.#counters].map(([upstream, counters]) => [upstream, { ...counters, ...now.get(upstream)! }]),
    )
  }

  /**
   * Resolves when both workers have ended and the last socket is closed: idle ones at once, with 1001, lent ones when they
   * are given back, at the latest after `grace` ms.
   */
  close(grace = 5_000): Promise<void> {
    return (this.#closing ??= this.#close(grace))
  }

  async #close(grace: number): Promise<void> {
    const closed = new WsError('POOL_CLOSED', 'the gateway is stopping')
    for (const lane of this.#lanes.values()) this.#retire(lane, closed, 1001)
    const lastSocket = new Promise<void>((resolve) => {
      if (this.#sockets === 0) resolve()
      else this.#onLastSocket = resolve
    })
    const cancel = this.#options.clock.after(grace, () => {
      for (const lane of this.#retired) lane.cutOff()
    })
    await Promise.all([this.#pinger.end(), this.#cleaner.end(), lastSocket])
    cancel()
    this.#retired.clear()
  }

  #newLane(spec: LaneSpec): Lane | WsError {
    if (this.#closing !== null) return new WsError('POOL_CLOSED', 'the gateway is stopping')
    if (this.#lanes.size >= this.#options.maxLanes) {
      const unused = [...this.#lanes.values()].find((lane) => lane.isUnused)
      if (!unused) return new WsError('TOO_MANY_LANES', `${this.#lanes.size} kinds of connections are in use`)
      this.#retire(unused)
    }
    const lane = new Lane(spec, { ...this.#host, counters: this.#countersOf(spec.upstream) })
    this.#lanes.set(spec.key, lane)
    return lane
  }

  #countersOf(upstream: string): WsCounters {
    const known = this.#counters.get(upstream)
    if (known) return known
    const counters = zeroCounters()
    this.#counters.set(upstream, counters)
    return counters
  }

  *#all(): Iterable<Lane> {
    yield* this.#lanes.values()
    yield* this.#retired
  }

  #retire(
    lane: Lane,
    why = new WsError('LANE_RETIRED', `the credential for ${lane.spec.upstream} changed`),
    code = 1000,
  ) {
    this.#lanes.delete(lane.spec.key)
    lane.end(why, code)
    if (lane.size > 0) this.#retired.add(lane)
  }

  #clean(): void {
    const { maxAge } = this.#options
    for (const lane of this.#lanes.values()) {
      lane.clean(maxAge)
      if (lane.size === 0 && lane.isUnused) this.#lanes.delete(lane.spec.key)
    }
    for (const lane of this.#retired) if (lane.size === 0) this.#retired.delete(lane)
  }

  /** Every idle connection that has been silent since the sweep before, and the lent ones in passing. */
  async #pingAll(): Promise<void> {
    const { clock, pingEvery, pingsAtOnce, pingTimeout } = this.#options
    const silent: { readonly member: Member; readonly counters: WsCounters }[] = []
    const since = clock.now() - pingEvery / 2
    for (const { members, host } of this.#all()) {
      const { counters } = host
      for (const member of members.values()) {
        if (member.state === 'leased') {
          if (member.connection.probe()) continue
          counters.pingTimeouts++
          member.connection.terminate()
        } else if (member.isFree && member.connection.lastHeard <= since) silent.push({ member, counters })
      }
    }
    await inParallel(silent, pingsAtOnce, async ({ member, counters }) => {
      // It may have been lent, or closed, while it stood in line.
      if (!member.isFree) return
      counters.pings++
      if (await member.connection.ping(pingTimeout)) return
      if (!member.isFree) return
      counters.pingTimeouts++
      member.home.evict(member, true)
    })
  }
}
