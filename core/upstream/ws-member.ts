/** A connection's place in its lane, and the lease by which somebody holds it. */
import type { Headers } from '../plugin.ts'
import type { IdleNode } from './ws-idle.ts'
import type { Clock } from './ws-clock.ts'
import type { Keeper, Listener, WsConnection } from './ws-connection.ts'
import type { Waiter } from './ws-waiter.ts'

/** What a lane does with its members. */
export interface Home {
  /** Given back whole. */
  put(member: Member): void
  /** Not to be lent again. */
  drop(member: Member, code: number, reason: string): void
  pin(member: Member, owner: string): void
  unpin(member: Member): void
  evict(member: Member, isDead: boolean): void
  gone(member: Member): void
  stray(member: Member): void
}

export type MemberState = 'idle' | 'pinned' | 'checking' | 'leased' | 'gone'

export class Member implements IdleNode<Member>, Keeper {
  readonly connection: WsConnection
  readonly home: Home
  readonly openedAt: number
  state: MemberState = 'checking'
  /** The session whose own it is; nobody else is ever lent it. */
  owner: string | null = null
  /** Those who want this connection and no other. */
  readonly waiting: Waiter[] = []
  next: Member | null = null
  previous: Member | null = null

  constructor(connection: WsConnection, home: Home, owner: string | null) {
    this.connection = connection
    this.home = home
    this.owner = owner
    this.openedAt = connection.openedAt
  }

  /** Whether it is nobody's at the moment: idle for all, or for its session. */
  get isFree(): boolean {
    return this.state === 'idle' || this.state === 'pinned'
  }

  onGone(): void {
    this.home.gone(this)
  }

  onStray(): void {
    this.home.stray(this)
  }
}

/** The right to use a connection until it is given back. Afterwards every method is harmless and `send` says false. */
export class Lease implements Disposable {
  /** The connection's: what `prefer` asks for. */
  readonly id: string
  /** Whether the connection was there before it was asked for. */
  readonly isReused: boolean
  readonly #clock: Clock
  readonly #connection: WsConnection
  #member: Member | null

  constructor(member: Member, isReused: boolean, clock: Clock) {
    this.id = member.connection.id
    this.isReused = isReused
    this.#member = member
    this.#clock = clock
    this.#connection = member.connection
  }

  /** Whether messages can be sent. */
  get isOpen(): boolean {
    return this.#member !== null && this.#connection.isOpen
  }

  /** Milliseconds since the connection was opened. */
  get age(): number {
    return this.#clock.now() - this.#connection.openedAt
  }

  /** Of the upstream's 101. */
  get headers(): Readonly<Headers> {
    return this.#connection.headers
  }

  /** The subprotocol that the upstream chose, or ''. */
  get protocol(): string {
    return this.#connection.protocol
  }

  /** Bytes that were sent and that the system has not taken yet. */
  get buffered(): number {
    return this.#connection.buffered
  }

  /** From here on messages are told; those that came before are told first. */
  listen(listener: Listener): void {
    if (this.#member !== null) this.#connection.listen(listener)
  }

  /** As `WsConnection.send`: false asks to wait for `onDrain`. */
  send(data: Buffer | string, isBinary: boolean): boolean {
    return this.#member !== null && this.#connection.send(data, isBinary)
  }

  pause(): void {
    if (this.#member !== null) this.#connection.pause()
  }

  resume(): void {
    if (this.#member !== null) this.#connection.resume()
  }

  /**
   * The connection becomes the session's own: given back, it waits for that session alone, and `endSession` closes it. What
   * an upstream keeps in a connection (`store: false`) is then nobody else's to find.
   */
  pin(owner: string): void {
    if (this.#member !== null) this.#member.home.pin(this.#member, owner)
  }

  /** Gives the connection back for the next one. Only at the end of a turn: nothing of it may still be under way. */
  return(): void {
    const member = this.#member
    this.#member = null
    member?.home.put(member)
  }

  /** Gives the connection back to be closed: with a close frame where there is still somebody to read it. */
  markBroken(code = 1000, reason = ''): void {
    const member = this.#member
    this.#member = null
    member?.home.drop(member, code, reason)
  }

  /** A lease that leaves its block without having been returned was left in mid-turn. */
  [Symbol.dispose](): void {
    this.markBroken()
  }
}
