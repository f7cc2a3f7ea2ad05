/** Everything an operator of many tenants has, in one gateway: users, keys and accounts of a database, limits, slots and bills. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { operator } from '../../core/commands/admin.fixture.ts'
import { openDatabase } from '../../core/database/database.ts'
import { silentLog } from '../../core/observe/log.ts'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'

const secret = 'a secret of the tests, long enough to be one'
const answer = {
  id: 'chatcmpl-0123456789abcdef',
  object: 'chat.completion',
  usage: { prompt_tokens: 1000, completion_tokens: 100 },
}

/** On a connection of its own, which is closed behind it. */
async function rowsOf<Row>(url: string, text: string): Promise<Row[]> {
  const database = openDatabase(url, silentLog)
  try {
    await database.ready()
    return (await database.query<Row>(text)).rows
  } finally {
    await database.close()
  }
}

/** Asks again until it holds, five seconds at most. */
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, what)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

describe('a gateway for many tenants', () => {
  test('serves a key of the database from an account of the database, bills its user, and stops when it is told to', async () => {
    await using it = await operator()
    await using upstream = await fakeUpstream(json(200, answer))
    await it.json('users', 'add', 'ann@example.com', '--balance', '1')
    const added = await it.json('keys', 'add', 'ann@example.com', '--name', 'ann')
    const key = String(added.key)
    const { code, err } = await it.run(
      ['accounts', 'add', 'main', '--platform', 'openai', '--url', upstream.url, '--key-stdin'],
      { input: 'sk-of-the-account' },
    )
    assert.equal(code, 0, err)
    await using gw = await gateway({
      database: it.url,
      env: { ACCOUNTS_SECRET: secret },
      plugins: [
        'api-key-auth',
        'openai',
        'sticky-session',
        'concurrency',
        { accounts: { secrets: ['${ACCOUNTS_SECRET}'], allow_private: true } },
        'failover',
        { usage: { journal: '' } },
      ],
    })
    const ask = () =>
      fetch(`${gw.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 100, messages: [{ role: 'user', content: 'hi' }] }),
      })
    await until('it is served', async () => (await ask()).status === 200)
    assert.equal(upstream.asked.at(-1)?.headers.authorization, 'Bearer sk-of-the-account')
    await until('it is billed', async () => {
      const [row] = await rowsOf<{ account_id: number; total_cost: string }>(
        it.url,
        'SELECT account_id, total_cost FROM usage_logs',
      )
      return row !== undefined && row.account_id === 1 && Number(row.total_cost) > 0
    })
    const [user] = await rowsOf<{ balance: string }>(it.url, 'SELECT balance FROM users')
    assert.ok(Number(user?.balance) < 1)

    const usage = await fetch(`${gw.url}/v1/usage`, { headers: { authorization: `Bearer ${key}` } })
    assert.equal(usage.status, 200)
    assert.equal(((await usage.json()) as { isValid: boolean }).isValid, true) // the shape of /v1/usage

    await it.json('keys', 'disable', String(added.id))
    await until('the key is refused', async () => (await ask()).status === 401)
  })
})
