/** Who is asked first. Pure: what is known of each goes in, an order and its reasons come out. */

/** One upstream that could be asked, and what speaks for it. */
export interface Contender<U> {
  readonly upstream: U
  /** What the session is hashed with: stays the same for one credential. */
  readonly id: string
  /** Lower is asked first. */
  readonly priority: number
  /** The share of its slots that are taken; 1 and more: full. */
  readonly load: number
  /** Moving average of errors, 0 to 1. */
  readonly errors: number
  /** Moving average of the time to the first content in ms; null: not known. */
  readonly pace: number | null
  /** When it was asked last, in ms of any clock; 0: never. */
  readonly usedAt: number
  /** Asked only because too many are not: 1, one that another exchange is trying again; 2, one that rests for its health. */
  readonly illness: 0 | 1 | 2
  score: number
  /** Drawn; the least is the first. */
  lot: number
  parts: Parts | null
}

/** What a score is made of, each between 0 and its weight. */
export interface Parts {
  readonly load: number
  readonly errors: number
  readonly pace: number
  readonly idle: number
}

export interface Choice {
  /** The same session is drawn to the same upstreams; null: to any. */
  readonly session: string | null
  /** What the draw is seeded with where there is no session. */
  readonly entropy: number
  /** Among how many of the best the draw is made. */
  readonly chooseFrom: number
  /** Whether the parts of the scores are kept. */
  readonly explains: boolean
}

/** What the parts weigh. Idleness only tells apart those that are alike, and is no reason to take a session elsewhere. */
const weights = { load: 1, errors: 0.8, pace: 0.5, idle: 0.2 }

/**
 * How much a better score improves the chances: e to the power of this times the difference. One that always fails is drawn
 * eleven times less often than one that never does; equals are drawn equally often.
 */
const sharpness = 3

/**
 * Best first: those with free slots, then those that are asked in spite of their health, then the full ones; of these by
 * priority, and the best of the first priority in an order drawn by lot, weighted by score. Those behind them are in no order
 * of score: every attempt ranks anew, and asks the first.
 */
export function rank<U>(contenders: readonly Contender<U>[], choice: Choice): Contender<U>[] {
  score(contenders, choice)
  const [first] = contenders
  if (!first || contenders.length === 1) return [...contenders]
  let best = first
  for (const contender of contenders) if (byGroup(contender, best) < 0) best = contender
  const head: Contender<U>[] = []
  const alike: Contender<U>[] = []
  const tail: Contender<U>[] = []
  for (const contender of contenders) {
    if (byGroup(contender, best) > 0) tail.push(contender)
    else {
      insert(head, contender, (one, other) => one.score > other.score)
      if (head.length > choice.chooseFrom) alike.push(head.pop()!)
    }
  }
  // As a rule they come in the order of their priorities.
  if (tail.some((one, at) => at > 0 && byGroup(tail[at - 1]!, one) > 0)) tail.sort(byGroup)
  return [...draw(head, choice), ...alike, ...tail]
}

/** Into a list that is sorted already, and short. */
function insert<U>(
  sorted: Contender<U>[],
  contender: Contender<U>,
  isBefore: (one: Contender<U>, other: Contender<U>) => boolean,
): void {
  let at = sorted.length
  while (at > 0 && isBefore(contender, sorted[at - 1]!)) at--
  if (at === sorted.length) sorted.push(contender)
  else sorted.splice(at, 0, contender)
}

function score<U>(contenders: readonly Contender<U>[], { session, explains }: Choice): void {
  let bestPace = Number.POSITIVE_INFINITY
  let known = 0
  let sum = 0
  let newest = 0
  let oldest = Number.POSITIVE_INFINITY
  for (const { pace, usedAt } of contenders) {
    if (pace !== null && pace < bestPace) bestPace = pace
    if (usedAt > newest) newest = usedAt
    if (usedAt < oldest) oldest = usedAt
  }
  for (const { pace } of contenders) {
    if (pace === null) continue
    known++
    sum += paceShare(pace, bestPace)
  }
  // One that has not been seen yet counts as the average: neither shunned nor flooded.
  const unknownPace = known === 0 ? 1 : sum / known
  const span = newest - oldest
  for (const contender of contenders) {
    const load = weights.load * (1 - Math.min(Math.max(contender.load, 0), 1))
    const errors = weights.errors * (1 - contender.errors)
    const pace = weights.pace * (contender.pace === null ? unknownPace : paceShare(contender.pace, bestPace))
    const idle = session !== null || span <= 0 ? 0 : (weights.idle * (newest - contender.usedAt)) / span
    contender.score = load + errors + pace + idle
    contender.parts = explains ? { load, errors, pace, idle } : null
  }
}

/** In proportion, not by rank: 110 ms are hardly worse than 100 ms. */
function paceShare(pace: number, best: number): number {
  return pace <= 0 ? 1 : best / pace
}

/** 0: as it should be; 1 and 2: asked in spite of its health; 3: full. */
export function groupOf({ load, illness }: Contender<unknown>): number {
  return load >= 1 ? 3 : illness
}

function byGroup(one: Contender<unknown>, other: Contender<unknown>): number {
  return groupOf(one) - groupOf(other) || one.priority - other.priority
}

/** Errors or a slow start that a session should not have to live with while a peer is well. */
export function isFarWorse<U>(own: Contender<U>, all: readonly Contender<U>[]): boolean {
  return all.some((peer) => {
    if (peer === own || peer.illness > 0 || peer.load >= 1) return false
    if (own.errors > 0.4 && own.errors - peer.errors > 0.3) return true
    const isSlow = own.pace !== null && peer.pace !== null && own.pace > 3 * peer.pace && own.pace - peer.pace > 2000
    return isSlow && peer.errors - own.errors < 0.1
  })
}

/**
 * A weighted order without replacement (Efraimidis and Spirakis): each draws a lot of its own from session and id, so that one
 * that comes or goes moves no session but its own.
 */
function draw<U>(head: readonly Contender<U>[], { session, entropy }: Choice): readonly Contender<U>[] {
  if (head.length < 2) return head
  const best = head[0]!.score
  const seed = session === null ? entropy : fnv1a(session, offset)
  const drawn: Contender<U>[] = []
  for (const contender of head) {
    const weight = Math.exp(sharpness * (contender.score - best))
    contender.lot = -Math.log(uniform(fnv1a(contender.id, seed))) / weight
    insert(drawn, contender, (one, other) => one.lot < other.lot)
  }
  return drawn
}

const offset = 0x811c9dc5

/** FNV-1a of the text's UTF-16 units, 32 bits, going on from `seed`. */
export function fnv1a(text: string, seed: number): number {
  let hash = seed | 0
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

/** A number above 0 and at most 1, from a hash whose bits xorshift spreads. */
function uniform(hash: number): number {
  let bits = hash | 0 || offset
  for (let round = 0; round < 3; round++) {
    bits ^= bits << 13
    bits ^= bits >>> 17
    bits ^= bits << 5
    bits = Math.imul(bits, 0x2545f491)
  }
  return ((bits >>> 0) + 1) / 2 ** 32
}
