/** One served exchange as it is written down. */
import { hash, randomBytes } from 'node:crypto'
import { fromUnits, type Principal } from 'postern/access'
import type { Exchange } from 'postern/plugin'
import { jsonField, type Usage } from 'postern/provider'
import { charged, costOf, multiplierOf, multiplierText, type Tokens } from './cost.ts'
import { outcomeOf, type Outcome, type UsageSource } from './ending.ts'
import type { Meter } from './meter.ts'
import type { PriceTable } from './prices.ts'

/** Costs are decimal numbers as text, in USD. All of it can travel as JSON. */
export interface UsageRow {
  /** Its own, made here: no client and no upstream can choose it. */
  readonly id: string
  /** Under which name it is billed once: the upstream's, else its own. */
  readonly request_id: string
  /** When it ended, in ms since the epoch. */
  readonly at: number
  readonly user_id: number | null
  /** 0: the key is none of the database's. */
  readonly api_key_id: number
  readonly group_id: number | null
  readonly account_id: number | null
  readonly key_name: string | null
  readonly upstream: string
  readonly provider: string
  /** As the client asked for it. */
  readonly model: string
  /** As the upstream calls what has answered; null where it does not say. */
  readonly served_model: string | null
  /** The entry of the table of prices; null: nobody knows what it costs. */
  readonly priced_as: string | null
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_read_tokens: number
  readonly cache_creation_5m_tokens: number
  readonly cache_creation_1h_tokens: number
  readonly input_cost: string
  readonly output_cost: string
  readonly cache_read_cost: string
  readonly cache_creation_cost: string
  readonly total_cost: string
  readonly actual_cost: string
  readonly rate_multiplier: string
  readonly billing: Principal['billing']
  readonly stream: boolean
  readonly outcome: Outcome
  readonly usage_source: UsageSource
  readonly status_code: number
  readonly duration_ms: number
  readonly first_token_ms: number | null
  readonly user_agent: string | null
  readonly ip_address: string | null
}

/** Upstreams from the database are called `account:17`, unless somebody wants them to be called otherwise. */
function accountIn(upstream: string): number | null {
  const [, id] = /^account:(\d{1,15})$/.exec(upstream) ?? []
  return id === undefined ? null : Number(id)
}

type Seen = Exchange<'provider' | 'claim' | 'model' | 'principal' | 'usage', 'usage_meter'>

/** What an exchange has come to, with the tokens as they are known now. */
export function rowOf(exchange: Seen, meter: Meter, usage: Usage | null, prices: PriceTable, id: string): UsageRow {
  const { facts, upstream, client, headers, error } = exchange
  const { principal } = facts
  const head = meter.head
  const served = head && textIn(head, modelFields)
  const asked = facts.model
  const tokens = tokensOf(usage, meter)
  const isTold = tokens.input + tokens.output + tokens.cacheRead + tokens.cacheWrite5m + tokens.cacheWrite1h > 0
  const price = prices.find(served, asked)
  const cost = costOf(tokens, price)
  const multiplier = multiplierOf(principal?.rateMultiplier ?? '1')
  const now = performance.now()
  const { isStream, tail: events } = meter
  const outcome = outcomeOf({ events, isStream, isReadable: head !== null || isStream, error })
  return {
    id,
    // An answer without tokens leaves its name to the one that tells them: a response that is fetched until it is done.
    request_id: (isTold && nameOf(meter, head)) || id,
    at: Date.now(),
    user_id: principal?.userId ?? null,
    api_key_id: principal?.keyId ?? 0,
    group_id: principal?.groupId ?? null,
    account_id: accountIn(upstream?.name ?? ''),
    key_name: principal && clean(principal.name || principal.id, 200),
    upstream: clean(upstream?.name ?? '', 200),
    provider: facts.provider?.name ?? '',
    model: clean(asked ?? served ?? '', 200),
    served_model: served === null ? null : clean(served, 200),
    priced_as: price?.name ?? null,
    ...columnsOf(tokens),
    input_cost: fromUnits(cost.input),
    output_cost: fromUnits(cost.output),
    cache_read_cost: fromUnits(cost.cacheRead),
    cache_creation_cost: fromUnits(cost.cacheWrite),
    total_cost: fromUnits(cost.total),
    actual_cost: fromUnits(charged(cost.total, multiplier)),
    rate_multiplier: multiplierText(multiplier),
    billing: principal?.billing ?? 'none',
    stream: isStream,
    outcome,
    usage_source: !isTold ? 'none' : isPartial(outcome, meter) ? 'partial' : 'final',
    status_code: meter.status,
    duration_ms: Math.round(now - meter.beganAt),
    first_token_ms: meter.firstAt === null ? null : Math.round(meter.firstAt - meter.beganAt),
    user_agent: typeof headers['user-agent'] === 'string' ? clean(headers['user-agent'], 512) : null,
    ip_address: clean(client, 45),
  }
}

/** Whether the answer ended before it could say all of its tokens. */
function isPartial(outcome: Outcome, { isStream, hasEnded }: Meter): boolean {
  return isStream && (outcome === 'failed' || (!hasEnded && (outcome === 'cut' || outcome === 'client_gone')))
}

/** Whether two rows of one exchange ask for the same money. */
export function isSameBill(one: UsageRow, other: UsageRow): boolean {
  return one.request_id === other.request_id && fingerprintOf(one) === fingerprintOf(other)
}

/** SHA-256, in hex, of what is billed, and to whom: without times, so that the same answer fetched twice is one bill. */
export function fingerprintOf(row: UsageRow): string {
  const { api_key_id, model, input_tokens, output_tokens, cache_read_tokens, actual_cost, total_cost, billing } = row
  const written = [row.cache_creation_5m_tokens, row.cache_creation_1h_tokens]
  const billed = [api_key_id, model, input_tokens, output_tokens, cache_read_tokens, written, total_cost, actual_cost]
  return hash('sha256', JSON.stringify([...billed, billing]))
}

/** Where the APIs say which model answers, and what they call the answer. */
const modelFields = ['model', 'message.model', 'response.model', 'modelVersion']
const nameFields = ['id', 'message.id', 'response.id', 'responseId']

/** Shorter names are not unique: some servers count to a thousand. */
const shortestName = 16

/**
 * What the upstream calls the exchange. A stored response has its own name, however often it is fetched; anything else is named by
 * the request. Null: by nothing that can be relied on.
 */
function nameOf({ requestId }: Meter, head: Buffer | null): string | null {
  const id = head && textIn(head, nameFields)
  const name = id?.startsWith('resp_') ? id : (requestId ?? id)
  return name !== null && name.length >= shortestName ? clean(name, 128) : null
}

function textIn(document: Buffer, fields: readonly string[]): string | null {
  for (const field of fields) {
    const value = jsonField(document, field)
    if (typeof value === 'string' && value !== '') return value
  }
  return null
}

/** The dialect's numbers come from outside: only whole ones count. */
function tokensOf(usage: Usage | null, { head, tail }: Meter): Tokens {
  const cacheWrite = count(usage?.cacheWrite)
  const cacheWrite1h = cacheWrite > 0 ? Math.min(cacheWrite, hourWrites(head, tail)) : 0
  return {
    input: count(usage?.input),
    output: count(usage?.output),
    cacheRead: count(usage?.cacheRead),
    cacheWrite5m: cacheWrite - cacheWrite1h,
    cacheWrite1h,
  }
}

const hourField = 'cache_creation.ephemeral_1h_input_tokens'

/** How many of the tokens written to the cache stay for an hour: Anthropic says so beside their number, first or last. */
function hourWrites(head: Buffer | null, tail: readonly Buffer[]): number {
  let told = 0
  for (const data of head ? [head, ...tail] : tail) {
    if (!data.includes('"ephemeral_1h_input_tokens"')) continue
    told = count(jsonField(data, `message.usage.${hourField}`) ?? jsonField(data, `usage.${hourField}`)) || told
  }
  return told
}

function columnsOf(tokens: Tokens) {
  return {
    input_tokens: tokens.input,
    output_tokens: tokens.output,
    cache_read_tokens: tokens.cacheRead,
    cache_creation_5m_tokens: tokens.cacheWrite5m,
    cache_creation_1h_tokens: tokens.cacheWrite1h,
  }
}

/** More tokens than any answer has are none: sums stay far below 2⁵³. */
const mostTokens = 1e12

function count(value: unknown): number {
  return typeof value === 'number' && value > 0 && value < mostTokens ? Math.trunc(value) : 0
}

/** What PostgreSQL takes as text, and no longer than its column. */
function clean(text: string, longest: number): string {
  return text.replace(controls, '').slice(0, longest).toWellFormed()
}

const controls = /\p{Cc}/gu

const boot = randomBytes(9).toString('base64url')
let made = 0

/** A name that no other exchange has, of this process or of any other. */
export function ownName(): string {
  return `postern-${boot}-${(made++).toString(36)}`
}
