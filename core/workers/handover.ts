/**
 * Connections on their way to a worker. node:cluster waits for each to be accepted, and for those of a worker that ends before that
 * it waits for ever, and so do their clients (Node 24.21): here they go to another worker. `workers.slow.ts` shows it.
 */
import type { ChildProcess } from 'node:child_process'

/** What cluster says to itself: a connection, by its number; and what became of it. */
interface Own {
  readonly cmd?: unknown
  readonly act?: unknown
  readonly seq?: unknown
  readonly ack?: unknown
}

export class Handover {
  readonly #child: ChildProcess
  /** Numbers of those that were sent and not accepted yet. */
  readonly #sent = new Set<unknown>()

  constructor(child: ChildProcess) {
    this.#child = child
    const send = child.send.bind(child) as (...given: unknown[]) => boolean // whichever of its forms is called
    child.send = (...given: unknown[]) => {
      const { cmd, act, seq } = given[0] as Own // whatever is sent is an object, here and in cluster
      if (cmd === 'NODE_CLUSTER' && act === 'newconn') this.#sent.add(seq)
      return send(...given)
    }
    child.on('internalMessage', ({ cmd, ack }: Own) => void (cmd === 'NODE_CLUSTER' && this.#sent.delete(ack)))
  }

  /** The worker has ended, and whatever it has said was heard. `toOthers`: there are such as can take them; else they are closed. */
  end(toOthers: boolean): void {
    for (const ack of this.#sent) this.#child.emit('internalMessage', { cmd: 'NODE_CLUSTER', ack, accepted: !toOthers })
    this.#sent.clear()
  }
}
