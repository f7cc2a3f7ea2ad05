/**
 * What was said in the turns of one socket, where it is stored nowhere: a connection that is lost takes an upstream's memory with
 * it, and the conversation can be begun anew with this one. Held are copies of the parts' own bytes, never the messages they stood in.
 */
import type { ReplayDialect, Said } from './provider.ts'

/**
 * The most bytes of one conversation. The system before this one remembered without a bound, and its memory grew with every long
 * context; 8 MiB is some two million tokens, more than any model takes.
 */
const longestConversation = 8 * 2 ** 20

/** Bytes that all conversations hold together. */
export class ReplayBudget {
  #used = 0

  get used(): number {
    return this.#used
  }

  /** False where there is no room for so many more. */
  take(bytes: number, limit: number): boolean {
    if (this.#used + bytes > limit) return false
    this.#used += bytes
    return true
  }

  giveBack(bytes: number): void {
    this.#used -= bytes
  }
}

interface Part {
  readonly bytes: Buffer
  /** The upstream that alone can read it; null: any. */
  readonly boundTo: string | null
}

export class Conversation {
  readonly #budget: ReplayBudget
  /** Up to the end of the response `#last`. */
  #parts: readonly Part[] = []
  #last: string | null = null
  #length = 0
  /** What the turn under way has added; null: none is, or it cannot be remembered. */
  #added: Part[] | null = null
  #addedLength = 0
  #goesOn = false
  #turn: { readonly replay: ReplayDialect; readonly upstream: string; readonly limit: number } | null = null

  constructor(budget: ReplayBudget) {
    this.#budget = budget
  }

  /** Whether it could be begun anew for a turn that goes on with this response. */
  knows(response: string): boolean {
    return this.#last === response
  }

  /** A message is sent that goes on with `response`, or with none. `limit`: bytes of all conversations. */
  asks(replay: ReplayDialect, message: Buffer, response: string | null, upstream: string, limit: number): void {
    this.#drop()
    this.#goesOn = response !== null
    this.#turn = { replay, upstream, limit }
    if (limit === 0 || (response !== null && !this.knows(response))) return
    this.#added = []
    this.#add({ bytes: replay.asked(message), isBound: false })
  }

  /** A message is sent of which nothing has to be remembered. */
  passes(): void {
    this.#drop()
    this.#turn = null
  }

  /** An event of the turn, before the client has it. */
  hears(event: Buffer): void {
    const turn = this.#turn
    if (turn === null) return
    const item = this.#added && turn.replay.item(event)
    if (item) return this.#add(item)
    const completed = turn.replay.completed(event)
    if (completed === null) return
    // Some tell each item in an event of its own, some only all of them at the end.
    if (this.#added?.length === 1) for (const one of completed.items()) this.#add(one)
    this.#turn = null
    if (this.#added === null) return this.#forget()
    this.#keep(completed.id)
  }

  /** The message with all that was said before it, for an upstream. */
  anew(replay: ReplayDialect, message: Buffer, upstream: string): Buffer {
    const parts = this.#parts.filter(({ boundTo }) => boundTo === null || boundTo === upstream)
    return replay.anew(
      message,
      parts.map(({ bytes }) => bytes),
    )
  }

  /** The socket is closed: nothing is remembered any more. */
  end(): void {
    this.#drop()
    this.#forget()
    this.#turn = null
  }

  #keep(response: string): void {
    const added = this.#added!
    if (!this.#goesOn) this.#forget()
    this.#parts = [...this.#parts, ...added]
    this.#length += this.#addedLength
    this.#last = response
    this.#added = null
    this.#addedLength = 0
  }

  #add({ bytes, isBound }: Said): void {
    if (this.#added === null) return
    const { upstream, limit } = this.#turn!
    const before = this.#goesOn ? this.#length : 0
    const isFit = before + this.#addedLength + bytes.length <= longestConversation
    if (!isFit || !this.#budget.take(bytes.length, limit)) return this.#drop()
    this.#addedLength += bytes.length
    this.#added.push({ bytes: Buffer.from(bytes), boundTo: isBound ? upstream : null })
  }

  #drop(): void {
    this.#budget.giveBack(this.#addedLength)
    this.#addedLength = 0
    this.#added = null
  }

  #forget(): void {
    this.#budget.giveBack(this.#length)
    this.#length = 0
    this.#parts = []
    this.#last = null
  }
}
