/** The decision trail: what happened to the last exchanges, and to those under way. In memory, bounded, without bodies. */
import type { Result, Upstream } from 'postern/plugin'
import { endedOf, mostNames, passedOf, type Asked, type Ended, type Notes } from './notes.ts'

/** Exchanges under way that are listed at most. */
const mostLive = 4096
/** Rankings that are kept of one exchange. */
const mostTurns = 16

const none: readonly never[] = Object.freeze([])

/** One per process. */
export class Trail {
  readonly live: Notes[] = []
  /** Told of every change; null while nobody looks. */
  changed: ((one: Notes | Ended) => void) | null = null
  #ring: Ended[] = []
  #next = 0
  #keep: number
  #count = 0
  /** The latest candidates and their names: the gateway's lists are the same for many exchanges. */
  #listed: readonly Upstream[] = none
  #names: readonly string[] = none

  constructor(keep: number) {
    this.#keep = keep
  }

  /** Keeps as many from now on; the newest stay. */
  limitTo(keep: number): void {
    if (keep === this.#keep) return
    this.#ring = this.newest(keep).reverse()
    this.#next = this.#ring.length % keep
    this.#keep = keep
  }

  /** The notes of an exchange, begun where there are none. A turn of a WebSocket has inherited those of its session. */
  notesOf(exchange: Asked): Notes {
    const known = exchange.facts.console_notes
    return known !== null && known.exchange === exchange ? known : this.#begin(exchange)
  }

  #begin(exchange: Asked): Notes {
    const notes: Notes = {
      number: ++this.#count,
      exchange,
      at: Date.now(),
      startedAt: performance.now(),
      turns: [],
      answeredAt: null,
      isMadeHere: false,
      place: -1,
    }
    if (this.live.length < mostLive) notes.place = this.live.push(notes) - 1
    exchange.facts.console_notes = notes
    this.changed?.(notes)
    return notes
  }

  ranked(exchange: Asked, candidates: readonly Upstream[]): void {
    const { turns, startedAt } = this.notesOf(exchange)
    if (turns.length === mostTurns) return
    turns.push({
      candidates: this.#namesOf(candidates),
      considered: candidates.length,
      rankedAt: performance.now() - startedAt,
      upstream: null,
      askedAt: 0,
      passedOver: none,
      choice: null,
      outcome: null,
    })
  }

  chosen(exchange: Asked): void {
    const notes = this.notesOf(exchange)
    const turn = notes.turns.at(-1)
    if (!turn || turn.upstream !== null) return
    turn.upstream = exchange.upstream?.name ?? null
    turn.askedAt = performance.now() - notes.startedAt
    turn.passedOver = passedOf(exchange)
    const { decision } = exchange.facts
    // Not every choice is told; the latest may be of the turn before.
    const latest = decision?.at(-1) ?? null
    if (latest?.upstream === turn.upstream && notes.turns.every(({ choice }) => choice !== latest)) turn.choice = latest
    this.changed?.(notes)
  }

  told(exchange: Asked, result: Result): void {
    const notes = this.notesOf(exchange)
    const turn = notes.turns.at(-1)
    // Beyond the turns that are kept there is none for it.
    if (!turn || turn.outcome !== null || turn.upstream !== exchange.upstream?.name) return
    const isAnswer = result.kind === 'response'
    turn.outcome = {
      status: isAnswer ? result.status : null,
      error: isAnswer ? null : (result.error.code ?? result.error.name),
      judgement: result.judgement,
      ms: result.ms,
      endedAt: performance.now() - notes.startedAt,
    }
    this.changed?.(notes)
  }

  answered(exchange: Asked, isMadeHere: boolean): void {
    const notes = this.notesOf(exchange)
    notes.answeredAt = performance.now() - notes.startedAt
    notes.isMadeHere = isMadeHere
    this.changed?.(notes)
  }

  /** The exchange is over, and nothing of it but what is kept here is held any longer. */
  ended(exchange: Asked): Ended {
    const notes = this.notesOf(exchange)
    this.#leave(notes)
    const ended = endedOf(notes)
    if (this.#ring.length < this.#keep) this.#ring.push(ended)
    else this.#ring[this.#next] = ended
    this.#next = (this.#next + 1) % this.#keep
    this.changed?.(ended)
    return ended
  }

  /** Those that have ended, the newest first. */
  newest(most: number): Ended[] {
    const found: Ended[] = []
    for (let back = 1; back <= this.#ring.length && found.length < most; back++) {
      // Before the ring is full, `next` is its length or 0.
      found.push(this.#ring.at((this.#next - back) % this.#ring.length)!)
    }
    return found
  }

  /** The latest exchange whose id is the one asked for, by what it says of it. */
  find(isAsked: (id: string) => boolean): Notes | Ended | null {
    return (
      this.live.findLast(({ exchange }) => isAsked(exchange.id)) ??
      this.newest(this.#keep).find(({ id }) => isAsked(id)) ??
      null
    )
  }

  #leave(notes: Notes): void {
    if (notes.place < 0) return
    // The last one takes its place.
    const last = this.live.pop()!
    if (last !== notes) {
      this.live[notes.place] = last
      last.place = notes.place
    }
    notes.place = -1
  }

  #namesOf(candidates: readonly Upstream[]): readonly string[] {
    if (this.#listed === candidates) return this.#names
    this.#listed = candidates
    this.#names = candidates.slice(0, mostNames).map(({ name }) => name)
    return this.#names
  }
}
