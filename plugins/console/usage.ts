/** What was used, by day, key and model: from the database where there is one, else what this process has seen. */
import { redactText, type Database } from 'postern/plugin'
import type { Ended } from './notes.ts'

/** One day's use of a model by a key. Days are UTC. */
export interface Use {
  readonly day: string
  readonly key: string
  readonly model: string
  requests: number
  input: number
  output: number
  cache: number
  /** In USD, as a decimal number; null where nobody knows the prices. */
  readonly cost: string | null
}

/** Sums kept at most; the oldest go first. */
const mostSums = 5000

/** Counts in memory; one per process. */
export class Uses {
  readonly #sums = new Map<string, Use>()
  /** The latest day, spelt once: that costs more than all the rest. */
  #number = 0
  #day = ''

  add({ at, principal, model, usage }: Ended): void {
    if (usage === null || model === null) return
    const number = Math.floor(at / dayLength)
    if (number !== this.#number) [this.#number, this.#day] = [number, dayOf(at)]
    const day = this.#day
    const key = principal ?? ''
    const name = `${day}\n${key}\n${model}`
    let sum = this.#sums.get(name)
    if (!sum) {
      const [oldest] = this.#sums.keys()
      if (this.#sums.size >= mostSums && oldest !== undefined) this.#sums.delete(oldest)
      this.#sums.set(name, (sum = { day, key, model, requests: 0, input: 0, output: 0, cache: 0, cost: null }))
    }
    sum.requests++
    sum.input += usage.input
    sum.output += usage.output
    sum.cache += usage.cacheRead + usage.cacheWrite
  }

  since(day: string): Use[] {
    return [...this.#sums.values()].filter((sum) => sum.day >= day)
  }
}

/** What the page is told: the last `days` days, today included. Rejects where the database does not answer. */
export async function usageTold(uses: Uses, database: Database | null, days: number, now: number): Promise<object> {
  const first = dayOf(now - (days - 1) * dayLength)
  const billed = database ? await billedSince(database, first) : []
  const rows = billed.length > 0 ? billed : uses.since(first)
  return {
    source: billed.length > 0 ? 'database' : 'memory',
    days: Array.from({ length: days }, (_, at) => dayOf(now - (days - 1 - at) * dayLength)),
    rows: rows.map((row) => ({ ...row, key: redactText(row.key), model: redactText(row.model) })),
  }
}

/** The widest answer, in rows: those with the most requests. */
const mostRows = 2000

interface Row {
  day: string
  key: string | null
  model: string
  requests: string
  input: string
  output: string
  cache: string
  cost: string
  [column: string]: unknown
}

async function billedSince(database: Database, day: string): Promise<Use[]> {
  const { rows } = await database.query<Row>(
    `SELECT to_char(u.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, coalesce(k.name, u.key_name) AS key, u.model,
       count(*) AS requests, sum(u.input_tokens) AS input, sum(u.output_tokens) AS output,
       sum(u.cache_creation_tokens + u.cache_read_tokens) AS cache, sum(u.actual_cost) AS cost
     FROM usage_logs u LEFT JOIN api_keys k ON k.id = u.api_key_id
     WHERE u.created_at >= ($1::date)::timestamp AT TIME ZONE 'UTC'
     GROUP BY 1, 2, 3 ORDER BY requests DESC LIMIT ${mostRows}`,
    [day],
  )
  return rows.map((row) => ({
    day: row.day,
    key: row.key ?? '',
    model: row.model,
    requests: Number(row.requests),
    input: Number(row.input),
    output: Number(row.output),
    cache: Number(row.cache),
    cost: row.cost,
  }))
}

const dayLength = 86_400_000

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}
