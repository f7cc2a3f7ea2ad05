import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parsePrices, readPrices, shippedPrices, tableOf } from './prices.ts'

const entry = (input: string | number, more: object = {}) => ({ input_cost_per_token: input, ...more })
const tableFor = (entries: object) => tableOf(parsePrices(JSON.stringify(entries)), null)

describe('a price', () => {
  const table = tableFor({
    'gpt-4': entry('0.1'),
    'gpt-4o': entry('0.2'),
    'gpt-4-turbo': entry('0.3'),
    'vendor/own': entry('0.4'),
  })
  const found = (served: string | null, asked: string | null = null) => table.find(served, asked)?.name ?? null

  test('is found by the exact name, else by the longest that begins it, up to a separator', () => {
    assert.equal(found('gpt-4'), 'gpt-4')
    assert.equal(found('gpt-4-0613'), 'gpt-4')
    assert.equal(found('gpt-4-turbo-2024-04-09'), 'gpt-4-turbo')
    assert.equal(found('gpt-4o-2024-08-06'), 'gpt-4o')
    assert.equal(found('gpt-4.5-preview'), null)
    assert.equal(found('gpt-40'), null)
    assert.equal(found('gpt-4-5'), null)
    assert.equal(found('gpt-4-12-preview'), null)
    assert.equal(found('gpt-4-001'), 'gpt-4')
    assert.equal(found('gpt-4@20250101'), 'gpt-4')
    assert.equal(found('gpt'), null)
    assert.equal(found(''), null)
    assert.equal(found(null), null)
  })

  test('is that of the model that has served, where it has one', () => {
    assert.equal(found('gpt-4o', 'gpt-4'), 'gpt-4o')
    assert.equal(found('gpt-4o-2024-08-06', 'gpt-4o'), 'gpt-4o')
    assert.equal(found('something', 'gpt-4-turbo'), 'gpt-4-turbo')
    assert.equal(found('gpt-4-0613', 'gpt-4-turbo'), 'gpt-4-turbo')
  })

  test('is found behind the name of a vendor', () => {
    assert.equal(found('models/gpt-4'), 'gpt-4')
    assert.equal(found('vendor/own'), 'vendor/own')
    assert.equal(found('openai/gpt-4-0613'), 'gpt-4')
  })

  test('is remembered for a bounded number of names', () => {
    for (let at = 0; at < 10_000; at++) assert.equal(found(`gpt-4-x${at}`), 'gpt-4')
  })
})

describe('a table of prices', () => {
  test('takes decimal text and the numbers of LiteLLM alike', () => {
    const rates = [entry('0.00000125'), entry(1.25e-6), entry('1.25e-06')].map(
      (one) => parsePrices(JSON.stringify({ m: one })).get('m')!.base,
    )
    for (const { input } of rates) assert.equal(input, 12_500_000_000n)
  })

  test('fills what an entry leaves out: the cache costs what input costs, a tier what the one below costs', () => {
    const price = parsePrices(
      JSON.stringify({
        m: entry('0.01', {
          output_cost_per_token: '0.02',
          input_cost_per_token_above_128k_tokens: '0.03',
          input_cost_per_token_above_200k_tokens: '0.04',
        }),
      }),
    ).get('m')!
    const unit = 10n ** 14n
    assert.deepEqual(price.base, {
      input: unit,
      output: 2n * unit,
      cacheRead: unit,
      cacheWrite5m: unit,
      cacheWrite1h: unit,
    })
    assert.deepEqual(
      price.tiers.map(({ above, rate }) => [above, rate.input, rate.output]),
      [
        [200_000, 4n * unit, 2n * unit],
        [128_000, 3n * unit, 2n * unit],
      ],
    )
  })

  test('leaves out what has no price by token, and the entry that shows the shape', () => {
    const table = parsePrices(
      JSON.stringify({ sample_spec: entry(0), image: { output_cost_per_image: 0.04 }, m: entry(0) }),
    )
    assert.deepEqual([...table.keys()], ['m'])
  })

  test('is refused where a price is none', () => {
    assert.throws(
      () => parsePrices('{"m":{"input_cost_per_token":"cheap"}}'),
      /m: input_cost_per_token is "cheap", which is no price/,
    )
    assert.throws(() => parsePrices('{"m":{"input_cost_per_token":-1}}'), /no price/)
    assert.throws(() => parsePrices('[]'), /a table of prices is an object/)
  })

  test('may name a price for models without one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-prices-'))
    try {
      const file = join(folder, 'prices.json')
      await writeFile(file, JSON.stringify({ known: entry('0.1') }))
      assert.equal((await readPrices(file, 'known')).find('other', null)?.name, 'known')
      assert.equal((await readPrices(file)).find('other', null), null)
      await assert.rejects(readPrices(file, 'typo'), /default_price names "typo", which is not in the table/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('comes with this plugin, and knows the dated names of current families', async () => {
    const table = await readPrices(shippedPrices)
    for (const [model, name] of [
      ['claude-sonnet-4-5-20250929', 'claude-sonnet-4-5'],
      ['claude-opus-4-20250514', 'claude-opus-4'],
      ['claude-opus-4-6-thinking', 'claude-opus-4-6'],
      ['gpt-5-mini-2025-08-07', 'gpt-5-mini'],
      ['models/gemini-2.5-flash-lite', 'gemini-2.5-flash-lite'],
    ])
      assert.equal(table.find(model!, null)?.name, name)
  })
})
