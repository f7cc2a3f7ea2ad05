import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../../core/database/until.fixture.ts'
import { disableAccount, restAccount, setAccount } from '../../core/records/accounts.ts'
import { addGroup, setGroup } from '../../core/records/groups.ts'
import { fakeUpstream, json, type FakeUpstream } from '../../test/fake-upstream.ts'
import type { TestGateway } from '../../test/harness.ts'
import { askUntil, before, caller, records, secret, type ask, type Records } from './accounts.fixture.ts'

/** Two groups with an account each, and one account without a group; each tells which one it is. */
async function tenants(db: Records, upstream: FakeUpstream) {
  const acme = await addGroup(db.db, { name: 'acme' })
  const globex = await addGroup(db.db, { name: 'globex' })
  await db.add('of-acme', { url: upstream.url, groups: ['acme'] })
  await db.add('of-globex', { url: upstream.url, groups: ['globex'] })
  await db.add('of-all', { url: upstream.url, priority: 90 })
  return { acme, globex }
}

const telling = () =>
  fakeUpstream((asked, response) => json(200, { key: asked.headers.authorization })(asked, response, undefined!))

async function keyFor(gw: TestGateway, how: Parameters<typeof ask>[1]): Promise<string> {
  const { key } = (await (await askUntil(gw, 200, how)).json()) as { key: string } // as the upstream tells it
  return key.replace('Bearer key-', '')
}

describe('accounts of a group', () => {
  test('serve its callers alone; those of no group serve everyone', async () => {
    await using db = await records()
    await using upstream = await telling()
    const { acme, globex } = await tenants(db, upstream)
    await using gw = await before(db.url)
    for (let times = 0; times < 3; times++) {
      assert.equal(await keyFor(gw, { group: acme }), 'of-acme')
      assert.equal(await keyFor(gw, { group: globex }), 'of-globex')
      assert.equal(await keyFor(gw, {}), 'of-all')
      assert.equal(await keyFor(gw, { group: 999 }), 'of-all')
    }
    await disableAccount(db.db, 'of-acme')
    await until(async () => (await keyFor(gw, { group: acme })) === 'of-all')
  })

  test('serve its callers and nobody else does, where accounts without a group are for callers without one', async () => {
    await using db = await records()
    await using upstream = await telling()
    const { acme } = await tenants(db, upstream)
    await using gw = await before(db.url, { ungrouped: 'ungrouped' })
    assert.equal(await keyFor(gw, { group: acme }), 'of-acme')
    assert.equal(await keyFor(gw, {}), 'of-all')
    await disableAccount(db.db, 'of-acme')
    const refused = await askUntil(gw, 503, { group: acme })
    assert.doesNotMatch(await refused.text(), /globex/, 'nothing is said of others')
  })

  test('may be in several, and are where they were put last', async () => {
    await using db = await records()
    await using upstream = await telling()
    const { acme, globex } = await tenants(db, upstream)
    await using gw = await before(db.url)
    await setAccount(db.db, 'of-acme', { groups: ['acme', 'globex'], priority: 1 })
    await until(async () => (await keyFor(gw, { group: globex })) === 'of-acme')
    assert.equal(await keyFor(gw, { group: acme }), 'of-acme')
    await setAccount(db.db, 'of-acme', { groups: ['globex'] })
    await until(async () => (await keyFor(gw, { group: acme })) === 'of-all')
  })

  test('of a group that is gone serve nobody, rather than everybody', async () => {
    await using db = await records()
    await using upstream = await telling()
    await tenants(db, upstream)
    await db.db.query(`UPDATE groups SET deleted_at = now()`)
    await using gw = await before(db.url)
    for (let times = 0; times < 5; times++) assert.equal(await keyFor(gw, {}), 'of-all')
  })
})

describe('the routes of a group', () => {
  test('say who is asked for a model: an exact name before a beginning, a longer one before a shorter one', async () => {
    await using db = await records()
    await using upstream = await telling()
    const group = await addGroup(db.db, { name: 'g' })
    const [one, two, three] = [
      await db.add('one', { url: upstream.url, groups: ['g'], priority: 1 }),
      await db.add('two', { url: upstream.url, groups: ['g'], priority: 2 }),
      await db.add('three', { url: upstream.url, groups: ['g'], priority: 3 }),
    ]
    await setGroup(db.db, 'g', {
      model_routing: { 'gpt-*': [two], 'gpt-5*': [three, 77], 'gpt-5': [one, two] },
      model_routing_enabled: true,
    })
    await using gw = await before(db.url)
    assert.equal(await keyFor(gw, { group, model: 'gpt-4' }), 'two')
    assert.equal(await keyFor(gw, { group, model: 'gpt-5-mini' }), 'three')
    assert.equal(await keyFor(gw, { group, model: 'gpt-5' }), 'one')
    assert.equal(await keyFor(gw, { group, model: 'o3' }), 'one')
    await setGroup(db.db, 'g', { model_routing_enabled: false })
    await until(async () => (await keyFor(gw, { group, model: 'gpt-5-mini' })) === 'one')
  })

  test('lead to the others of the group where nobody on them can be asked', async () => {
    await using db = await records()
    await using upstream = await telling()
    const group = await addGroup(db.db, { name: 'g' })
    await db.add('one', { url: upstream.url, groups: ['g'] })
    const two = await db.add('two', { url: upstream.url, groups: ['g'], priority: 90 })
    await setGroup(db.db, 'g', { model_routing: { m: [two] }, model_routing_enabled: true })
    await using gw = await before(db.url)
    assert.equal(await keyFor(gw, { group }), 'two')
    await restAccount(db.db, 'two', 60_000, 'x')
    await until(async () => (await keyFor(gw, { group })) === 'one')
  })

  test('are kept to when one on them fails: the next one is on them too', async () => {
    await using db = await records()
    await using upstream = await telling()
    await using broken = await fakeUpstream(json(500, { error: { message: 'no' } }))
    const group = await addGroup(db.db, { name: 'g' })
    await db.add('unrouted', { url: upstream.url, groups: ['g'], priority: 1 })
    const first = await db.add('first', { url: broken.url, groups: ['g'], priority: 80 })
    const second = await db.add('second', { url: upstream.url, groups: ['g'], priority: 90 })
    await setGroup(db.db, 'g', { model_routing: { m: [first, second] }, model_routing_enabled: true })
    const plugins = ['openai', caller, { accounts: { secrets: [secret], allow_private: true } }, 'failover']
    await using gw = await before(db.url, {}, { plugins })
    assert.equal(await keyFor(gw, { group }), 'second')
    assert.equal(broken.asked.length, 1)
  })
})
