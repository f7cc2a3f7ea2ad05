import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { chat, scene, seed, serving, until } from './usage.fixture.ts'

const answer = serving(() => chat(11, 1))
/** Rows of so many days ago, each with the memory of its bill. */
const past = (days: number, count: number) => `
  INSERT INTO usage_logs (request_id, model, created_at)
    SELECT 'd${days}-' || n, 'm', now() - ${days} * interval '1 day' FROM generate_series(1, ${count}) n;
  INSERT INTO usage_billing_dedup (request_id, api_key_id, fingerprint, created_at)
    SELECT 'd${days}-' || n, 0, sha256(n::text::bytea), now() - ${days} * interval '1 day' FROM generate_series(1, ${count}) n;`

describe('rows of usage', () => {
  test('are deleted when they are too old, with the memory of their bills, while others are billed', async () => {
    const history = seed + past(31, 6000) + past(29, 3)
    await using it = await scene(answer, { usage: { keep: '30d' }, seed: history })
    for (let times = 0; times < 5; times++) await (await it.ask()).text()
    const count = async (table: string) => {
      const { rows } = await it.db.query<{ count: number }>(`SELECT count(*) AS count FROM ${table}`)
      return rows[0]!.count
    }
    for (const table of ['usage_logs', 'usage_billing_dedup'])
      await until(`what stays of ${table}`, async () => (await count(table)) === 3 + 5)
    assert.equal(await it.balanceOf(1), '9.9998950000', 'what was used is paid, what was deleted stays paid')
  })

  test('stay for 400 days where nobody says otherwise', async () => {
    await using it = await scene(answer, { seed: seed + past(401, 2) + past(399, 2) })
    await until('two of them', async () => (await it.rows()).length === 2)
    assert.ok((await it.rows()).every(({ request_id: id }) => id.startsWith('d399')))
  })

  test('are not kept for less than a week, with what to write', async () => {
    await using it = await scene(answer)
    const problems = await it.gw.reload({ plugins: [{ usage: { keep: '1d', journal: '' } }] })
    assert.match(problems[0]?.message ?? '', /keep must be a week at least: write 7d or more/)
  })
})
