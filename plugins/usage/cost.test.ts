import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { fromUnits } from 'postern/access'
import { runs } from '../../test/runs.ts'
import { charged, costOf, multiplierOf, multiplierText, type Tokens } from './cost.ts'
import { parsePrices } from './prices.ts'

const price = parsePrices(
  JSON.stringify({
    m: {
      input_cost_per_token: '0.000003',
      input_cost_per_token_above_200k_tokens: '0.000006',
      output_cost_per_token: '0.000015',
      output_cost_per_token_above_200k_tokens: '0.0000225',
      cache_read_input_token_cost: '0.0000003',
      cache_creation_input_token_cost: '0.00000375',
      cache_creation_input_token_cost_above_1hr: '0.000006',
    },
  }),
).get('m')!

const tokens = (more: Partial<Tokens>): Tokens => ({
  input: 0,
  output: 0,
  cacheRead: 0,
  cacheWrite5m: 0,
  cacheWrite1h: 0,
  ...more,
})
const total = (more: Partial<Tokens>) => fromUnits(costOf(tokens(more), price).total)

describe('the cost of tokens', () => {
  test('is that of each kind', () => {
    assert.equal(total({ input: 1_000 }), '0.003')
    assert.equal(total({ output: 1_000 }), '0.015')
    assert.equal(total({ cacheRead: 1_000 }), '0.0003')
    assert.equal(total({ cacheWrite5m: 1_000 }), '0.00375')
    assert.equal(total({ cacheWrite1h: 1_000 }), '0.006')
    assert.equal(total({}), '0')
  })

  test('is higher for all of a request whose input, cached or not, is longer than a tier allows', () => {
    assert.equal(total({ input: 200_000, output: 1 }), '0.600015')
    assert.equal(total({ input: 1, cacheRead: 200_000 }), fromUnits(60_000n + 200_000n * 3_000n))
    assert.equal(total({ input: 200_001, output: 1 }), fromUnits(200_001n * 60_000n + 225_000n))
    assert.equal(total({ input: 1, output: 900_000 }), fromUnits(30_000n + 900_000n * 150_000n))
  })

  test('is nothing where nobody knows the price', () => {
    assert.equal(costOf(tokens({ input: 9 }), null).total, 0n)
  })

  test('is exact for any numbers: the sum of four products, each rounded once', () => {
    const digits = fc.bigInt({ min: 0n, max: 10n ** 12n })
    const some = fc.integer({ min: 0, max: 10 ** 9 })
    fc.assert(
      fc.property(digits, digits, some, some, (input, output, taken, given) => {
        const text = (fine: bigint) => `0.${String(fine).padStart(16, '0')}`
        const table = parsePrices(
          JSON.stringify({ m: { input_cost_per_token: text(input), output_cost_per_token: text(output) } }),
        )
        const cost = costOf(tokens({ input: taken, output: given }), table.get('m')!)
        const exact = (fine: bigint, count: number) => {
          const product = fine * BigInt(count)
          return product / 1_000_000n + (product % 1_000_000n >= 500_000n ? 1n : 0n)
        }
        assert.equal(cost.input, exact(input, taken))
        assert.equal(cost.output, exact(output, given))
        assert.equal(cost.total, cost.input + cost.output)
      }),
      runs(200),
    )
  })
})

describe('a multiplier', () => {
  test('has four digits; zero and what is none count as one', () => {
    assert.deepEqual(
      ['1', '1.5', '0.0001', '2.00009', '0', '0.0000', '-1', 'x', ''].map((text) => multiplierText(multiplierOf(text))),
      ['1.0000', '1.5000', '0.0001', '2.0000', '1.0000', '1.0000', '1.0000', '1.0000', '1.0000'],
    )
  })

  test('is applied in whole units, half up', () => {
    assert.equal(charged(3n, multiplierOf('0.5')), 2n)
    assert.equal(charged(1n, multiplierOf('0.4999')), 0n)
    assert.equal(charged(10n ** 20n + 1n, multiplierOf('1.0001')), 10n ** 20n + 10n ** 16n + 1n)
  })
})
