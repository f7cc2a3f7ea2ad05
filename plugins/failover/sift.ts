/** Which candidates may be asked now, and what keeps the others from it. */
import type { Failure, Upstream } from 'postern/plugin'
import type { Room } from './room.ts'
import type { Standing } from './rests.ts'

/** An upstream that is not asked, and what the client is told of it. */
export interface PassedBy {
  readonly upstream: Upstream
  readonly reason: string
  /** In ms. */
  readonly wait: number
  readonly isLimited: boolean
  /** False: its rest is over, and another exchange is trying it. */
  readonly isResting: boolean
}

export interface Sifted {
  /** Best fit to be asked; some of them may have to prove themselves. */
  readonly fit: readonly Upstream[]
  /** Those that rest for their health, or whose proof is under way. */
  readonly sick: readonly PassedBy[]
  /** Those whose limit is reached or whose credential was refused. */
  readonly resting: readonly PassedBy[]
}

/** What a client is told to wait where it is not known how long, in ms. */
const shortWait = 1000

const nobody: readonly PassedBy[] = []

/** Sorts out those that have failed already, and those that rest. */
export function sift(
  candidates: readonly Upstream[],
  failures: readonly Failure[],
  model: string | null,
  now: number,
  room: Room,
): Sifted {
  const isCalm = room.isCalm()
  if (isCalm && failures.length === 0) return { fit: candidates, sick: nobody, resting: nobody }
  const fit: Upstream[] = []
  const sick: PassedBy[] = []
  const resting: PassedBy[] = []
  for (const upstream of candidates) {
    // By name: it may have been offered anew since it failed.
    if (failures.some((failure) => failure.upstream.name === upstream.name)) continue
    if (isCalm) {
      fit.push(upstream)
      continue
    }
    const member = room.memberOf(upstream)
    const firm = member.firmRest(model, now)
    const rest = firm ?? member.rest(model, now)
    if (rest) {
      const wait = rest.until - now
      const reason = `is resting (${Math.ceil(wait / 1000)} s)`
      const passed = { upstream, reason, wait, isLimited: rest.kind === 'limit', isResting: true }
      if (firm) resting.push(passed)
      else sick.push(passed)
    } else if (mayProve(member.whole, upstream, null, now, room) && mayProveModel(upstream, model, now, room)) {
      fit.push(upstream)
    } else
      sick.push({
        upstream,
        reason: 'is being tried again',
        wait: shortWait,
        isLimited: false,
        isResting: false,
      })
  }
  return { fit, sick, resting }
}

/**
 * Whether so many rest for their health that the health is not to be believed: a fault on our own side, or a load that would
 * only fall on the few that are left. Then they are asked after all, behind the others.
 */
export function isPanic({ fit, sick, resting }: Sifted, { config }: Room): boolean {
  return sick.length > 0 && sick.length / (fit.length + sick.length + resting.length) > config.rests.max_resting_share
}

function mayProveModel(upstream: Upstream, model: string | null, now: number, room: Room): boolean {
  const standing = room.memberOf(upstream).known(model)
  return standing === null || mayProve(standing, upstream, model, now, room)
}

/** Whether nothing has to be proved, or nobody is at it and it is this process's turn. */
function mayProve(standing: Standing, upstream: Upstream, model: string | null, now: number, room: Room): boolean {
  if (!standing.isRecovering(now)) return true
  if (standing.isProving(now)) return false
  if (!room.together || standing.turn === 'granted') return true
  if (standing.turn === 'none' && standing.turnAgainAt <= now)
    room.together.askTurn(room.memberOf(upstream), model, standing)
  return false
}
