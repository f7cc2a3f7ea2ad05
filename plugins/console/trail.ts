/** The decision trail: what happened to the last exchanges, and to those under way. In memory, bounded, without bodies. */
import type { Exchange, PassedOver, Result, Said, Speaker, Upstream } from 'postern/plugin'
import type { Usage } from 'postern/provider'

declare module 'postern/plugin' {
  interface Facts {
    /** What the console notes of an exchange; nobody else's business. */
    console_notes: Notes
  }
}

export type Read =
  | 'provider'
  | 'claim'
  | 'model'
  | 'stream'
  | 'principal'
  | 'session'
  | 'pin'
  | 'usage'
  | 'decision'
  | 'slots'
export type Asked = Exchange<Read, 'console_notes'>

/** What failover has said of a choice. */
export type Choice = NonNullable<Asked['facts']['decision']>[number]

/** An upstream that was asked, or was about to be. Times in ms since the exchange began. */
export interface Turn {
  /** The first of them, by name, and how many there were. */
  readonly candidates: readonly string[]
  readonly considered: number
  readonly rankedAt: number
  /** Null where the choice came to nothing. */
  upstream: string | null
  askedAt: number
  /** Those that were passed over for it. */
  passedOver: readonly Passed[]
  choice: Choice | null
  /** Null where it was given up before it was sent, or is still under way. */
  outcome: Outcome | null
}

export interface Outcome {
  readonly status: number | null
  readonly error: string | null
  readonly judgement: Result['judgement']
  /** From the sending to the first content, or to the error, in ms. */
  readonly ms: number
  readonly endedAt: number
}

export interface Passed {
  readonly upstream: string
  readonly reason: string
  readonly wait: number | null
  readonly isLimited: boolean
  /** The plugin that would not have it asked. */
  readonly by: string | null
}

/** Of an exchange under way. */
export interface Notes {
  /** Counts the exchanges of this process: clients may send one id twice. */
  readonly number: number
  readonly exchange: Asked
  /** In ms since 1970, and of the monotonic clock. */
  readonly at: number
  readonly startedAt: number
  readonly turns: Turn[]
  /** Since the beginning, in ms; null until there is an answer. */
  answeredAt: number | null
  isMadeHere: boolean
  /** Where it is in the list of those under way; -1 where that was full. */
  place: number
}

/** Of one that has ended. Texts as they came: whoever shows them redacts them first. */
export interface Ended {
  readonly number: number
  readonly id: string
  readonly kind: Asked['kind']
  readonly at: number
  readonly method: string
  readonly path: string
  readonly client: string
  readonly provider: string | null
  readonly operation: string | null
  readonly model: string | null
  readonly isStream: boolean | null
  readonly principal: string | null
  readonly session: string | null
  readonly pin: string | null
  readonly upstream: string | null
  readonly status: number
  readonly error: Error | null
  readonly usage: Usage | null
  readonly turns: readonly Turn[]
  readonly passedOver: readonly Passed[]
  readonly isMadeHere: boolean
  /** The plugin that answered in place of an upstream. */
  readonly answeredBy: Speaker | null
  readonly said: readonly Said[]
  /** When the phases before the first ranking were over, in ms since the beginning; null where it did not come so far. */
  readonly checkedAt: number | null
  readonly readAt: number | null
  readonly informedAt: number | null
  /** How long it has waited for slots, in ms. */
  readonly waited: number
  readonly answeredAt: number | null
  /** Until its end, or until now. */
  readonly ms: number
}

/** Exchanges under way that are listed at most. */
const mostLive = 4096
/** Rankings that are kept of one exchange. */
const mostTurns = 16
/** Names that are kept of one ranking, and of those that were passed over. */
const mostNames = 32

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

/** What is shown of an exchange, under way or not. */
export function endedOf({ number, exchange, at, startedAt, turns, answeredAt, isMadeHere }: Notes): Ended {
  const { facts, upstream } = exchange
  return {
    number,
    id: exchange.id,
    kind: exchange.kind,
    at,
    method: exchange.method,
    path: exchange.path,
    client: exchange.client,
    provider: facts.provider?.name ?? null,
    operation: facts.claim?.operation ?? null,
    model: facts.model,
    isStream: facts.stream,
    principal: facts.principal?.name ?? null,
    session: facts.session,
    pin: facts.pin?.upstream ?? null,
    upstream: upstream?.name ?? null,
    status: exchange.status,
    error: exchange.error,
    usage: facts.usage,
    turns,
    passedOver: passedOf(exchange),
    isMadeHere,
    answeredBy: exchange.answeredBy,
    said: exchange.said,
    checkedAt: since(exchange.checkedAt, startedAt),
    readAt: since(exchange.readAt, startedAt),
    informedAt: since(exchange.informedAt, startedAt),
    waited: facts.slots?.waited ?? 0,
    answeredAt,
    ms: performance.now() - startedAt,
  }
}

function since(at: number, startedAt: number): number | null {
  return at === 0 ? null : at - startedAt
}

function passedOf({ passedOver }: Pick<Asked, 'passedOver'>): readonly Passed[] {
  if (passedOver.length === 0) return none
  return passedOver.slice(0, mostNames).map(nameOf)
}

function nameOf({ upstream, reason, wait, isLimited, by }: PassedOver): Passed {
  return { upstream: upstream.name, reason, wait, isLimited, by }
}
