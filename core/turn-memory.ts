/** What one turn leaves for the next: which connection served it, and what was said. */
import type { Headers } from './plugin.ts'
import { Conversation, type ReplayBudget } from './turn-conversation.ts'
import type { HeldPool } from './upstream/upstreams.ts'
import type { LaneSpec } from './upstream/ws-lane-spec.ts'
import type { Lease } from './upstream/ws-member.ts'
import type { WsPool } from './upstream/ws-pool.ts'
import type { Asked } from './upstream/ws-waiter.ts'

/** What is asked, as far as it matters to the choice of a connection. */
export interface Wanting {
  readonly spec: LaneSpec
  /** Headers that belong to one client's session. */
  readonly own: Headers | undefined
  /** Whether its connection knows what the turn goes on with, and no other does. */
  readonly stays: boolean
  /** The response that it goes on with. */
  readonly continued: string | null
}

/** Whose turn it is. */
export interface Continuity {
  /** What upstreams have said in a handshake, for those that follow. */
  readonly kept: Headers
  /** Whether it stands in line where every connection is taken; HTTP is asked where it does not. */
  readonly isPatient: boolean
  /** Null where a conversation that is lost stays so. */
  readonly conversation: Conversation | null
  keep(held: HeldPool): WsPool
  /** Which connection would be best. */
  wanted(wanting: Wanting): Asked
  lent(lease: Lease, wanting: Wanting): void
}

/** What the turns of one socket have in common. */
export class TurnMemory implements Continuity {
  readonly id: string
  readonly isPatient = true
  readonly kept: Headers = {}
  readonly conversation: Conversation
  /** The connection that served last. */
  #last: string | undefined = undefined
  /** Whether a connection is this session's own. */
  #isPinned = false
  readonly #held = new Map<WsPool, HeldPool>()
  #isOver = false

  constructor(id: string, budget: ReplayBudget) {
    this.id = id
    this.conversation = new Conversation(budget)
  }

  /** Keeps the pool open, whatever becomes of gateways, until the socket is closed. */
  keep(held: HeldPool): WsPool {
    if (this.#isOver || this.#held.has(held.pool)) held.release()
    else this.#held.set(held.pool, held)
    return held.pool
  }

  wanted({ own, stays, continued }: Wanting): Asked {
    const force = stays && this.#isPinned && continued !== null
    return {
      session: { id: this.id, ...(own ? { headers: own } : {}) },
      ...(this.#last === undefined ? {} : { prefer: this.#last }),
      ...(force ? { force } : {}),
    }
  }

  lent(lease: Lease, { stays }: Wanting): void {
    if (stays) {
      lease.pin(this.id)
      this.#isPinned = true
    }
    this.#last = lease.id
  }

  end(): void {
    this.#isOver = true
    this.conversation.end()
    for (const held of this.#held.values()) {
      held.pool.endSession(this.id)
      held.release()
    }
    this.#held.clear()
  }
}
