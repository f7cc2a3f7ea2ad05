/** Counts of the WebSockets of clients, for metrics: read when somebody looks. */

/** As `Claim.websocket` has them, and what is neither. */
export type SocketKind = 'turns' | 'session' | 'tunnel'

/** What a connection counts itself. */
export interface Counted {
  /** Messages that came from the client. */
  readonly heard: number
  /** Messages that were sent to it. */
  readonly said: number
}

export interface SocketTally {
  /** Open now. */
  open: number
  accepted: number
  heard: number
  said: number
}

export class SocketBook {
  /** Turns that have begun. */
  turns = 0
  readonly #ended: Readonly<Record<SocketKind, SocketTally>> = { turns: zero(), session: zero(), tunnel: zero() }
  readonly #open = new Map<Counted, SocketKind>()

  enter(kind: SocketKind, socket: Counted): void {
    this.#open.set(socket, kind)
    this.#ended[kind].accepted++
  }

  leave(socket: Counted): void {
    const kind = this.#open.get(socket)
    if (kind === undefined) return
    this.#open.delete(socket)
    add(this.#ended[kind], socket)
  }

  /** Of the process so far. */
  read(): Readonly<Record<SocketKind, SocketTally>> {
    const { turns, session, tunnel } = this.#ended
    const now = { turns: { ...turns }, session: { ...session }, tunnel: { ...tunnel } }
    for (const [socket, kind] of this.#open) {
      add(now[kind], socket)
      now[kind].open++
    }
    return now
  }
}

function zero(): SocketTally {
  return { open: 0, accepted: 0, heard: 0, said: 0 }
}

function add(tally: SocketTally, { heard, said }: Counted): void {
  tally.heard += heard
  tally.said += said
}
