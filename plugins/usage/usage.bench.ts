/** What an exchange costs in the hooks, and what batches save. Run with `node plugins/usage/usage.bench.ts`. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { bench, tell } from '../../test/bench.ts'
import { migratedDatabase } from '../../test/postgres.ts'
import { bill } from './bill.ts'
import { costOf } from './cost.ts'
import { endsStream } from './ending.ts'
import { Journal } from './journal.ts'
import { Meter } from './meter.ts'
import { parsePrices, tableOf } from './prices.ts'
import { fingerprintOf, rowOf } from './row.ts'
import { rowFor } from './row.fixture.ts'
import { model, priceTable, seed } from './usage.fixture.ts'

const table = parsePrices(priceTable)
const prices = tableOf(table, null)
const price = table.get(model)!

const delta = Buffer.from(
  '{"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-test","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}',
)
const end = Buffer.from('[DONE]')
const meter = new Meter()
meter.isStream = true
await bench(
  'one event of a stream',
  {
    'looked at from outside': () => endsStream(delta),
    'read as JSON': () => (JSON.parse(delta.toString()) as { type?: string }).type === 'message_stop', // what it is in that API
  },
  { 'read as JSON': { atLeast: 3 } },
)

// As much of an exchange as a row is made of.
const exchange = {
  facts: { provider: null, claim: null, model, principal: null, usage: null, usage_meter: null },
  upstream: null,
  client: '192.0.2.1',
  headers: { 'user-agent': 'bench/1.0' },
  error: null,
} as unknown as Parameters<typeof rowOf>[0] // rowOf looks at nothing else
const usage = { input: 1000, output: 200, cacheRead: 5000, cacheWrite: 0 }
const folder = mkdtempSync(join(tmpdir(), 'postern-usage-bench-'))
const journal = new Journal(folder)
const row = rowFor({ actual_cost: '0.0015' })
const whole = () => {
  const one = new Meter()
  one.isStream = true
  for (let event = 0; event < 100; event++) one.see(delta, undefined)
  one.see(end, undefined)
  return rowOf(exchange, one, usage, prices, 'postern-bench')
}
await bench('one exchange of a hundred events', {
  'seen, its row made': whole,
  'and written to the journal': () => journal.append(whole()).done(),
})
await bench('the parts of it', {
  'the cost, in whole numbers': () =>
    costOf({ input: 1000, output: 200, cacheRead: 5000, cacheWrite5m: 0, cacheWrite1h: 0 }, price),
  'its fingerprint': () => fingerprintOf(row),
  'a line of the journal': () => journal.append(row).done(),
})
journal.close()
rmSync(folder, { recursive: true })

const rows = 500
const { url, ...fresh } = await migratedDatabase()
const db = openDatabase(url, silentLog)
await db.ready()
await db.query(seed)
const some = () =>
  Array.from({ length: rows }, (_, at) =>
    rowFor({ actual_cost: '0.0015', user_id: 1 + (at % 3), api_key_id: 1 + (at % 3) }),
  )
const took = async (run: () => Promise<unknown>) => {
  const began = performance.now()
  await run()
  return (performance.now() - began) / rows
}
await bill(db, some())
const rounds = 5
let [together, alone] = [0, 0]
for (let round = 0; round < rounds; round++) {
  together += await took(() => bill(db, some()))
  alone += await took(async () => {
    for (const one of some()) await bill(db, [one])
  })
}
process.stdout.write(`\n${rows} exchanges billed, each\n`)
for (const [name, ms] of [
  ['in one transaction', together / rounds],
  ['in a transaction of its own', alone / rounds],
] as const)
  process.stdout.write(
    `  ${name.padEnd(32)} ${(ms * 1e6).toFixed(0).padStart(9)} ns  ${(ms / (together / rounds)).toFixed(2).padStart(8)} x\n`,
  )
tell({
  what: `${rows} exchanges billed`,
  way: 'in a transaction of its own',
  ratio: alone / together,
  bound: { atLeast: 3 },
})
await db.close()
await fresh[Symbol.asyncDispose]()
