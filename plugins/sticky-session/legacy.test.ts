import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import type { Plugin } from 'postern/plugin'
import { definePlugin } from 'postern/plugin'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'
import { counterKey, counters } from './counters.ts'
import { shortHash } from './keys.ts'
import { probe, until } from './probe.fixture.ts'

/** As the old system spelt it, written here once more. */
const oldKey = (id: string, group = '0') =>
  `sticky_session:${group}:openai:${createHash('sha256').update(id).digest('hex')}`
const newKey = (id: string) => `sticky_session:{address@127.0.0.1:openai:${shortHash(id)}}:x`
const off = { session_hash_dual_write_old: false, session_hash_read_old_fallback: false }

async function fleet(options: object = {}, above: readonly Plugin[] = []) {
  const around = probe()
  const upstreams = await Promise.all(['a', 'b', 'c'].map((at) => fakeUpstream(json(200, { at }))))
  const yaml = (options: object): GatewayOptions => ({
    plugins: ['openai', 'anthropic', ...above, around.chooser, { 'sticky-session': options }, around.witness],
    upstreams: ['openai', 'anthropic'].flatMap((provider) =>
      upstreams.map(({ url }, at) => ({
        name: `${'abc'[at]}${provider === 'openai' ? '' : '2'}`,
        provider,
        url,
        key: 'k',
      })),
    ),
  })
  const gw = await gateway(yaml(options))
  return {
    gw,
    around,
    reload: (options: object) => gw.reload(yaml(options)),
    async turn(session: string, first: string | null = null): Promise<string> {
      around.first = first
      const headers = { 'content-type': 'application/json', session_id: session }
      const answer = await fetch(`${gw.url}/v1/responses`, { method: 'POST', headers, body: '{}' })
      return ((await answer.json()) as { at: string }).at // as scripted above
    },
    /** What was counted, once the gateway that counted it has retired. */
    async counts(options: object) {
      assert.deepEqual(await gw.reload(yaml(options)), [])
      await until(() => gw.sidecar.retiring.size === 0, 'the old gateway has retired')
      const day = new Date().toISOString().slice(0, 10)
      const values = await Promise.all(counters.map((counter) => around.store.get(counterKey(day, counter))))
      return Object.fromEntries(counters.map((counter, at) => [counter, Number(values[at] ?? 0)]))
    },
    async [Symbol.asyncDispose]() {
      await gw[Symbol.asyncDispose]()
      for (const upstream of upstreams) await upstream[Symbol.asyncDispose]()
    },
  }
}

describe('beside an old system, sticky-session', () => {
  test('finds what it wrote, and takes the session over under the new key', async () => {
    await using it = await fleet()
    await it.turn('other')
    await it.around.store.set({ key: oldKey('s1'), value: 'b', ttl: 60_000 })
    assert.equal(await it.turn('s1', 'c'), 'b')
    assert.equal(await it.around.store.get(newKey('s1')), 'b')
    await it.around.store.delete([oldKey('s1')])
    assert.equal(await it.turn('s1', 'c'), 'b')
    const { sticky_reads, fallback_total, fallback_hit } = await it.counts({})
    assert.deepEqual(
      { sticky_reads, fallback_total, fallback_hit },
      { sticky_reads: 3, fallback_total: 2, fallback_hit: 1 },
    )
  })

  test('asks for both keys in one round trip, hit or miss', async () => {
    await using it = await fleet()
    await it.turn('s1')
    await it.turn('s1')
    assert.deepEqual(it.around.reads, [
      [newKey('s1'), oldKey('s1')],
      [newKey('s1'), oldKey('s1')],
    ])
  })

  test('writes both keys in one round trip, the old one for ten minutes at most', async () => {
    await using it = await fleet()
    await it.turn('s1', 'b')
    const both = [
      { key: newKey('s1'), value: 'b', ttl: 3_600_000 },
      { key: oldKey('s1'), value: 'b', ttl: 600_000 },
    ]
    assert.deepEqual(it.around.writes[0], both)
    await using brief = await fleet({ ttl: '1m' })
    await brief.turn('s1')
    assert.deepEqual(
      brief.around.writes[0]?.map(({ ttl }) => ttl),
      [60_000, 60_000],
    )
  })

  test('speaks of upstreams by the account ids that it knew', async () => {
    await using it = await fleet({ legacy_accounts: { '17': 'b', '18': 'c' } })
    await it.turn('other', 'c')
    assert.equal(await it.around.store.get(oldKey('other')), '18')
    await it.around.store.set({ key: oldKey('s1'), value: '17', ttl: 60_000 })
    assert.equal(await it.turn('s1', 'c'), 'b')
    await it.around.store.set({ key: oldKey('s2'), value: '99', ttl: 60_000 })
    assert.equal(await it.turn('s2', 'c'), 'c', 'an account that is none of ours binds nothing')
  })

  test('looks in the group of the principal, and names tenants by it', async () => {
    const admits = definePlugin({
      name: 'admits',
      config: { type: 'object', description: 'Admits all.', additionalProperties: false, properties: {} },
      writes: ['principal' as never],
      setup: () => ({
        onRequest({ facts }) {
          // The fact belongs to plugins that come with an API key.
          Object.assign(facts, { principal: { id: 'team:{1}', group: '7' } })
        },
      }),
    })
    await using it = await fleet({}, [admits])
    await it.turn('s1', 'b')
    assert.deepEqual(it.around.reads[0], [
      `sticky_session:{team%3A%7B1%7D:openai:${shortHash('s1')}}:x`,
      oldKey('s1', '7'),
    ])
  })

  test('knows an Anthropic session by the uuid alone, as the old keys did', async () => {
    await using it = await fleet()
    const uuid = '0f8fad5b-d9cb-469f-a165-70867728950e'
    const body = JSON.stringify({ metadata: { user_id: `user_x_account__session_${uuid}` }, messages: [] })
    await fetch(`${it.gw.url}/v1/messages`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    assert.equal(it.around.reads[0]?.[1], `sticky_session:0:${uuid}`)
  })

  test('believes the new key where the two disagree, and raises an alert', async () => {
    await using it = await fleet()
    await it.turn('s1', 'b')
    await it.around.store.set({ key: oldKey('s1'), value: 'c', ttl: 60_000 })
    assert.equal(await it.turn('s1', 'a'), 'b')
    assert.equal((await it.counts({})).alerts, 1)
    const line = it.gw.records.find(({ alerts }) => alerts === 1)
    assert.deepEqual([line?.level, line?.latest], ['warn', { key: newKey('s1'), upstream: 'b', old: 'c' }])
  })

  test('keeps every session on its upstream while the switches go off in order, and counts less and less', async () => {
    await using it = await fleet()
    const turns = async () => {
      for (let at = 0; at < 10; at++) assert.equal(await it.turn(`s${at}`, 'a'), at % 2 ? 'b' : 'c')
    }
    await it.turn('first')
    for (let at = 0; at < 10; at++) {
      await it.around.store.set({ key: oldKey(`s${at}`), value: at % 2 ? 'b' : 'c', ttl: 60_000 })
    }
    await turns()
    const both = await it.counts({ ...off, session_hash_read_old_fallback: true })
    assert.deepEqual(
      [both.sticky_reads, both.fallback_total, both.fallback_hit, both.dual_writes, both.alerts],
      [11, 11, 10, 11, 0],
    )
    await turns()
    const written = it.around.writes.flat().filter(({ key }) => key.startsWith('sticky_session:0:')).length
    await it.turn('late', 'b')
    assert.equal(await it.around.store.get(oldKey('late')), null)
    const reads = await it.counts(off)
    assert.deepEqual([reads.sticky_reads, reads.fallback_total, reads.fallback_hit], [22, 12, 10])
    assert.equal(reads.dual_writes, written)
    assert.equal(reads.dual_writes, 11)
    await turns()
    assert.deepEqual(it.around.reads.at(-1), [newKey('s9')])
    const alone = await it.counts(off)
    assert.deepEqual([alone.sticky_reads, alone.fallback_total, alone.dual_writes], [32, 12, 11])
  })

  test('warns at load where old keys would be written and not read, and counts it as an alert', async () => {
    await using it = await fleet({ session_hash_read_old_fallback: false })
    const warning = it.gw.records.find(({ level, plugin }) => level === 'warn' && plugin === 'sticky-session')
    assert.match(warning?.message ?? '', /turn session_hash_dual_write_old off first/)
    assert.equal((await it.counts({})).alerts, 1)
  })
})

describe('while the store is down', () => {
  test('exchanges go on without a pin, and what failed is counted and told', async () => {
    await using it = await fleet()
    assert.equal(await it.turn('s1', 'b'), 'b')
    it.around.outage = new Error('down')
    assert.equal(await it.turn('s1', 'c'), 'c')
    assert.equal(it.around.seen.at(-1)?.pin, null)
    it.around.outage = null
    assert.equal(await it.turn('s1', 'a'), 'b', 'and after it, where the store says')
    assert.equal((await it.counts({})).store_errors, 1)
    assert.ok(it.gw.records.some(({ level, store_errors }) => level === 'warn' && store_errors === 1))
  })

  test('nothing is written over a binding that could not be read', async () => {
    await using it = await fleet()
    assert.equal(await it.turn('s1', 'b'), 'b')
    const written = it.around.writes.length
    it.around.outage = new Error('down')
    const turn = it.turn('s1', 'c')
    await until(() => it.around.reads.length === 2, 'the store was asked')
    it.around.outage = null
    assert.equal(await turn, 'c')
    assert.equal(it.around.writes.length, written)
  })
})
