import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, type Upstream } from 'postern/plugin'
import { until } from '../../core/database/until.fixture.ts'
import { disableAccount, enableAccount, restAccount, setAccount, wakeAccount } from '../../core/records/accounts.ts'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { ask, askUntil, before, options, records, secret } from './accounts.fixture.ts'

describe('accounts of the database', () => {
  test('are asked, with their own credentials, as soon as they are added', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(200, { ok: true }))
    await using gw = await before(db.url)
    assert.equal((await ask(gw)).status, 503, 'there are none yet')
    await db.add('one', { url: upstream.url })
    await askUntil(gw, 200)
    assert.equal(upstream.asked[0]?.headers.authorization, 'Bearer key-one')
  })

  for (const host of ['127.0.0.1', 'localhost']) {
    test(`are not asked at ${host} without permission, for a row of the database is not gateway.yaml`, async () => {
      await using db = await records()
      await using upstream = await fakeUpstream(json(200, { ok: true }))
      await db.add('one', { url: upstream.url.replace('127.0.0.1', host) })
      await using gw = await before(db.url, { allow_private: false })
      assert.match(await (await askUntil(gw, 502)).text(), /does not dial: it is loopback/)
      assert.equal(await upstream.connections(), 0)
      assert.deepEqual(await gw.reload(options(db.url, { allow_private: true })), [])
      await askUntil(gw, 200)
    })
  }

  test('are asked by their priority, for the models they serve, beside the upstreams of gateway.yaml', async () => {
    await using db = await records()
    await using own = await fakeUpstream(json(200, { from: 'gateway.yaml' }))
    await using first = await fakeUpstream(json(200, { from: 'first' }))
    await using second = await fakeUpstream(json(200, { from: 'second' }))
    await db.add('second', { url: second.url, priority: 20 })
    await db.add('first', { url: first.url, priority: 10, models: ['gpt-5*'] })
    const upstreams = [{ name: 'own', provider: 'openai', url: own.url, key: 'k', priority: 30 }]
    await using gw = await before(db.url, {}, { upstreams })
    const say = async (model: string) => (await ask(gw, { model })).text()
    await until(async () => (await say('gpt-5-mini')) === '{"from":"first"}')
    assert.equal(await say('o3'), '{"from":"second"}')
    await disableAccount(db.db, 'second')
    await until(async () => (await say('o3')) === '{"from":"gateway.yaml"}')
  })

  test('are not asked while they are disabled, unschedulable or expired, nor from the moment they expire', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(200, {}))
    const id = await db.add('one', { url: upstream.url })
    await using gw = await before(db.url)
    await askUntil(gw, 200)
    await disableAccount(db.db, 'one')
    await askUntil(gw, 503)
    await enableAccount(db.db, 'one')
    await askUntil(gw, 200)
    await setAccount(db.db, 'one', { schedulable: false })
    await askUntil(gw, 503)
    await setAccount(db.db, 'one', { schedulable: true, expires_at: new Date(Date.now() + 400) })
    await askUntil(gw, 200)
    // Nothing tells of this one: it is the time.
    await askUntil(gw, 503)
    await setAccount(db.db, String(id), { auto_pause_on_expired: false })
    await askUntil(gw, 200)
  })

  test('are not asked while they rest, and again when the rest is over, or when an operator ends it', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(200, {}))
    await db.add('one', { url: upstream.url })
    await using gw = await before(db.url)
    await askUntil(gw, 200)
    await restAccount(db.db, 'one', 60_000, 'an operator')
    const refused = await askUntil(gw, 503)
    assert.match(JSON.stringify(await refused.json()), /account:1 is resting \((60|59) s\)/)
    assert.ok(Number(refused.headers.get('retry-after')) >= 59)
    await wakeAccount(db.db, 'one')
    await askUntil(gw, 200)
    await restAccount(db.db, 'one', 500, 'an operator')
    await askUntil(gw, 503)
    await askUntil(gw, 200)
  })

  test('rest by a rate limit is told as one: 429', async () => {
    await using db = await records()
    const id = await db.add('one', { url: 'http://127.0.0.1:9' })
    await using gw = await before(db.url)
    await until(async () => (await ask(gw)).status === 502)
    await db.db.query(`UPDATE accounts SET rate_limit_reset_at = now() + interval '1 minute' WHERE id = $1`, [id])
    await db.db.query(`SELECT pg_notify('accounts_changed', 'all')`)
    await askUntil(gw, 429)
  })

  test('are the very same upstreams as long as nothing that matters changes', async () => {
    await using db = await records()
    const id = await db.add('one', { url: 'http://127.0.0.1:9' })
    const seen: Upstream[] = []
    const watcher = definePlugin({
      name: 'watcher',
      config: { type: 'object', additionalProperties: false },
      setup: () => ({
        rankUpstreams(_exchange, candidates) {
          seen.push(...candidates)
          return candidates
        },
      }),
    })
    await using gw = await gateway(
      options(db.url, {}, { plugins: ['openai', { accounts: { secrets: [secret], allow_private: true } }, watcher] }),
    )
    const look = async () => {
      await until(async () => {
        seen.length = 0
        await (await ask(gw)).text()
        return seen.length > 0
      })
      return seen[0]!
    }
    const first = await look()
    assert.equal(first.name, 'account:1')
    // A note, a use and a new seal of the same key are nothing that matters.
    await setAccount(db.db, 'one', { notes: 'seen' }, null)
    await db.db.query('UPDATE accounts SET last_used_at = now() WHERE id = $1', [id])
    await restAccount(db.db, 'one', 60_000, 'x')
    await until(async () => {
      seen.length = 0
      await (await ask(gw)).text()
      return seen.length === 0
    })
    await wakeAccount(db.db, 'one')
    assert.equal(await look(), first)
    await setAccount(db.db, 'one', { priority: 7, extra: { websocket: false } })
    await until(async () => (await look()).priority === 7)
    assert.notEqual(seen[0], first)
    assert.equal(seen[0]?.websocket, false)
  })

  test('stay as they were while the database is away, and are there at once after a reload', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(200, {}))
    await db.add('one', { url: upstream.url })
    await using gw = await before(db.url)
    await askUntil(gw, 200)
    await db.db.query('ALTER TABLE accounts RENAME TO gone')
    await db.db.query(`SELECT pg_notify('accounts_changed', 'all')`)
    await until(() => gw.records.some(({ message }) => message.includes('the last list is kept')))
    assert.equal((await ask(gw)).status, 200)
    assert.deepEqual(await gw.reload(options(db.url, { refresh: '20s' })), [])
    assert.equal((await ask(gw)).status, 200, 'without a moment in which there are none')
    await db.db.query('ALTER TABLE gone RENAME TO accounts')
    await disableAccount(db.db, 'one')
    await askUntil(gw, 503)
  })

  test('go by platform to the provider that is said to serve it', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(200, {}))
    await db.add('one', { url: upstream.url, platform: 'copilot' })
    await using gw = await before(db.url, { providers: { copilot: 'openai' } })
    await askUntil(gw, 200)
  })

  test('can be called by their names, but for those that gateway.yaml has taken', async () => {
    await using db = await records()
    await db.add('mine', { url: 'http://127.0.0.1:9' })
    await db.add('yours', { url: 'http://127.0.0.1:9' })
    for (const name of ['mine', 'yours']) await restAccount(db.db, name, 60_000, 'x')
    const upstreams = [{ name: 'yours', provider: 'openai', url: 'http://127.0.0.1:9', key: 'k', models: ['other'] }]
    await using gw = await before(db.url, { named_by: 'name' }, { upstreams })
    await until(async () => /mine is resting \(\d+ s\), account:2 is resting/.test(await (await ask(gw)).text()))
  })

  test('without an address, of a provider without one, are passed over', async () => {
    await using db = await records()
    await db.add('one', { platform: 'antigravity' })
    await using gw = await before(
      db.url,
      {},
      { plugins: ['antigravity', { accounts: { secrets: [secret], allow_private: true } }] },
    )
    const path = '/antigravity/v1/messages'
    const body = JSON.stringify({ model: 'm', max_tokens: 1, messages: [] })
    const headers = { 'content-type': 'application/json' }
    const say = async () => (await fetch(`${gw.url}${path}`, { method: 'POST', headers, body })).text()
    await until(async () => /account:1 has no address|none is configured/.test(await say()))
  })
})

describe('an operator’s word', () => {
  test('reaches whoever else remembers a rest: every process tells its store', async () => {
    await using db = await records()
    await db.add('one', { url: 'http://127.0.0.1:9' })
    const heard: string[] = []
    const listener = definePlugin({
      name: 'listener',
      config: { type: 'object', additionalProperties: false },
      async setup({ store, signal }) {
        const end = await store.subscribe('upstreams_woken', (message) => heard.push(message))
        signal.addEventListener('abort', () => void end())
        return {}
      },
    })
    const plugins = ['openai', listener, { accounts: { secrets: [secret], allow_private: true } }]
    await using gw = await gateway(options(db.url, {}, { plugins }))
    await until(async () => (await ask(gw)).status === 502)
    await restAccount(db.db, 'one', 60_000, 'x')
    await setAccount(db.db, 'one', { notes: 'x' })
    await wakeAccount(db.db, 'one')
    await until(() => heard.length > 0)
    assert.deepEqual(heard, ['account:1'])
  })
})

describe('accounts that cannot be asked', () => {
  test('are said to be so once, with the reason, and the others go on', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(200, {}))
    await db.add('sealed with another key', { url: upstream.url })
    await db.add('changed', { url: upstream.url })
    await db.add('of nowhere', { url: upstream.url })
    await db.add('well', { url: upstream.url })
    await db.db.query(
      `UPDATE accounts SET credentials = set_byte(credentials, 2, get_byte(credentials, 2) # 1) WHERE id = 1`,
    )
    await db.db.query(
      `UPDATE accounts SET credentials = set_byte(credentials, 20, get_byte(credentials, 20) # 1) WHERE id = 2`,
    )
    await db.db.query(`UPDATE accounts SET url = 'ftp://x' WHERE id = 3`)
    await using gw = await before(db.url)
    await askUntil(gw, 200)
    await db.db.query(`SELECT pg_notify('accounts_changed', 'all')`)
    await disableAccount(db.db, 'well')
    await askUntil(gw, 503)
    assert.equal(
      upstream.asked.every(({ headers }) => headers.authorization === 'Bearer key-well'),
      true,
    )
    const said = gw.records.filter(({ level }) => level === 'error').map(({ message }) => message)
    assert.equal(said.length, 3)
    assert.match(said[0] ?? '', /^account 1 cannot be asked: they were sealed with a key that is not in secrets/)
    assert.match(said[1] ?? '', /^account 2 .* were changed since they were sealed, or belong to another account/)
    assert.match(said[2] ?? '', /^account 3 .* its url is no address/)
  })

  test('for want of a secret are not asked; those that pass on the client’s own credential are', async () => {
    await using db = await records()
    await using upstream = await fakeUpstream(json(200, {}))
    await db.add('sealed', { url: upstream.url })
    const { addAccount } = await import('../../core/records/accounts.ts')
    await addAccount(db.db, { name: 'open', platform: 'openai', url: upstream.url }, null)
    await using gw = await before(db.url, { secrets: [] })
    await askUntil(gw, 200)
    assert.ok(
      gw.records.some(({ message }) =>
        /account 1 cannot be asked: .*secrets, which would open them, is empty/.test(message),
      ),
    )
  })

  test('with a proxy are not asked without it', async () => {
    await using db = await records()
    const id = await db.add('one', { url: 'http://127.0.0.1:9' })
    await db.db.query(`INSERT INTO proxies (name, protocol, host, port) VALUES ('p', 'http', 'h', 1)`)
    await db.db.query('UPDATE accounts SET proxy_id = 1 WHERE id = $1', [id])
    await using gw = await before(db.url)
    await until(() => gw.records.some(({ message }) => /through a proxy, which is not supported/.test(message)))
    assert.equal((await ask(gw)).status, 503)
  })

  test('a secret that is too short is a problem of gateway.yaml', async () => {
    await using db = await records()
    await using gw = await before(db.url)
    const [problem] = await gw.reload(options(db.url, { secrets: ['short'] }))
    assert.match(problem?.message ?? '', /one of secrets has fewer than 32 characters/)
  })

  test('a gateway.yaml without a database is refused', async () => {
    await assert.rejects(gateway({ plugins: ['openai', 'accounts'] }), /accounts needs a database/)
  })
})
