/** The connections of one lane: which are free, which are lent, and which have to go. */
import type { Clock } from './ws-clock.ts'
import type { WsConnection } from './ws-connection.ts'
import type { DialOptions } from './ws-dial.ts'
import { WsError } from './ws-errors.ts'
import { evictIdle, IdleList } from './ws-idle.ts'
import type { LaneSpec } from './ws-lane-spec.ts'
import { Lease, Member, type Home } from './ws-member.ts'
import { Queue } from './ws-queue.ts'
import type { WsCounters } from './ws-stats.ts'

/** What all lanes of a pool have in common. */
export interface LaneHost {
  readonly clock: Clock
  readonly counters: WsCounters
  readonly handshake: DialOptions
  readonly acquireTimeout: number
  readonly pingTimeout: number
  /** Idle connections that have been silent for so many milliseconds are asked before they are lent. */
  readonly checkAfter: number
  /** The connections that sessions have pinned. */
  readonly owners: Map<string, Member>
  nextId(upstream: string): string
  readonly socketOpened: () => void
  readonly socketClosed: () => void
}

export class Lane implements Home {
  /** As it was last asked for. */
  spec: LaneSpec
  readonly host: LaneHost
  readonly queue: Queue
  readonly members = new Map<string, Member>()
  readonly idle = new IdleList<Member>()
  readonly pinned = new IdleList<Member>()
  leased = 0
  /** Why nothing is lent any more. */
  ended: WsError | null = null

  constructor(spec: LaneSpec, host: LaneHost) {
    this.spec = spec
    this.host = host
    this.queue = new Queue(this)
  }

  /** Whether nobody holds, waits for or has pinned anything here. */
  get isUnused(): boolean {
    return this.members.size === this.idle.length && this.queue.isEmpty
  }

  /** Connections that there are, and those that may soon be. */
  get size(): number {
    return this.members.size + this.queue.dialing
  }

  /** The idle one to lend next: all of them stay in use, and the upstream's own idle limit is met by the fewest. */
  longestIdle(): Member | null {
    let first = this.idle.first
    // One whose closing has only just come in has not left the list yet.
    while (first !== null && !first.connection.isOpen) {
      this.host.counters.lost++
      this.#leave(first)
      first = this.idle.first
    }
    return first
  }

  isStale(member: Member): boolean {
    return this.host.clock.now() - member.connection.lastHeard >= this.host.checkAfter
  }

  /** Takes in what has been opened; `owner` where it was opened for one session. */
  adopt(connection: WsConnection, owner: string | null): Member {
    const member = new Member(connection, this, owner)
    this.host.counters.created++
    this.members.set(connection.id, member)
    connection.keptBy(member)
    if (this.ended !== null) this.remove(member, true)
    return member
  }

  lend(member: Member, isReused: boolean): Lease {
    const { counters, clock } = this.host
    this.#takeOut(member)
    member.state = 'leased'
    this.leased++
    counters.acquired++
    if (isReused) counters.reused++
    if (member.owner !== null) this.pin(member, member.owner)
    member.connection.lend()
    this.queue.warm()
    return new Lease(member, isReused, clock)
  }

  /** Takes a connection out of the idle ones, so that nobody else is lent it meanwhile. */
  hold(member: Member): void {
    this.#takeOut(member)
    member.state = 'checking'
  }

  /** Nobody's at the moment: for who waits for this one, for its session, or for all. */
  free(member: Member): void {
    const { owner } = member
    const isPinned = owner !== null && this.host.owners.get(owner) === member
    const next = member.waiting[0] ?? (isPinned ? this.queue.ofSession(owner) : undefined)
    if (next !== undefined) this.queue.give(next, member, true)
    else if (owner === null) {
      member.state = 'idle'
      this.idle.push(member)
    } else if (isPinned) {
      member.state = 'pinned'
      this.pinned.push(member)
    } else this.remove(member)
  }

  put(member: Member): void {
    if (member.state !== 'leased') return
    this.host.counters.returned++
    this.leased--
    member.state = 'checking'
    if (member.connection.rest() && member.connection.isOpen && this.ended === null) this.free(member)
    else this.remove(member)
    this.queue.serve()
  }

  drop(member: Member, code: number, reason: string): void {
    if (member.state !== 'leased') return
    this.#leave(member)
    member.connection.rest()
    member.connection.close(code, reason)
    this.queue.serve()
  }

  /** A session has one connection: an earlier one of its own is closed as soon as it is free. */
  pin(member: Member, owner: string): void {
    const { owners } = this.host
    const before = owners.get(owner)
    if (before === member || member.state === 'gone') return
    this.#disown(member)
    member.owner = owner
    owners.set(owner, member)
    for (const waiter of member.waiting.filter((one) => one.asked.session?.id !== owner)) {
      this.queue.fail(waiter, new WsError('CONNECTION_UNAVAILABLE', 'the connection is another session’s now'))
    }
    before?.home.unpin(before)
  }

  /** No session's any more, and still nobody else's: it is closed, now or when it is given back. */
  unpin(member: Member): void {
    this.#disown(member)
    this.evict(member)
  }

  /** Closes it if it is nobody's at the moment. */
  evict(member: Member, isDead = false): void {
    if (!member.isFree) return
    this.remove(member, isDead)
    this.queue.serve()
  }

  /** The pool's own decision; `isDead` where no answer to a close frame is to be hoped for. */
  remove(member: Member, isDead = false, code = 1000): void {
    this.host.counters.evicted++
    this.#leave(member)
    if (isDead) member.connection.terminate()
    else member.connection.close(code)
  }

  gone(member: Member): void {
    if (member.state === 'gone') return
    if (member.isFree) this.host.counters.lost++
    this.#leave(member)
    this.queue.serve()
  }

  stray(member: Member): void {
    if (member.state === 'leased' || member.state === 'gone') return
    this.remove(member)
    this.queue.serve()
  }

  /** Closes idle ones that are older than `maxAge` ms or too many, and pinned ones whose session is silent for as long. */
  clean(maxAge: number): void {
    const after = this.host.clock.now() - maxAge
    evictIdle(this.idle, openedAt, after, this.spec.limits.maxIdle, this.#evictOld)
    evictIdle(this.pinned, lastUsed, after, Number.POSITIVE_INFINITY, this.#evictOld)
    if (!this.queue.isEmpty) this.queue.serve()
  }

  /** Nothing is lent any more: who waits is told why, what is idle is closed, the rest when it is given back. */
  end(why: WsError, code = 1000): void {
    this.ended ??= why
    this.queue.end(why)
    for (const member of this.members.values()) {
      for (const waiter of member.waiting.splice(0)) waiter.fail(why)
      if (member.state !== 'leased') this.remove(member, member.state === 'checking', code)
    }
  }

  /** Ends what is still lent. */
  cutOff(): void {
    for (const member of this.members.values()) member.connection.terminate()
  }

  #evictOld = (member: Member, why: 'age' | 'surplus'): void => {
    if (why === 'surplus') this.host.counters.scaleDowns++
    this.remove(member)
  }

  #takeOut(member: Member): void {
    if (member.state === 'idle') this.idle.remove(member)
    else if (member.state === 'pinned') this.pinned.remove(member)
  }

  #disown(member: Member): void {
    if (member.owner !== null && this.host.owners.get(member.owner) === member) this.host.owners.delete(member.owner)
  }

  #leave(member: Member): void {
    if (member.state === 'gone') return
    this.#takeOut(member)
    this.#disown(member)
    if (member.state === 'leased') {
      this.leased--
      this.host.counters.broken++
    }
    member.state = 'gone'
    this.members.delete(member.connection.id)
    this.host.counters.closed++
    for (const waiter of member.waiting.splice(0)) {
      this.host.counters.unavailable++
      waiter.fail(new WsError('CONNECTION_UNAVAILABLE', `the connection to ${this.spec.upstream} has ended`))
    }
  }
}

const openedAt = (member: Member): number => member.openedAt
const lastUsed = (member: Member): number => member.connection.lastUsed
