import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { definePlugin, retry } from 'postern/plugin'
import { fromUnits, toUnits } from 'postern/access'
import { billingProvider, useUp, wishing, type Wish } from './billing-provider.fixture.ts'
import { postgresLine } from './line.fixture.ts'
import { model, scene, until, wallet } from './usage.fixture.ts'

const ends: readonly Wish['end'][] = ['document', 'stream', 'stream', 'cut', 'leave', 'error', 'refused']

/** The least of a failover: three attempts, at the same upstream. */
const again = definePlugin({
  name: 'again',
  config: { type: 'object', description: 'For tests.', additionalProperties: false, properties: {} },
  setup: () => ({
    onUpstreamResult: ({ attempt }, { judgement }) => (judgement !== 'final' && attempt < 3 ? retry() : undefined),
  }),
})

describe('money', () => {
  test('a thousand exchanges at once, with faults of every kind: the ledger is the provider’s bill', async () => {
    const provider = billingProvider()
    await using line = await postgresLine()
    await using it = await scene(provider.script, {
      through: (url) => line.to(url),
      usage: { batch: 50, queue: 200 },
      below: [again],
    })
    await it.db.query('UPDATE users SET balance = 1000 WHERE id < 3; UPDATE users SET balance = 0.02 WHERE id = 3')
    // Who has been here before is known: what these three have left is asked while the database answers.
    const first: Wish = { end: 'document', input: 1, output: 1 }
    for (const id of [1, 2, 3])
      await useUp(() => it.ask(wallet(id), wishing(model, first), { path: '/v1/messages' }), first)
    let isOver = false
    const breaking = (async () => {
      for (let cuts = 0; cuts < 6 && !isOver; cuts++) {
        await sleep(100)
        line.cut()
      }
    })()
    const answers = Array.from({ length: 1000 }, async (_, at) => {
      const wish: Wish = { end: ends[at % ends.length]!, input: 1 + (at % 7), output: 2 + (at % 31) }
      const principal = wallet(1 + (at % 3))
      for (;;) {
        const told = await useUp(
          (signal) => it.ask(principal, wishing(model, wish), { path: '/v1/messages', signal }),
          wish,
        )
        // In an outage in which nobody knows what a caller has left, the caller is told to come again.
        if (told.status !== 503) return told
        await sleep(50)
      }
    })
    const told = await Promise.all(answers)
    isOver = true
    await breaking
    const refused = told.filter(({ status }) => status === 403).length
    assert.ok(refused > 0 && provider.bill.size > 400, `${refused} refused, ${provider.bill.size} served`)

    await until('every answer in the ledger', async () => (await it.rows()).length >= provider.bill.size)
    const rows = await it.rows()
    assert.equal(rows.length, provider.bill.size)
    for (const row of rows) assert.equal(toUnits(row.actual_cost), provider.bill.get(row.request_id), row.request_id)
    const balances: bigint[] = []
    for (const id of [1, 2, 3]) balances.push(toUnits(await it.balanceOf(id)))
    assert.ok(
      balances.every((balance) => balance >= 0n),
      'nobody has spent what was not there',
    )
    const spent = toUnits('2000.02') - balances.reduce((sum, one) => sum + one, 0n)
    assert.equal(fromUnits(spent), fromUnits(provider.total()))
    const quotas = await it.db.query<{ sum: string }>('SELECT sum(quota_used) FROM api_keys')
    assert.equal(toUnits(quotas.rows[0]!.sum), provider.total())
  })
})
