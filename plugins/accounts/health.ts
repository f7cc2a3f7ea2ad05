/** What a result says of an account, for the database. Pure. */
import { redactText, type Result } from 'postern/plugin'
import type { Account } from './roster.ts'
import { ruleFor } from './rules.ts'

/** What is to be written of one account. Moments are in ms since 1970. */
export interface Change {
  /** When the request left: what an operator has said since counts more. */
  readonly sentAt: number
  /** Its credential was refused; `sealed` says which one that was. */
  readonly refused?: { readonly message: string; readonly sealed: Buffer | null }
  readonly limitedUntil?: number
  readonly overloadedUntil?: number
  readonly paused?: { readonly until: number; readonly reason: string }
  readonly modelLimits?: ReadonlyMap<string, number>
}

export interface HealthOptions {
  readonly refused: readonly number[]
  /** Durations in ms. */
  readonly limit: number
  readonly overload: number
  readonly overload_longest: number
}

/** So much of an upstream's own words is kept, in characters. */
const mostWords = 500
const longestModel = 200
/** Of an account, limits on so many models are known at most: those that last longest. */
export const mostModels = 200
/** A key that is good, but not for this: OpenAI's restricted keys and Anthropic's workspaces answer so. */
const onlyThis = /missing scopes|insufficient permissions|permission_error|does not have access to model/i
const isDisabled = /organization has been disabled/i

/** Null where it says nothing that others should know. `now` in ms since 1970. */
export function changeOf(
  result: Result,
  account: Account,
  model: string | null,
  options: HealthOptions,
  now: number,
): Change | null {
  const told = toldBy(result, account, model, options, now)
  return told && { sentAt: now - result.ms, ...told }
}

function toldBy(
  result: Result,
  account: Account,
  model: string | null,
  options: HealthOptions,
  now: number,
): Omit<Change, 'sentAt'> | null {
  if (result.kind !== 'response' || result.status < 400) return null
  const { status, body, judgement } = result
  // The client's own credential was passed on: what is wrong with it says nothing of the account.
  const isOurs = account.upstream.key !== null
  const rule = ruleFor(account.rules, status, body)
  if (rule) {
    const reason = [`${status}`, rule.description].filter(Boolean).join(' ')
    return { paused: { until: now + rule.duration, reason } }
  }
  const told = typeof judgement === 'object' ? judgement : null
  const rest = told && told.rest * 1000
  if (isOurs && isRefused(status, body, options.refused))
    return { refused: { message: messageOf(status, body), sealed: account.sealed } }
  if (status === 529) return { overloadedUntil: now + Math.min(rest ?? options.overload, options.overload_longest) }
  if (status !== 429 || !isOurs) return null
  const until = now + (rest ?? options.limit)
  const isNarrow = told?.scope === 'model' && model !== null && isWritable(model)
  return isNarrow ? { modelLimits: new Map([[model, until]]) } : { limitedUntil: until }
}

function isRefused(status: number, body: Buffer | null, statuses: readonly number[]): boolean {
  const text = body?.toString('utf8', 0, 4096) ?? ''
  if (status === 400) return isDisabled.test(text)
  return statuses.includes(status) && !onlyThis.test(text)
}

/** Clients choose the names of models, and PostgreSQL's texts hold no NUL. */
function isWritable(model: string): boolean {
  return model.length <= longestModel && !model.includes('\0')
}

/** Upstreams like to repeat the key. */
function messageOf(status: number, body: Buffer | null): string {
  const text = body?.toString('utf8', 0, 4096) ?? ''
  const said = /"message"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1] ?? text
  return `${status} ${redactText(said).replaceAll('\0', '')}`.trim().slice(0, mostWords)
}

/** Both in one: what rests is only ever extended. */
export function merged(one: Change, other: Change): Change {
  const limits = new Map(one.modelLimits)
  for (const [model, until] of other.modelLimits ?? []) limits.set(model, Math.max(until, limits.get(model) ?? 0))
  const paused = (other.paused?.until ?? 0) > (one.paused?.until ?? 0) ? other.paused : one.paused
  return {
    sentAt: Math.min(one.sentAt, other.sentAt),
    refused: other.refused ?? one.refused,
    limitedUntil: later(one.limitedUntil, other.limitedUntil),
    overloadedUntil: later(one.overloadedUntil, other.overloadedUntil),
    paused,
    modelLimits: limits.size > 0 ? longestOf(limits) : undefined,
  }
}

function longestOf(limits: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  if (limits.size <= mostModels) return limits
  return new Map([...limits].toSorted(([, one], [, other]) => other - one).slice(0, mostModels))
}

function later(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.max(one, other)
}
