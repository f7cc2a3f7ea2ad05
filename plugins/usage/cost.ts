/** From tokens to money, in whole numbers from end to end. */
import type { Price, Rate } from './prices.ts'

export interface Tokens {
  /** Neither read from the provider's cache nor written to it. */
  readonly input: number
  readonly output: number
  readonly cacheRead: number
  /** Written to the cache for five minutes, and for an hour. */
  readonly cacheWrite5m: number
  readonly cacheWrite1h: number
}

/** In units of 10⁻¹⁰ USD. */
export interface Cost {
  readonly input: bigint
  readonly output: bigint
  readonly cacheRead: bigint
  readonly cacheWrite: bigint
  /** The sum of the four. */
  readonly total: bigint
}

const free: Cost = { input: 0n, output: 0n, cacheRead: 0n, cacheWrite: 0n, total: 0n }

/** What they cost; nothing where nobody knows the price. Each of the four is rounded once, half up. */
export function costOf(tokens: Tokens, price: Price | null): Cost {
  if (!price) return free
  const rate = rateFor(price, tokens.input + tokens.cacheRead + tokens.cacheWrite5m + tokens.cacheWrite1h)
  const input = rounded(BigInt(tokens.input) * rate.input)
  const output = rounded(BigInt(tokens.output) * rate.output)
  const cacheRead = rounded(BigInt(tokens.cacheRead) * rate.cacheRead)
  const cacheWrite = rounded(
    BigInt(tokens.cacheWrite5m) * rate.cacheWrite5m + BigInt(tokens.cacheWrite1h) * rate.cacheWrite1h,
  )
  return { input, output, cacheRead, cacheWrite, total: input + output + cacheRead + cacheWrite }
}

/** The rate of a request with so many tokens of input, of every kind. */
export function rateFor(price: Price, input: number): Rate {
  for (const tier of price.tiers) if (input > tier.above) return tier.rate
  return price.base
}

/** Prices have 16 digits, money has 10. */
const finer = 1_000_000n

/** From units of 10⁻¹⁶ to units of 10⁻¹⁰, half up. */
export function rounded(fine: bigint): bigint {
  return (fine + finer / 2n) / finer
}

/** What a multiplier is counted in: groups have four digits behind the point. */
const parts = 10_000n

/** A decimal number in parts of 1/10 000. As in the system this one follows, zero and what is no number count as one. */
export function multiplierOf(decimal: string): bigint {
  const match = /^(\d{1,9})(?:\.(\d+))?$/.exec(decimal)
  if (!match) return parts
  const value = BigInt(match[1]! + (match[2] ?? '').slice(0, 4).padEnd(4, '0'))
  return value > 0n ? value : parts
}

/** What is charged for a total, half up. */
export function charged(total: bigint, multiplier: bigint): bigint {
  return (total * multiplier + parts / 2n) / parts
}

/** A multiplier of `multiplierOf`, as a decimal number. */
export function multiplierText(multiplier: bigint): string {
  return `${multiplier / parts}.${String(multiplier % parts).padStart(4, '0')}`
}
