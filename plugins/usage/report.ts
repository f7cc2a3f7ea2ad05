/** `/v1/usage`: what a caller has used and has left, by two statements at most. */
import { fromUnits, toUnits } from 'postern/access'
import type { Database, Log, Principal } from 'postern/plugin'
import { dayOf, recent, summarize, type Scope, type Sum, type Summary } from './summary.ts'
import type { Totals } from './totals.ts'

/** What is asked again within this time is answered with the same, in ms, as dashboards ask it. */
const freshFor = 15_000
const mostKept = 1024

/** The report of a caller, as it is sent. Rejects where nobody knows what the caller has left. */
export type Report = (principal: Principal) => Promise<object>

/** Reports from the database, or, without one, from what is counted here. */
export function reports(database: Database | null, totals: Totals | null, log: Log): Report {
  const kept = new Map<string, { readonly until: number; readonly usage: Promise<object | null> }>()

  /** Null: nobody knows. What is left is told without it. */
  async function usageOf(principal: Principal): Promise<object | null> {
    const now = Date.now()
    if (!database) return totals && usage(totals.of(principal.name || principal.id, now))
    const scope: Scope =
      principal.keyId === null ? { keyName: principal.name || principal.id } : { keyId: principal.keyId }
    const today = dayOf(now)
    try {
      return usage(await summarize(database.query, scope, { start: 0, end: today.end }, today, now))
    } catch (error) {
      log.warn({ err: error }, 'what was used could not be read')
      return null
    }
  }

  return async (principal) => {
    let known = kept.get(principal.id)
    if (!known || known.until < Date.now()) {
      kept.delete(principal.id)
      if (kept.size >= mostKept) kept.delete(kept.keys().next().value!)
      known = { until: Date.now() + freshFor, usage: usageOf(principal) }
      kept.set(principal.id, known)
    }
    const [left, used] = await Promise.all([remaining(database, principal), known.usage])
    if (used === null) kept.delete(principal.id)
    return { isValid: true, ...left, unit: 'USD', ...(used && { usage: used }) }
  }
}

interface Plan {
  balance: string | null
  group_name: string | null
  expires_at: Date | null
  [column: string]: unknown
}

const windows = ['daily', 'weekly', 'monthly'] as const
const lengths = { daily: '24 hours', weekly: '7 days', monthly: '30 days' }

/** A window that is over counts as empty, whether or not anybody has begun it anew. */
const windowColumns = windows
  .map(
    (name) => `
    CASE WHEN s.${name}_window_start > now() - interval '${lengths[name]}' THEN s.${name}_usage_usd ELSE 0 END AS ${name}_usage,
    coalesce(g.${name}_limit_usd, 0) AS ${name}_limit`,
  )
  .join(',')

async function remaining(database: Database | null, principal: Principal): Promise<object> {
  const { billing, userId, groupId, name } = principal
  if (!database || billing === 'none' || userId === null) return { planName: name, remaining: -1 }
  if (billing === 'balance') {
    const { rows } = await database.query<{ balance: string }>(
      'SELECT balance FROM users WHERE id = $1 AND deleted_at IS NULL',
      [userId],
    )
    const balance = dollars(toUnits(rows[0]?.balance ?? '0'))
    return { planName: '钱包余额', remaining: balance, balance }
  }
  const { rows } = await database.query<Plan>(
    `SELECT g.name AS group_name, s.expires_at, ${windowColumns}
     FROM user_subscriptions s JOIN groups g ON g.id = s.group_id
     WHERE s.user_id = $1 AND s.group_id = $2 AND s.deleted_at IS NULL`,
    [userId, groupId],
  )
  const [plan] = rows
  if (!plan) return { planName: principal.group ?? '', remaining: 0 }
  const amount = (column: string) => toUnits(String(plan[column]))
  const limited = windows.filter((window) => amount(`${window}_limit`) > 0n)
  const left = limited.map((window) => amount(`${window}_limit`) - amount(`${window}_usage`))
  const least = left.reduce<bigint | null>((one, other) => (one === null || other < one ? other : one), null)
  return {
    planName: plan.group_name,
    remaining: least === null ? -1 : dollars(least > 0n ? least : 0n),
    subscription: {
      ...Object.fromEntries(windows.map((window) => [`${window}_usage_usd`, dollars(amount(`${window}_usage`))])),
      ...Object.fromEntries(windows.map((window) => [`${window}_limit_usd`, dollars(amount(`${window}_limit`))])),
      expires_at: plan.expires_at?.toISOString() ?? null,
    },
  }
}

function usage({ today, range, averageDuration, recentRequests, recentTokens }: Summary): object {
  const minutes = recent / 60_000
  return {
    today: told(today),
    total: told(range),
    average_duration_ms: averageDuration,
    rpm: Math.floor(recentRequests / minutes),
    tpm: Math.floor(recentTokens / minutes),
  }
}

function told(sum: Sum): object {
  return {
    requests: sum.requests,
    input_tokens: sum.input,
    output_tokens: sum.output,
    cache_creation_tokens: sum.cacheCreation,
    cache_read_tokens: sum.cacheRead,
    total_tokens: sum.input + sum.output + sum.cacheCreation + sum.cacheRead,
    cost: dollars(sum.cost),
    actual_cost: dollars(sum.actualCost),
  }
}

/** For a JSON document whose readers expect a number: the only place where money becomes one, and nothing is reckoned with it. */
function dollars(units: bigint): number {
  return Number(fromUnits(units))
}
