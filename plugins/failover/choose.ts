/** Who is asked next, in which order, and why. */
import { shortlist, type Exchange, type Fact, type Upstream } from 'postern/plugin'
import { groupOf, isFarWorse, rank, type Contender } from './rank.ts'
import { isAccountBound } from './reasoning.ts'
import { endProof, type Asking, type Decision, type Ranked, type Read, type Room, type Written } from './room.ts'
import { isPanic, sift } from './sift.ts'

type Asks = Exchange<Read & Fact, Written & Fact>

/** How long one exchange may take to prove an upstream well, in ms; nobody else tries it meanwhile. */
const proofLife = 60_000

/** The candidates, best first. Who is left out is passed over with the reason. */
export function choose(exchange: Asks, asking: Asking, candidates: readonly Upstream[], room: Room) {
  endProof(room, asking, false)
  asking.candidates = candidates
  asking.inSpiteOf = 0
  const { facts, failures } = exchange
  const isPlain = candidates.length < 2 && failures.length === 0 && facts.pin === null
  if (isPlain && room.isCalm() && !room.explains) return candidates

  // Where there are very many, some are as good as all of them, as long as one of them can be asked.
  const some = shortlist(candidates, facts.session ?? exchange.id)
  const order = chooseAmong(exchange, asking, some, room)
  if (order.length > 0 || some === candidates) return order
  // Each is looked at several times now: of a list that answers for a copy, that copy is made once.
  return chooseAmong(exchange, asking, [...candidates], room)
}

function chooseAmong(exchange: Asks, asking: Asking, candidates: readonly Upstream[], room: Room) {
  const { facts, failures } = exchange
  const now = Date.now()
  const sifted = sift(candidates, failures, facts.model, now, room)
  const home = homeOf(exchange, asking.candidates, room)
  asking.staysHome = home !== null
  if (home !== null && asking.again === null) return atHome(exchange, asking, home, room)
  const panic = isPanic(sifted, room)
  for (const { upstream, reason, wait, isLimited } of sifted.resting)
    exchange.passOver(upstream, reason, { wait, isLimited })
  if (!panic) for (const { upstream, reason, wait } of sifted.sick) exchange.passOver(upstream, reason, { wait })
  const { again } = asking
  const once = again && candidates.find(({ name }) => name === again.upstream.name)
  // A limit may have been reached while this exchange waited.
  const isFit = once && !room.memberOf(once).firmRest(facts.model, now)
  if (isFit && (again.isOnly || sifted.fit.length === 0)) {
    asking.inSpiteOf = again.isOnly ? Infinity : (room.memberOf(once).rest(facts.model, now)?.until ?? 0)
    if (room.explains)
      decide(exchange, { upstream: once.name, score: null, parts: null, reason: 'asked once more', ranked: [] })
    return [once]
  }

  const contenders = sifted.fit.map((upstream) => contenderOf(exchange, upstream, 0, now, room))
  if (panic)
    for (const { upstream, isResting } of sifted.sick)
      contenders.push(contenderOf(exchange, upstream, isResting ? 2 : 1, now, room))
  const ranked = rank(contenders, {
    session: facts.session,
    entropy: nextEntropy(),
    chooseFrom: room.config.choose_from,
    explains: room.explains,
  })
  const why = toTheFront(ranked, facts.pin?.upstream ?? null, candidates, now, room)
  const [first] = ranked
  if (!first) return []
  if (first.illness > 0) asking.inSpiteOf = room.memberOf(first.upstream).rest(facts.model, now)?.until ?? 0
  if (room.explains) {
    const reason = first.illness > 0 ? 'too many rest' : why
    const { upstream, score, parts } = first
    decide(exchange, {
      upstream: upstream.name,
      score,
      parts,
      reason,
      ranked: ranked.slice(0, mostRanked).map(rankedOf),
    })
  }
  return room.isCalm() ? ranked.map(({ upstream }) => upstream) : proving(exchange, asking, ranked, now, room)
}

function contenderOf(
  { facts }: Asks,
  upstream: Upstream,
  illness: 0 | 1 | 2,
  now: number,
  room: Room,
): Contender<Upstream> {
  const member = room.memberOf(upstream)
  const own = member.known(facts.model)
  const errors = member.whole.health.errors(now)
  return {
    upstream,
    id: member.id,
    priority: upstream.priority,
    load: facts.load?.get(upstream) ?? 0,
    errors: own ? Math.max(errors, own.health.errors(now)) : errors,
    pace: (own ?? member.whole).health.pace(facts.stream === true, now),
    usedAt: member.usedAt,
    illness,
    score: 0,
    lot: 0,
    parts: null,
  }
}

/** The one upstream that will do, by name; null where others will. */
function homeOf({ facts, failures, body }: Asks, candidates: readonly Upstream[], { config }: Room): string | null {
  if (facts.pin?.isHard) return facts.pin.upstream
  if (config.encrypted_reasoning !== 'stay') return null
  const home = facts.pin?.upstream ?? failures[0]?.upstream.name ?? null
  // Where its account is gone for good, there is nothing to stay for.
  return home !== null && candidates.some(({ name }) => name === home) && isAccountBound(body) ? home : null
}

/** Only one will do. Why it cannot be asked is what the client is told; the others are no way out. */
function atHome(exchange: Asks, asking: Asking, home: string, room: Room) {
  const { candidates } = asking
  const upstream = candidates.find(({ name }) => name === home)
  const own = upstream ? [upstream] : []
  const { resting } = sift(own, exchange.failures, exchange.facts.model, Date.now(), room)
  // Its own health is no reason to give up what nobody else can do.
  const rest = resting.find((one) => one.upstream === upstream) ?? null
  const hasFailed = exchange.failures.some((failure) => failure.upstream.name === home)
  if (upstream && !rest && !hasFailed) {
    asking.inSpiteOf = Infinity
    return [upstream]
  }
  const isLimited = rest?.isLimited ?? false
  for (const one of candidates) {
    if (one === upstream && rest) exchange.passOver(one, rest.reason, { wait: rest.wait, isLimited })
    else if (one !== upstream) exchange.passOver(one, `does not hold this conversation, ${home} does`, { isLimited })
  }
  return []
}

/**
 * Puts the session's own upstream before its equals: those of its priority that are as free as it is. Where the plugin that pins
 * has put it before all others, before better priorities too. Not if it does far worse. Says why the first one is the first.
 */
function toTheFront(
  ranked: Contender<Upstream>[],
  pinned: string | null,
  candidates: readonly Upstream[],
  now: number,
  room: Room,
): string {
  if (pinned === null) return ranked.length === 1 ? 'the only one' : 'drawn by score'
  const at = ranked.findIndex(({ upstream }) => upstream.name === pinned)
  const own = ranked[at]
  if (!own || own.illness > 0) return `${pinned} cannot be asked`
  const results = room.memberOf(own.upstream).whole.health.results(now)
  if (results >= 3 && isFarWorse(own, ranked)) return `${pinned} does far worse than others`
  const isAbove = candidates[0] === own.upstream
  const place = ranked.findIndex((one) => groupOf(one) === groupOf(own) && (isAbove || one.priority >= own.priority))
  ranked.splice(at, 1)
  ranked.splice(place, 0, own)
  if (place === 0) return "the session's own"
  return own.load >= 1 ? `${pinned} is full` : `${pinned} comes after better priorities`
}

/** The first one, if it has to prove itself, is tried by this exchange; the others that have to are left for another. */
function proving(exchange: Asks, asking: Asking, ranked: Contender<Upstream>[], now: number, room: Room): Upstream[] {
  const order: Upstream[] = []
  for (const { upstream, illness } of ranked) {
    const member = room.memberOf(upstream)
    const { model } = exchange.facts
    const own = member.known(model)
    const standings = []
    if (member.whole.isRecovering(now)) standings.push({ standing: member.whole, model: null })
    if (own?.isRecovering(now)) standings.push({ standing: own, model })
    if (standings.length === 0 || illness > 0) order.push(upstream)
    else if (order.length === 0) {
      for (const { standing } of standings) standing.beginProof(now + proofLife)
      asking.proof = { upstream, member, standings }
      order.push(upstream)
    } else exchange.passOver(upstream, 'is being tried again', { wait: 1000 })
  }
  return order
}

function decide(exchange: Asks, decision: Omit<Decision, 'passedOver'>): void {
  const passedOver = [...new Set(exchange.passedOver.map(({ upstream, reason }) => `${upstream.name} ${reason}`))]
  exchange.facts.decision = [...(exchange.facts.decision ?? []), { ...decision, passedOver }]
}

/** Those whose numbers are told of one choice. */
const mostRanked = 16

function rankedOf({ upstream, priority, score, load, errors, pace }: Contender<Upstream>): Ranked {
  return { upstream: upstream.name, priority, score, load, errors, pace }
}

let entropy = Date.now() | 0

/** Another number for each exchange without a session. */
function nextEntropy(): number {
  return (entropy = (entropy + 0x9e3779b9) | 0)
}
