/** What is known of one credential, or of one model of it: its health, whether it rests, and whether it has to prove itself. */
import { Health } from './health.ts'

/**
 * Why something rests. A `limit` is the upstream's word and always respected; `refused` means that the credential was; `health`
 * is our own judgement, and given up where too many would rest by it.
 */
export type RestKind = 'limit' | 'refused' | 'health'

export interface Rest {
  readonly kind: RestKind
  /** In ms since 1970: processes tell each other. */
  readonly until: number
  /** For the log and the refusal; nothing that the upstream wrote. */
  readonly reason: string
}

/** After this long without another one the next failure counts as the first, in ms. */
const strikesLife = 600_000

/** After this long nothing has to be proved any more, in ms. */
const provingLife = 3_600_000

/** A rest cannot be told to be longer than this, in ms: the longest windows are weekly. */
export const longestRest = 7 * 86_400_000

export class Standing {
  readonly health = new Health()
  /** Everything that rests or recovers: empty, and nobody has to look. */
  readonly #marked: Set<Standing>
  #limit: Rest | null = null
  #refused: Rest | null = null
  #health: Rest | null = null
  /** Rests in a row. */
  #strikes = 0
  #struckAt = 0
  #isRecovering = false
  /** Who proves that it is well again: nobody yet, or one exchange until this moment at the latest. */
  #provedUntil = 0
  /** Whether this process has been allowed to; where processes share what they know they take turns. */
  turn: 'none' | 'asked' | 'granted' = 'none'
  /** When another process may be done, in ms since 1970. */
  turnAgainAt = 0

  constructor(marked: Set<Standing>) {
    this.#marked = marked
  }

  /** The rest that lasts longest, of those that count; null where it does not rest. */
  rest(now: number): Rest | null {
    let longest: Rest | null = null
    for (const rest of [this.#limit, this.#refused, this.#health])
      if (rest && rest.until > now && rest.until > (longest?.until ?? 0)) longest = rest
    return longest
  }

  /** The rest that is not given up in a panic. */
  firmRest(now: number): Rest | null {
    const limit = this.#limit && this.#limit.until > now ? this.#limit : null
    const refused = this.#refused && this.#refused.until > now ? this.#refused : null
    return limit && refused ? (limit.until > refused.until ? limit : refused) : (limit ?? refused)
  }

  /** A rest after an error is over, and no exchange has shown yet that it is well again. */
  isRecovering(now: number): boolean {
    return this.#isRecovering && (this.#health?.until ?? 0) <= now && (this.#refused?.until ?? 0) <= now
  }

  /** Rests are only ever extended. Returns by how many ms it was: 0 if not at all, Infinity where it did not rest before. */
  raise(rest: Rest, now: number): number {
    const before = this.#of(rest.kind)?.until ?? 0
    if (before >= rest.until) return 0
    if (rest.kind === 'limit') this.#limit = rest
    else if (rest.kind === 'refused') this.#refused = rest
    else this.#health = rest
    if (rest.kind !== 'limit') {
      this.#isRecovering = true
      // What was sent before now proves nothing.
      this.#struckAt = Math.max(this.#struckAt, now)
    }
    this.#provedUntil = 0
    this.#marked.add(this)
    return before <= now ? Number.POSITIVE_INFINITY : rest.until - before
  }

  /**
   * The `base` doubled for each rest in a row, up to `longest`. Failures of requests that were sent before the last rest began
   * are part of what caused it, and make nothing grow; null for those.
   */
  grown(base: number, longest: number, sentAt: number, now: number): number | null {
    if (this.#strikes > 0 && sentAt < this.#struckAt) return null
    if (now - this.#struckAt > strikesLife) this.#strikes = 0
    this.#strikes++
    this.#struckAt = now
    return Math.min(longest, base * 2 ** Math.min(this.#strikes - 1, 30))
  }

  /** It answered as it should to a request that was sent at this moment. */
  proved(sentAt: number): void {
    if (this.#strikes === 0 && !this.#isRecovering) return
    if (sentAt < this.#struckAt) return
    this.#strikes = 0
    this.well()
  }

  /** Nothing has to be proved any more. A rest that lasts goes on. */
  well(): void {
    this.#isRecovering = false
    this.endProof()
  }

  /** Somebody who knows better has ended its rests, whoever began them. */
  wake(): void {
    this.#limit = null
    this.#refused = null
    this.#health = null
    this.#strikes = 0
    this.health.forget()
    this.well()
    this.#marked.delete(this)
  }

  /** Whether an exchange that proves it is on its way. */
  isProving(now: number): boolean {
    return this.#provedUntil > now
  }

  beginProof(until: number): void {
    this.#provedUntil = until
  }

  endProof(): void {
    this.#provedUntil = 0
    this.turn = 'none'
  }

  /** Takes it off the list of the marked where nothing is left to mark. */
  forgetIfOver(now: number): void {
    if (this.rest(now)) return
    const over = Math.max(this.#health?.until ?? 0, this.#refused?.until ?? 0)
    // Nobody has asked it for so long that nobody will: it may be gone from gateway.yaml.
    if (this.#isRecovering && now - over < provingLife) return
    this.#isRecovering = false
    this.#marked.delete(this)
  }

  get isMarked(): boolean {
    return this.#marked.has(this)
  }

  #of(kind: RestKind): Rest | null {
    return kind === 'limit' ? this.#limit : kind === 'refused' ? this.#refused : this.#health
  }
}
