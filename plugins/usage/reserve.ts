/** What an exchange may cost at the most, before anybody knows: so much is promised to it while it runs. */
import type { Body } from 'postern/plugin'
import { charged, rateFor, rounded } from './cost.ts'
import type { Price } from './prices.ts'

export interface ReserveOptions {
  /** Tokens of output where the request does not limit them. */
  readonly output: number
  /** For a body that is not held, in units of 10⁻¹⁰ USD. */
  readonly fixed: bigint
  /** Never more than this; 0: no limit. In the same units. */
  readonly most: bigint
}

/** The fields in which the APIs limit the output. */
const limitFields = ['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'generationConfig.maxOutputTokens']

/** Text has about four bytes for each token; three is on the safe side. */
const bytesPerToken = 3

/** In units of 10⁻¹⁰ USD, with the caller's multiplier. */
export function estimate(body: Body, price: Price | null, multiplier: bigint, options: ReserveOptions): bigint {
  if (body.kind !== 'json') return options.fixed
  if (!price) return 0n
  const input = Math.min(Math.ceil(body.bytes.length / bytesPerToken), price.mostInput ?? Infinity)
  const output = outputOf(body, price, options)
  const rate = rateFor(price, input)
  const dearest = [rate.input, rate.cacheRead, rate.cacheWrite5m].reduce((one, other) => (one > other ? one : other))
  const total = rounded(BigInt(input) * dearest + BigInt(output) * rate.output)
  const amount = charged(total, multiplier)
  return options.most > 0n && amount > options.most ? options.most : amount
}

function outputOf(body: Body, price: Price, { output }: ReserveOptions): number {
  let asked = output
  for (const field of limitFields) {
    const value = body.get(field)
    if (typeof value === 'number' && value > 0 && Number.isSafeInteger(value)) {
      asked = value
      break
    }
  }
  const choices = body.get('n')
  const times = typeof choices === 'number' && Number.isSafeInteger(choices) && choices > 1 ? Math.min(choices, 128) : 1
  return Math.min(asked, price.mostOutput ?? asked) * times
}
