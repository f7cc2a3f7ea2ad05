/** What was used since the start, in memory: by day, key and model. For gateways without a database. */
import { toUnits } from 'postern/access'
import type { UsageRow } from './row.ts'
import { dayOf, recent, type Sum, type Summary } from './summary.ts'

/** Sums kept at most; the oldest go first. */
const mostSums = 10_000
/** Exchanges remembered for requests per minute, over all keys. */
const mostRecent = 10_000

const nothing: Sum = { requests: 0, input: 0, output: 0, cacheCreation: 0, cacheRead: 0, cost: 0n, actualCost: 0n }

interface Total {
  readonly day: number
  readonly key: string
  readonly model: string
  sum: Sum
  duration: number
}

export class Totals {
  readonly #sums = new Map<string, Total>()
  readonly #recent: { readonly at: number; readonly key: string; readonly tokens: number }[] = []

  add(row: UsageRow): void {
    const key = row.key_name ?? ''
    const day = dayOf(row.at).start
    const name = `${day}\n${key}\n${row.model}`
    let total = this.#sums.get(name)
    if (!total) this.#sums.set(name, (total = { day, key, model: row.model, sum: nothing, duration: 0 }))
    total.sum = plus(total.sum, sumOf(row))
    total.duration += row.duration_ms
    if (this.#sums.size > mostSums) this.#sums.delete(this.#sums.keys().next().value!)
    const tokens = row.input_tokens + row.output_tokens + row.cache_read_tokens + writtenBy(row)
    this.#recent.push({ at: row.at, key, tokens })
    const over = this.#recent.findIndex(({ at }) => at >= row.at - recent)
    if (over > 0 || this.#recent.length > mostRecent) this.#recent.splice(0, Math.max(over, 1))
  }

  /** Everything that is remembered of a key, in the shape in which the database tells it. */
  of(key: string, now: number): Summary {
    const today = dayOf(now).start
    let [all, ofToday, duration] = [nothing, nothing, 0]
    for (const total of this.#sums.values()) {
      if (total.key !== key) continue
      all = plus(all, total.sum)
      duration += total.duration
      if (total.day === today) ofToday = plus(ofToday, total.sum)
    }
    const latest = this.#recent.filter((one) => one.key === key && one.at >= now - recent)
    return {
      range: all,
      today: ofToday,
      averageDuration: all.requests === 0 ? 0 : duration / all.requests,
      recentRequests: latest.length,
      recentTokens: latest.reduce((sum, { tokens }) => sum + tokens, 0),
    }
  }
}

function sumOf(row: UsageRow): Sum {
  return {
    requests: 1,
    input: row.input_tokens,
    output: row.output_tokens,
    cacheCreation: writtenBy(row),
    cacheRead: row.cache_read_tokens,
    cost: toUnits(row.total_cost),
    actualCost: toUnits(row.actual_cost),
  }
}

function writtenBy(row: UsageRow): number {
  return row.cache_creation_5m_tokens + row.cache_creation_1h_tokens
}

function plus(one: Sum, other: Sum): Sum {
  return {
    requests: one.requests + other.requests,
    input: one.input + other.input,
    output: one.output + other.output,
    cacheCreation: one.cacheCreation + other.cacheCreation,
    cacheRead: one.cacheRead + other.cacheRead,
    cost: one.cost + other.cost,
    actualCost: one.actualCost + other.actualCost,
  }
}
