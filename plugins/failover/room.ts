/** What the hooks of one gateway have in common, and what they remember of an exchange. */
import type { ConfigOf, Log, Upstream } from 'postern/plugin'
import type { RetryBudget } from './budget.ts'
import type { config } from './config.ts'
import type { Member, Members } from './members.ts'
import type { FailoverMetrics } from './metrics.ts'
import type { Parts } from './rank.ts'
import type { Standing } from './rests.ts'
import type { Together } from './together.ts'

declare module 'postern/plugin' {
  interface Facts {
    /** What failover remembers of an exchange; nobody else's business. */
    asking: Asking
    /** Whom failover chose for each attempt, and why. Only there if a plugin reads it. */
    decision: readonly Decision[]
  }
}

/** The facts that it reads, and those that it writes. */
export type Read = 'claim' | 'model' | 'stream' | 'load' | 'pin' | 'session'
export type Written = 'asking' | 'decision'

/** One choice. */
export interface Decision {
  readonly upstream: string
  /** Null where it was not chosen by score. */
  readonly score: number | null
  readonly parts: Parts | null
  readonly reason: string
  /** Those that could have been asked, best first, the first of them where they are many; empty where no score decided. */
  readonly ranked: readonly Ranked[]
  /** Those that were not asked, each with the reason. */
  readonly passedOver: readonly string[]
}

/** One that could be asked, and the numbers that placed it. */
export interface Ranked {
  readonly upstream: string
  readonly priority: number
  readonly score: number
  /** The share of its slots that is taken; 1 and more is full. */
  readonly load: number
  /** Moving average of its errors, 0 to 1. */
  readonly errors: number
  /** Of the time to its first content, in ms; null: not known. */
  readonly pace: number | null
}

export interface Room {
  readonly config: ConfigOf<typeof config>
  readonly log: Log
  readonly metrics: FailoverMetrics
  readonly members: Members
  /** Whether nothing rests, or rests do not count: then nobody has to look. */
  readonly isCalm: () => boolean
  /** Found by the upstream itself: no text is made for each exchange. */
  readonly memberOf: (upstream: Upstream) => Member
  /** Null: retries are not limited. */
  readonly budget: RetryBudget | null
  /** Null where no other process shares the store. */
  readonly together: Together | null
  /** Sessions with reasoning in their history that their upstream could not read; bounded. */
  readonly unreadable: Set<string>
  /** Whether anybody reads the decisions. */
  readonly explains: boolean
}

export interface Asking {
  /** When the first upstream was chosen, in ms of the monotonic clock. */
  readonly since: number
  /** Among whom the latest choice was made. */
  candidates: readonly Upstream[]
  /** Who is asked once more. `isOnly`: although another one may have become free meanwhile. */
  again: { readonly upstream: Upstream; readonly isOnly: boolean } | null
  /** Whether reasoning that could not be read is taken out. */
  strips: boolean
  /** Whether its reasoning keeps it with the account that has it. */
  staysHome: boolean
  proof: Proof | null
  /** The end of the rest in spite of which it was chosen, in ms since 1970: Infinity for any that is for its health, 0 for none. */
  inSpiteOf: number
  /** Who has begun to answer. */
  served: Upstream | null
  /** When that one was asked, in ms of the monotonic clock. */
  sentAt: number
}

/** An exchange that shows whether an upstream is well again. */
export interface Proof {
  readonly upstream: Upstream
  readonly member: Member
  readonly standings: readonly { readonly standing: Standing; readonly model: string | null }[]
}

/** The proof is over; `isWell` says how it ended. */
export function endProof(room: Room, asking: Asking | null, isWell: boolean): void {
  const proof = asking?.proof
  if (!asking || !proof) return
  asking.proof = null
  for (const { standing, model } of proof.standings) {
    if (standing.turn === 'granted' && room.together) {
      if (isWell) room.together.tellWell(proof.member, model)
      else room.together.endTurn(proof.member, model)
    }
    standing.endProof()
  }
}

const mostSessions = 10_000

/** A client sends its history with every turn: what could not be read once cannot be read the next time either. */
export function rememberUnreadable({ unreadable }: Room, session: string | null): void {
  if (session === null || unreadable.has(session)) return
  const [oldest] = unreadable
  if (unreadable.size >= mostSessions && oldest !== undefined) unreadable.delete(oldest)
  unreadable.add(session)
}
