/** What tokens cost, by model: a table from a file, looked up by exact name, else by the longest name that begins the model's. */
import { readFile } from 'node:fs/promises'

/** What one token of each kind costs, in units of 10⁻¹⁶ USD. */
export interface Rate {
  readonly input: bigint
  readonly output: bigint
  readonly cacheRead: bigint
  readonly cacheWrite5m: bigint
  readonly cacheWrite1h: bigint
}

export interface Price {
  /** Its name in the table. */
  readonly name: string
  readonly base: Rate
  /** Above so many tokens of input, cached ones included, all tokens of the request cost this. The highest stands first. */
  readonly tiers: readonly { readonly above: number; readonly rate: Rate }[]
  /** The most tokens the model takes and gives; null where the table does not say. */
  readonly mostInput: number | null
  readonly mostOutput: number | null
}

export interface PriceTable {
  /**
   * The price of an exchange, by the model that has served it and the one that was asked for: exact names first, then beginnings,
   * then the default. Null: nobody knows.
   */
  find(served: string | null, asked: string | null): Price | null
  readonly size: number
}

/** The table that comes with this plugin. */
export const shippedPrices = new URL('prices.json', import.meta.url)

/**
 * Reads a table in the shape of LiteLLM's: `{ "model": { "input_cost_per_token": "0.000003", … } }`. Prices are decimal numbers as
 * text, or JSON numbers, which are taken as the digits they are written with. `fallback` names the entry that counts for models
 * that are not in it. Throws where the file is no such table.
 */
export async function readPrices(file: string | URL, fallback = ''): Promise<PriceTable> {
  const table = parsePrices(await readFile(file, 'utf8'))
  if (fallback === '') return tableOf(table, null)
  const price = table.get(fallback)
  if (!price) throw new Error(`default_price names ${JSON.stringify(fallback)}, which is not in the table of prices`)
  return tableOf(table, price)
}

/** The entries that have prices by token; those of images and of seconds are left out. */
export function parsePrices(text: string): ReadonlyMap<string, Price> {
  const document: unknown = JSON.parse(text)
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw new Error('a table of prices is an object, with a model for each name')
  const table = new Map<string, Price>()
  for (const [name, entry] of Object.entries(document)) {
    // What LiteLLM's table shows its own shape with.
    if (name === 'sample_spec' || typeof entry !== 'object' || entry === null) continue
    const price = priceOf(name, entry as Readonly<Record<string, unknown>>) // any object is; each field is looked at
    if (price) table.set(name, price)
  }
  return table
}

const kept = 4096

/**
 * What stands behind a name that begins another: `gpt-4` begins `gpt-4-0613`, not `gpt-4o` or `gpt-4.1`; nor does `claude-opus-4`
 * begin `claude-opus-4-6`, where a number of one or two digits makes another version with prices of its own.
 */
const boundary = /^[-:@/_](?!\d{1,2}(?:\D|$))/

export function tableOf(table: ReadonlyMap<string, Price>, fallback: Price | null): PriceTable {
  // Names come from clients: what is remembered of them is bounded.
  const known = new Map<string, Price | null>()
  const look = (served: string | null, asked: string | null): Price | null =>
    exact(table, served) ?? exact(table, asked) ?? beginning(table, served) ?? beginning(table, asked) ?? fallback
  return {
    size: table.size,
    find(served, asked) {
      const key = `${served ?? ''}\n${asked ?? ''}`
      const before = known.get(key)
      if (before !== undefined) return before
      if (known.size >= kept) known.clear()
      const price = look(served, asked)
      known.set(key, price)
      return price
    },
  }
}

/** Also without what stands before its last slash: `models/gemini-2.5-pro`, `openai/gpt-5`. */
function exact(table: ReadonlyMap<string, Price>, name: string | null): Price | undefined {
  return name === null ? undefined : (table.get(name) ?? table.get(name.slice(name.lastIndexOf('/') + 1)))
}

const longestName = 256

function beginning(table: ReadonlyMap<string, Price>, name: string | null): Price | undefined {
  if (name === null) return undefined
  const bare = name.slice(name.lastIndexOf('/') + 1).slice(0, longestName)
  for (let length = bare.length - 1; length > 0; length--) {
    if (!boundary.test(bare.slice(length, length + 4))) continue
    const price = table.get(bare.slice(0, length))
    if (price) return price
  }
  return undefined
}

type Entry = Readonly<Record<string, unknown>>

function priceOf(name: string, entry: Entry): Price | null {
  const base = rateOf(name, entry, '', null)
  if (!base) return null
  const steps = new Set<number>()
  for (const field of Object.keys(entry)) {
    const match = /_above_(\d+)k_tokens$/.exec(field)
    if (match) steps.add(Number(match[1]))
  }
  const tiers = [...steps]
    .toSorted((one, other) => other - one)
    .map((step) => ({ above: step * 1000, rate: rateOf(name, entry, `_above_${step}k_tokens`, base) ?? base }))
  return { name, base, tiers, mostInput: count(entry.max_input_tokens), mostOutput: count(entry.max_output_tokens) }
}

/** Null where neither input nor output has a price. What a tier does not name costs what it costs below. */
function rateOf(name: string, entry: Entry, suffix: string, below: Rate | null): Rate | null {
  const price = (field: string) => decimal(name, field + suffix, entry[field + suffix])
  const input = price('input_cost_per_token') ?? below?.input
  const output = price('output_cost_per_token') ?? below?.output
  if (input === undefined && output === undefined) return null
  const cacheWrite5m = price('cache_creation_input_token_cost') ?? below?.cacheWrite5m ?? input ?? 0n
  return {
    input: input ?? 0n,
    output: output ?? 0n,
    cacheRead: price('cache_read_input_token_cost') ?? below?.cacheRead ?? input ?? 0n,
    cacheWrite5m,
    cacheWrite1h:
      price('cache_creation_input_token_cost_above_1hr') ??
      // A tier that has only the price of five minutes raises the other one in proportion.
      (below && below.cacheWrite5m > 0n ? (below.cacheWrite1h * cacheWrite5m) / below.cacheWrite5m : cacheWrite5m),
  }
}

const digits = 16

/** In units of 10⁻¹⁶; undefined where there is none. `1.25e-05` is what JSON makes of small numbers. */
function decimal(model: string, field: string, value: unknown): bigint | undefined {
  if (value === undefined || value === null) return undefined
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value : ''
  const match = /^(\d+)(?:\.(\d+))?(?:e([+-]?\d{1,3}))?$/i.exec(text)
  if (!match) throw new Error(`${model}: ${field} is ${JSON.stringify(value)}, which is no price`)
  const [, whole = '', fraction = '', exponent = '0'] = match
  const shift = digits + Number(exponent) - fraction.length
  const number = BigInt(whole + fraction)
  return shift >= 0 ? number * 10n ** BigInt(shift) : number / 10n ** BigInt(-shift)
}

function count(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : null
}
