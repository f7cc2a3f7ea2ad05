import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Query } from 'postern/plugin'
import { addGroup } from '../../core/records/groups.ts'
import { records } from './accounts.fixture.ts'
import { readAccounts, selectAccounts } from './read.ts'

interface Node {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly 'Relation Name'?: string
  readonly Plans?: readonly Node[]
}

const nodesOf = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)]

describe('a reading of the accounts', () => {
  test('is one statement, with the groups, the routes and what the times say', async () => {
    await using db = await records()
    const group = await addGroup(db.db, {
      name: 'g',
      model_routing: { 'gpt-5*': [2], o3: [1] },
      model_routing_enabled: true,
    })
    await addGroup(db.db, { name: 'off', model_routing: { x: [1] } })
    for (let at = 1; at <= 50; at++) await db.add(`a${at}`, at % 2 ? { groups: ['g'] } : { groups: ['g', 'off'] })
    await db.add('lone', { expires_at: new Date(Date.now() + 60_000) })
    await db.db.query(`UPDATE accounts SET overload_until = now() + interval '5 s' WHERE name = 'lone'`)
    const asked: string[] = []
    const query: Query = (text, values) => {
      asked.push(text)
      return db.db.query(text, values)
    }
    const { rows, routes } = await readAccounts(query)
    assert.equal(asked.length, 1)
    assert.equal(rows.length, 51)
    assert.deepEqual(routes, { [group]: { 'gpt-5*': [2], o3: [1] } })
    assert.deepEqual(rows[0]?.groups, [group])
    assert.deepEqual(rows[1]?.groups?.toSorted(), [group, group + 1])
    const lone = rows.find(({ name }) => name === 'lone')
    assert.equal(lone?.groups, null)
    assert.ok(lone.expires_in! > 50_000 && lone.expires_in! <= 61_000)
    assert.ok(lone.overloaded_for! > 3000 && lone.overloaded_for! <= 5000)
    assert.deepEqual([lone.limited_for, lone.paused_for], [null, null])
  })

  test('goes through the index of the schedulable, in a table where few are', async () => {
    await using db = await records()
    await db.db.query(
      `INSERT INTO accounts (name, platform, status, schedulable, deleted_at, priority)
       SELECT 'a' || n, (ARRAY['openai', 'anthropic', 'gemini'])[1 + n % 3], CASE WHEN n % 10 < 5 THEN 'active' ELSE 'error' END,
         n % 4 = 0, CASE WHEN n % 7 > 0 THEN now() END, n % 100 FROM generate_series(1, 8000) n`,
    )
    await db.db.query('ANALYZE accounts')
    const { rows } = await db.db.query<{ 'QUERY PLAN': [{ Plan: Node }] }>(`EXPLAIN (FORMAT JSON) ${selectAccounts}`)
    const scans = nodesOf(rows[0]!['QUERY PLAN'][0].Plan).filter(
      (node) => node['Relation Name'] === 'accounts' || node['Index Name'],
    )
    assert.ok(
      scans.some((node) => node['Index Name'] === 'idx_accounts_schedulable_hot'),
      JSON.stringify(scans),
    )
    assert.ok(!scans.some((node) => node['Node Type'] === 'Seq Scan' && node['Relation Name'] === 'accounts'))
  })

  test('is not spoilt by what somebody has written into `extra` by hand', async () => {
    await using db = await records()
    for (const extra of [
      [],
      { model_rate_limits: [1], temp_unschedulable_enabled: 'yes' },
      { model_rate_limits: { m: { rate_limit_reset_at: '2026-13-99' } }, temp_unschedulable_rules: 7 },
    ])
      await db.add(`a${JSON.stringify(extra).length}`, { extra })
    assert.equal((await readAccounts(db.db.query)).rows.length, 3)
  })
})
