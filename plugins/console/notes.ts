/** What the console notes of one exchange: while it is under way, and when it has ended. */
import type { Exchange, PassedOver, Result, Said, Speaker } from 'postern/plugin'
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

/** Names that are kept of one ranking, and of those that were passed over. */
export const mostNames = 32

const none: readonly never[] = Object.freeze([])

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

export function passedOf({ passedOver }: Pick<Asked, 'passedOver'>): readonly Passed[] {
  if (passedOver.length === 0) return none
  return passedOver.slice(0, mostNames).map(nameOf)
}

function nameOf({ upstream, reason, wait, isLimited, by }: PassedOver): Passed {
  return { upstream: upstream.name, reason, wait, isLimited, by }
}
