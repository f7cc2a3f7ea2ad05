import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { migratedDatabase, run, type FreshDatabase } from '../../test/postgres.ts'
import { openDatabase, type Database, type Query } from '../database/database.ts'
import { silentLog } from '../observe/log.ts'
import { openMemoryStore } from '../store/memory.ts'
import { openAccess, type Access, type Lasting } from './access.ts'

const key = (name: string) => `sk-${name}-0123456789`
const add = (name: string, columns: Record<string, string>) => {
  const names = Object.keys(columns)
  return `INSERT INTO api_keys (name, key_hash, ${names.join(', ')})
    VALUES ('${name}', decode('${hash('sha256', key(name))}', 'hex'), ${Object.values(columns).join(', ')});`
}

const rows = `
  INSERT INTO users (id, email, balance, status, concurrency) VALUES
    (1, 'rich@x', 5, 'active', 3), (2, 'poor@x', 0, 'active', 3), (3, 'gone@x', 5, 'inactive', 3), (4, 'deleted@x', 5, 'active', 3);
  UPDATE users SET deleted_at = now() WHERE id = 4;
  INSERT INTO groups (id, name, subscription_type, daily_limit_usd) VALUES
    (4, 'closed', 'standard', NULL), (1, 'pay', 'standard', NULL), (2, 'plan', 'subscription', 10), (3, 'other-plan', 'subscription', 10);
  INSERT INTO user_subscriptions (user_id, group_id, status, expires_at, daily_window_start, daily_usage_usd) VALUES
    (1, 2, 'active', now() + interval '1 day', now(), 1), (2, 2, 'active', now() + interval '1 day', now(), 11),
    (1, 3, 'suspended', now() + interval '1 day', now(), 0);
  ${add('good', { user_id: '1', group_id: '1' })}
  ${add('plan', { user_id: '1', group_id: '2' })}
  ${add('inactive', { user_id: '1', status: "'inactive'" })}
  ${add('spent', { user_id: '1', status: "'quota_exhausted'" })}
  ${add('over', { user_id: '1', quota: '1', quota_used: '1' })}
  ${add('ended', { user_id: '1', expires_at: "now() - interval '1 s'" })}
  ${add('elsewhere', { user_id: '1', ip_whitelist: `'["10.0.0.0/8"]'` })}
  ${add('banned', { user_id: '1', ip_blacklist: `'["127.0.0.1"]'` })}
  ${add('broken', { user_id: '1', ip_whitelist: `'["not an address"]'` })}
  ${add('orphan', { user_id: '4' })}
  ${add('idle', { user_id: '3' })}
  ${add('poor', { user_id: '2' })}
  ${add('nosub', { user_id: '3', group_id: '2' })}
  ${add('limit', { user_id: '2', group_id: '2' })}
  ${add('halted', { user_id: '1', group_id: '3' })}
  ${add('closed', { user_id: '1', group_id: '4' })}
  UPDATE groups SET status = 'inactive' WHERE id = 4;`

/** Access on a database, with its statements counted. */
async function opened(
  db: FreshDatabase,
): Promise<{ access: Access; database: Database; asked: () => number; close: () => Promise<void> }> {
  const database = openDatabase(db.url, silentLog)
  await database.ready()
  let statements = 0
  const query: Query = (text, values) => {
    statements++
    return database.query(text, values)
  }
  const store = openMemoryStore()
  let lasting: Lasting | null = null
  let ending: (it: Lasting) => Promise<void> = async () => {}
  const counted = new Proxy(database, {
    get(it, name) {
      if (name === 'query') return query
      const value: unknown = Reflect.get(it, name, it)
      return typeof value === 'function' ? (value.bind(it) as unknown) : value
    },
  })
  const access = await openAccess(
    new Map(),
    { store, database: counted },
    async (open, close) => {
      ending = close
      return (lasting = open())
    },
    silentLog,
  )
  return {
    access,
    database,
    asked: () => statements,
    async close() {
      await ending(lasting!)
      await store.close()
      await database.close()
    },
  }
}

describe('a key of the database', () => {
  test('is checked in order, and the first that fails is told', async () => {
    await using db = await migratedDatabase()
    await run(db.url, rows)
    const { access, close } = await opened(db)
    const table: [string, number, string][] = [
      ['good', 200, ''],
      ['plan', 200, ''],
      ['nobody', 401, 'INVALID_API_KEY'],
      ['inactive', 401, 'API_KEY_DISABLED'],
      ['spent', 429, 'API_KEY_QUOTA_EXHAUSTED'],
      ['over', 429, 'API_KEY_QUOTA_EXHAUSTED'],
      ['ended', 403, 'API_KEY_EXPIRED'],
      ['elsewhere', 403, 'ACCESS_DENIED'],
      ['banned', 403, 'ACCESS_DENIED'],
      ['broken', 403, 'ACCESS_DENIED'],
      ['orphan', 401, 'USER_NOT_FOUND'],
      ['idle', 401, 'USER_INACTIVE'],
      ['poor', 403, 'INSUFFICIENT_BALANCE'],
      ['limit', 429, 'USAGE_LIMIT_EXCEEDED'],
      ['halted', 403, 'SUBSCRIPTION_INVALID'],
      ['closed', 401, 'API_KEY_DISABLED'],
    ]
    try {
      for (const [name, status, code] of table) {
        const { denial, principal } = await access.verify(key(name), '127.0.0.1')
        assert.deepEqual([denial?.status ?? 200, denial?.code ?? ''], [status, code], name)
        if (status === 200) assert.equal(principal?.name, name)
      }
      const { principal } = await access.verify(key('plan'), '127.0.0.1')
      assert.deepEqual(
        { ...principal, keyId: null, id: '' },
        {
          id: '',
          name: 'plan',
          keyId: null,
          userId: 1,
          groupId: 2,
          group: 'plan',
          concurrency: 3,
          billing: 'subscription',
          rateMultiplier: '1.0000',
        },
      )
    } finally {
      await close()
    }
  })

  test('is read once for a hundred who ask at the same time, and then not at all; nor is one that nobody has', async () => {
    await using db = await migratedDatabase()
    await run(db.url, rows)
    const { access, asked, close } = await opened(db)
    try {
      const verdicts = await Promise.all(
        Array.from({ length: 100 }, async () => access.verify(key('good'), '127.0.0.1')),
      )
      assert.ok(verdicts.every(({ denial }) => denial === null))
      assert.equal(asked(), 2, 'the key, and the balance')
      assert.ok(!(access.verify(key('good'), '127.0.0.1') instanceof Promise), 'known keys are answered at once')
      await Promise.all(Array.from({ length: 100 }, async () => access.verify('sk-nobody-has-this', '127.0.0.1')))
      assert.equal(asked(), 3)
    } finally {
      await close()
    }
  })

  test('counts as changed within a second of NOTIFY', async () => {
    await using db = await migratedDatabase()
    await run(db.url, rows)
    const { access, close } = await opened(db)
    try {
      assert.equal((await access.verify(key('good'), '127.0.0.1')).denial, null)
      const digest = hash('sha256', key('good'))
      await run(
        db.url,
        `UPDATE api_keys SET status = 'inactive' WHERE name = 'good'; NOTIFY access_changed, '${digest}'`,
      )
      const deadline = Date.now() + 1000
      let denial = null
      while (denial === null && Date.now() < deadline) {
        denial = (await access.verify(key('good'), '127.0.0.1')).denial
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      assert.equal(denial?.code, 'API_KEY_DISABLED')
    } finally {
      await close()
    }
  })

  test('that is used is written down, and the windows of its subscription are begun in the background', async () => {
    await using db = await migratedDatabase()
    await run(
      db.url,
      `${rows} UPDATE user_subscriptions SET daily_window_start = now() - interval '2 days', daily_usage_usd = 9 WHERE user_id = 1 AND group_id = 2`,
    )
    const { access, database, close } = await opened(db)
    assert.equal((await access.verify(key('plan'), '127.0.0.1')).denial, null)
    await close()
    const after = openDatabase(db.url, silentLog)
    await after.ready()
    const used = await after.query<{ used: boolean }>(
      `SELECT last_used_at IS NOT NULL AS used FROM api_keys WHERE name = 'plan'`,
    )
    const window = await after.query<{ usage: string; isNew: boolean }>(
      `SELECT daily_usage_usd AS usage, daily_window_start > now() - interval '25 hours' AS "isNew" FROM user_subscriptions WHERE user_id = 1 AND group_id = 2`,
    )
    assert.equal(used.rows[0]?.used, true)
    assert.deepEqual([Number(window.rows[0]?.usage), window.rows[0]?.isNew], [0, true])
    await after.close()
    assert.equal(database.kind, 'postgres')
  })
})

describe('through a gateway', () => {
  test('keys of gateway.yaml work while the database is dead, and those of the database are told that nobody knows', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      database: 'postgres://nobody@127.0.0.1:9/none',
      keys: [{ name: 'own', key: 'key-of-gateway-yaml' }],
      plugins: ['api-key-auth', 'anthropic'],
      upstreams: [{ name: 'a', provider: 'anthropic', url: upstream.url, key: 'u' }],
    })
    const ask = (credential: string) =>
      fetch(`${gw.url}/v1/messages`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-api-key': credential },
        body: '{}',
      })
    assert.equal((await ask('key-of-gateway-yaml')).status, 200)
    const unknown = await ask(key('good'))
    assert.equal(unknown.status, 503)
    assert.doesNotMatch(await unknown.text(), /127|ECONN|postgres/, 'why is for the log')
    const ready = (await (await fetch(`${gw.adminUrl}/readyz`)).json()) as { database: { state: string } } // our own page
    assert.notEqual(ready.database.state, 'up')
  })
})
