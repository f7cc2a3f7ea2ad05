import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fakeUpstream } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { caller, chat, model, priceTable, serving, until, whoami } from './usage.fixture.ts'

async function counting(usage: Record<string, unknown>) {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'postern-counting-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const prices = join(folder, 'prices.json')
  await writeFile(prices, priceTable)
  const upstream = stack.use(await fakeUpstream(serving(() => chat(1000, 50))))
  const options = {
    plugins: [whoami, 'openai', { usage: { prices, ...usage } }],
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }],
  }
  const gw = stack.use(await gateway(options))
  const held = stack.move()
  const headers = { 'content-type': 'application/json', 'x-caller': JSON.stringify(caller({ name: 'ci' })) }
  return {
    folder,
    gw,
    options,
    upstream,
    ask: async (name = model) =>
      (
        await fetch(`${gw.url}/v1/chat/completions`, { method: 'POST', headers, body: JSON.stringify({ model: name }) })
      ).text(),
    report: async () =>
      (await (await fetch(`${gw.url}/v1/usage`, { headers })).json()) as { usage: { today: { requests: number } } }, // as the README has it
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  }
}

describe('without a database', () => {
  test('what is used is counted, and told, across reloads', async () => {
    await using it = await counting({})
    await it.ask()
    assert.deepEqual(await it.gw.reload(it.options), [])
    await it.ask()
    await until('both', async () => (await it.report()).usage.today.requests === 2)
    assert.deepEqual((await it.report()).usage.today, {
      requests: 2,
      input_tokens: 2000,
      output_tokens: 100,
      cache_creation_tokens: 0,
      cache_read_tokens: 0,
      total_tokens: 2100,
      cost: 0.003,
      actual_cost: 0.003,
    })
  })

  test('rows go to a file, and none is lost when it stops', async () => {
    const name = join(tmpdir(), `postern-usage-${process.pid}.jsonl`)
    await using stack = new AsyncDisposableStack()
    stack.defer(() => rm(name, { force: true }))
    await using it = await counting({ file: name })
    await Promise.all(Array.from({ length: 20 }, () => it.ask()))
    await it.gw.stop()
    const lines = (await readFile(name, 'utf8')).trimEnd().split('\n')
    const rows = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.equal(rows.length, 20)
    assert.deepEqual([...new Set(rows.map((row) => row.actual_cost))], ['0.0015'])
    assert.equal(new Set(rows.map((row) => row.id)).size, 20)
  })

  test('models without a price are told of once each, or cost what the option says', async () => {
    await using it = await counting({})
    it.upstream.script = serving(() => chat(10, 1, { model: 'unheard-of' }))
    for (const name of ['unheard-of', 'unheard-of', 'nor-of']) await it.ask(name)
    await until('the ends', () => it.gw.sidecar.server.gateway.exchanges.length === 0)
    const told = it.gw.records.filter(({ message }) => message.includes('has no price'))
    assert.deepEqual(
      told.map(({ model: name, level }) => [name, level]),
      [
        ['unheard-of', 'warn'],
        ['nor-of', 'warn'],
      ],
    )
    await using other = await counting({ default_price: model })
    other.upstream.script = serving(() => chat(10, 1, { model: 'unheard-of' }))
    await other.ask('unheard-of')
    await until('its end', async () => (await other.report()).usage.today.requests === 1)
    assert.deepEqual((await other.report()).usage.today, {
      requests: 1,
      input_tokens: 10,
      output_tokens: 1,
      cache_creation_tokens: 0,
      cache_read_tokens: 0,
      total_tokens: 11,
      cost: 0.00002,
      actual_cost: 0.00002,
    })
  })

  test('a table that cannot be read, or a default that is not in it, is a problem of gateway.yaml', async () => {
    await assert.rejects(counting({ prices: 'nowhere.json' }), /usage cannot be set up: ENOENT/)
    await assert.rejects(counting({ default_price: 'typo' }), /default_price names "typo", which is not in the table/)
  })
})
