/** Who asks a lane for a connection: served at once, by a handshake, or by what others give back; in the order they came. */
import { dial, type Dialing } from './ws-dial.ts'
import type { WsConnection } from './ws-connection.ts'
import { WsError } from './ws-errors.ts'
import type { Lane } from './ws-lane.ts'
import type { Lease, Member } from './ws-member.ts'
import { Waiter, type Asked } from './ws-waiter.ts'
import { wantedConnections, Warmer } from './ws-warm.ts'

export class Queue {
  readonly #lane: Lane
  readonly #waiting: Waiter[] = []
  readonly #dialing = new Set<Dialing>()
  readonly #warmer = new Warmer()

  constructor(lane: Lane) {
    this.#lane = lane
  }

  get length(): number {
    return this.#waiting.length
  }

  /** Handshakes under way. */
  get dialing(): number {
    return this.#dialing.size
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0 && this.#dialing.size === 0
  }

  /** A connection for who asks. Rejects with `WsError`, `UpgradeRefused`, the signal's reason or a network error. */
  acquire(asked: Asked): Promise<Lease> {
    const lane = this.#lane
    if (asked.signal?.aborted) {
      lane.host.counters.cancelled++
      return Promise.reject(asked.signal.reason as Error) // whatever the caller aborted with
    }
    const wanted = this.#wanted(asked)
    const isWantedFree = wanted !== null && wanted.isFree
    if (isWantedFree && !lane.isStale(wanted)) return Promise.resolve(lane.lend(wanted, true))
    if (asked.force) return this.#waitFor(wanted, asked)
    if (!isWantedFree && isForAny(asked)) {
      const free = lane.longestIdle()
      if (free !== null && !lane.isStale(free)) return Promise.resolve(lane.lend(free, true))
    }
    const waiter = this.#stand(asked, this.#waiting)
    if (isWantedFree) this.#check(wanted, waiter)
    else this.serve()
    if (!waiter.isPending && !waiter.isSettled) this.#bound(waiter)
    return waiter.promise
  }

  /** Does for those who wait what can be done now: called whenever something has become free. */
  serve(): void {
    const lane = this.#lane
    let at = 0
    while (at < this.#waiting.length && lane.ended === null) {
      const waiter = this.#waiting[at]!
      const idle = lane.longestIdle()
      const takesAny = isForAny(waiter.asked)
      if (takesAny && idle !== null && !lane.isStale(idle)) this.give(waiter, idle, true)
      else if (waiter.isPending) at++
      else if (takesAny && idle !== null) this.#check(idle, waiter)
      else if (lane.size < lane.spec.limits.max) this.#open(waiter)
      // One with headers of its own can use none of these: the longest idle one makes room.
      else if (idle !== null) lane.remove(idle)
      else return
    }
  }

  /** Lends it to one who waits. */
  give(waiter: Waiter, member: Member, isReused: boolean): void {
    const { counters, clock } = this.#lane.host
    this.#leave(waiter)
    if (waiter.hasQueued) {
      counters.waits++
      counters.waitMs += clock.now() - waiter.since
    }
    waiter.give(this.#lane.lend(member, isReused))
  }

  /** The first of a session that waits for any connection, and so for its own as well. */
  ofSession(id: string): Waiter | undefined {
    return this.#waiting.find(({ asked }) => asked.session?.id === id)
  }

  fail(waiter: Waiter, error: unknown): void {
    this.#leave(waiter)
    waiter.fail(error)
  }

  /** Opens one more, with nothing of any session's in it, if what is in use asks for it and the upstream lets us. */
  warm(isNext = false): void {
    const lane = this.#lane
    const { limits } = lane.spec
    if (lane.ended !== null || lane.size >= limits.max) return
    // What is pinned and idle serves nobody who comes.
    if (lane.size - lane.pinned.length >= wantedConnections(lane.leased + this.#waiting.length, limits)) return
    const now = lane.host.clock.now()
    if (!this.#warmer.mayBegin(now, isNext)) return
    this.#warmer.began(now)
    this.#open(null)
  }

  end(why: WsError): void {
    for (const waiter of this.#waiting.splice(0)) waiter.fail(why)
    for (const dialing of this.#dialing) dialing.abort(why)
  }

  /** The connection that this asker should rather have than any other, if it may. */
  #wanted(asked: Asked): Member | null {
    const lane = this.#lane
    const session = asked.session?.id
    if (session !== undefined && !(asked.force && asked.prefer !== undefined)) {
      const own = lane.host.owners.get(session)
      if (own !== undefined && own.home === lane && own.connection.isOpen) return own
    }
    if (asked.prefer === undefined) return null
    const member = lane.members.get(asked.prefer)
    if (member === undefined || !member.connection.isOpen) return null
    // Headers of the session's own are not in a connection that is everybody's.
    if (member.owner === null) return isForAny(asked) || asked.force ? member : null
    return member.owner === session ? member : null
  }

  /** That one or an error. */
  #waitFor(member: Member | null, asked: Asked): Promise<Lease> {
    const { host, spec } = this.#lane
    if (member === null) {
      host.counters.unavailable++
      return Promise.reject(
        new WsError('CONNECTION_UNAVAILABLE', `the connection to ${spec.upstream} that was asked for is gone`),
      )
    }
    const waiter = this.#stand(asked, member.waiting)
    if (member.isFree) this.#check(member, null)
    else waiter.hasQueued = true
    if (member.waiting.length > spec.limits.queue) this.#refuse(waiter)
    return waiter.promise
  }

  #stand(asked: Asked, queue: Waiter[]): Waiter {
    const { acquireTimeout, clock } = this.#lane.host
    const waiter = new Waiter(asked, asked.timeout ?? acquireTimeout, clock, this.#gaveUp)
    waiter.queue = queue
    queue.push(waiter)
    return waiter
  }

  #leave(waiter: Waiter): void {
    const at = waiter.queue?.indexOf(waiter) ?? -1
    if (at >= 0) waiter.queue!.splice(at, 1)
  }

  #gaveUp = (waiter: Waiter, why: 'timeout' | 'signal'): void => {
    this.#leave(waiter)
    if (why === 'timeout') this.#lane.host.counters.timeouts++
    else this.#lane.host.counters.cancelled++
  }

  /** Every connection is taken: it stays in the queue if there is a place. */
  #bound(waiter: Waiter): void {
    let places = this.#lane.spec.limits.queue
    for (const other of this.#waiting) if (!other.isPending) places--
    if (places < 0) this.#refuse(waiter)
    else waiter.hasQueued = true
  }

  #refuse(waiter: Waiter): void {
    const { upstream, limits } = this.#lane.spec
    this.#leave(waiter)
    this.#lane.host.counters.queueFull++
    waiter.fail(new WsError('QUEUE_FULL', `${limits.queue} already wait for a connection to ${upstream}`))
  }

  /** Asks a connection that has been silent for long whether it is still there; `waiter` is served by it or by a new one. */
  #check(member: Member, waiter: Waiter | null): void {
    const lane = this.#lane
    const { counters, pingTimeout } = lane.host
    lane.hold(member)
    if (waiter) waiter.isPending = true
    counters.pings++
    void member.connection.ping(pingTimeout).then((isAlive) => {
      if (waiter) waiter.isPending = false
      const isOurs = member.state === 'checking'
      if (isOurs && !isAlive) {
        counters.pingTimeouts++
        lane.remove(member, true)
        // Its place is free: the next one might be as dead, so a handshake it is.
        if (waiter && !waiter.isSettled && lane.ended === null) this.#open(waiter)
      } else if (isOurs && waiter && !waiter.isSettled) this.give(waiter, member, true)
      else if (isOurs) lane.free(member)
      this.serve()
    })
  }

  #open(waiter: Waiter | null): void {
    const { host, spec } = this.#lane
    if (waiter) waiter.isPending = true
    host.socketOpened()
    const own = waiter?.asked.session?.headers
    const to = {
      id: host.nextId(spec.upstream),
      url: spec.url,
      dial: spec.dial,
      headers: own ? { ...spec.headers, ...own } : spec.headers,
      protocols: spec.protocols,
      onClosed: host.socketClosed,
    }
    const dialing = dial(to, host.handshake, host.clock)
    this.#dialing.add(dialing)
    void dialing.opened.then(
      (connection) => {
        this.#dialing.delete(dialing)
        this.#opened(connection, waiter)
        this.serve()
      },
      (error: unknown) => {
        this.#dialing.delete(dialing)
        host.counters.dialFailures++
        if (waiter === null) this.#warmer.failed(host.clock.now())
        else {
          if (!waiter.isSettled) host.counters.failed++
          this.fail(waiter, error)
        }
        this.serve()
      },
    )
  }

  #opened(connection: WsConnection, waiter: Waiter | null): void {
    const lane = this.#lane
    const owner = waiter && !isForAny(waiter.asked) ? waiter.asked.session!.id : null
    const member = lane.adopt(connection, owner)
    if (waiter === null) {
      lane.host.counters.scaleUps++
      this.#warmer.ended()
    } else waiter.isPending = false
    if (member.state === 'gone') {
      const why = `${lane.spec.upstream} ended the connection in the packet that opened it`
      if (waiter) this.fail(waiter, new WsError('CONNECTION_UNAVAILABLE', why, { cause: connection.fault }))
    } else if (waiter && !waiter.isSettled) this.give(waiter, member, false)
    else {
      if (connection.rest()) lane.free(member)
      else lane.remove(member)
      this.warm(waiter === null)
    }
  }
}

/** Whether a connection without headers of a session's own will do. */
function isForAny(asked: Asked): boolean {
  return asked.session?.headers === undefined
}
