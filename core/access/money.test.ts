import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../../test/runs.ts'
import { fromUnits, toUnits } from './money.ts'

describe('money', () => {
  test('is read as PostgreSQL writes it, to the last unit', () => {
    const rows: [string, bigint][] = [
      ['0', 0n],
      ['0.0000000000', 0n],
      ['1', 10_000_000_000n],
      ['0.0000000001', 1n],
      ['-0.5', -5_000_000_000n],
      ['9999999999.9999999999', 99_999_999_999_999_999_999n],
      ['0.30000000000000004', 3_000_000_000n],
    ]
    for (const [text, units] of rows) assert.equal(toUnits(text), units, text)
    for (const text of ['', 'NaN', '1e3', '.5', '1.', '1,5', ' 1']) assert.throws(() => toUnits(text), RangeError)
  })

  test('comes back as it was, whatever it was', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(10n ** 25n), max: 10n ** 25n }), (units) => {
        assert.equal(toUnits(fromUnits(units)), units)
      }),
      runs(1000),
    )
  })
})
