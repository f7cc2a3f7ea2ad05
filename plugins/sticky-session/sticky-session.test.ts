import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json, type FakeUpstream, type Script } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'
import { counterKey, type Counter } from './counters.ts'
import { shortHash } from './keys.ts'
import { again, probe, until } from './probe.fixture.ts'

interface FleetOptions {
  readonly options?: object
  /** Plugins between the providers and sticky-session, and below it. */
  readonly above?: GatewayOptions['plugins']
  readonly below?: GatewayOptions['plugins']
  readonly priorities?: Readonly<Record<string, number>>
}

const names = ['a', 'b', 'c']

/** Three upstreams of one API, each of which says who it is, behind a gateway that keeps sessions. */
async function fleet({ options = {}, above = [], below = [], priorities = {} }: FleetOptions = {}) {
  const around = probe()
  const upstreams = new Map<string, FakeUpstream>()
  for (const name of names) upstreams.set(name, await fakeUpstream(json(200, { at: name })))
  const yaml = (more: { without?: string; options?: object } = {}): GatewayOptions => ({
    plugins: [
      'openai',
      'anthropic',
      'gemini',
      ...above,
      around.chooser,
      { 'sticky-session': more.options ?? options },
      around.witness,
      ...below,
    ],
    upstreams: ['openai', 'anthropic', 'gemini'].flatMap((provider) =>
      names
        .filter((name) => name !== more.without)
        .map((name) => ({
          name: provider === 'openai' ? name : `${name}-${provider}`,
          provider,
          url: upstreams.get(name)?.url,
          key: 'k',
          priority: priorities[name] ?? 0,
        })),
    ),
  })
  const gw = await gateway(yaml())
  const count = async (counter: Counter) =>
    Number((await around.store.get(counterKey(new Date().toISOString().slice(0, 10), counter))) ?? 0)
  return {
    gw,
    around,
    script: (name: string, script: Script) => void (upstreams.get(name)!.script = script), // one of the names above
    /** Asks, and says which upstream has answered; its status where none has answered well. */
    async turn(session: string, headers: Record<string, string> = {}, first: string | null = null) {
      around.first = first
      const answer = await fetch(`${gw.url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', session_id: session, ...headers },
        body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x' }] }),
      })
      const body = (await answer.json()) as { at?: string } // as scripted above, or an error
      return body.at ?? String(answer.status)
    },
    reload: (more?: { without?: string; options?: object }) => gw.reload(yaml(more)),
    /** Lets the gateway before a reload end, which adds what it has counted. */
    async counted(counter: Counter) {
      assert.deepEqual(await gw.reload(yaml()), [])
      await until(() => gw.sidecar.retiring.size === 0, 'the old gateway has retired')
      return count(counter)
    },
    async [Symbol.asyncDispose]() {
      await gw[Symbol.asyncDispose]()
      for (const upstream of upstreams.values()) await upstream[Symbol.asyncDispose]()
    },
  }
}

describe('sticky-session', () => {
  test('keeps the turns of a session with the upstream that answered the first, whoever is first in the list', async () => {
    await using it = await fleet()
    assert.equal(await it.turn('s1', {}, 'b'), 'b')
    for (const first of ['a', 'c', 'a']) assert.equal(await it.turn('s1', {}, first), 'b')
    assert.equal(await it.turn('s2', {}, 'c'), 'c', 'another session goes where it would')
    assert.deepEqual(it.around.seen.at(-2)?.pin, { upstream: 'b', isHard: false })
    assert.equal(it.around.seen.at(-1)?.pin, null)
  })

  for (const [api, path, body] of [
    ['anthropic', '/v1/messages', { messages: [{ role: 'user', content: 'x' }] }],
    ['gemini', '/v1beta/models/m:generateContent', { contents: [{ parts: [{ text: 'x' }] }] }],
    ['openai', '/v1/responses', { input: 'x' }],
  ] as const) {
    test(`keeps sessions of ${api}, and puts their end off with every turn`, async () => {
      await using it = await fleet({ options: { refresh: '0ms' } })
      const turn = async (first: string) => {
        it.around.first = api === 'openai' ? first : `${first}-${api}`
        const headers = { 'content-type': 'application/json' }
        const answer = await fetch(it.gw.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
        return ((await answer.json()) as { at: string }).at // as scripted
      }
      assert.deepEqual([await turn('b'), await turn('a'), await turn('c')], ['b', 'b', 'b'])
      assert.equal(it.around.writes.length, 3)
      assert.ok(it.around.writes.every(([entry]) => entry?.ttl === 3_600_000))
    })
  }

  test('asks the store once for each exchange, hit or miss, and writes a session that stays at most once in a while', async () => {
    await using it = await fleet({ options: { refresh: '1h', ttl: '3h', session_hash_dual_write_old: false } })
    for (let turns = 1; turns <= 5; turns++) {
      await it.turn('s1')
      assert.equal(it.around.reads.length, turns)
      assert.equal(it.around.writes.length, 1)
    }
    assert.deepEqual(
      it.around.writes[0]?.map(({ value, ttl }) => [value, ttl]),
      [['a', 10_800_000]],
    )
  })

  test('keeps a session whose body it cannot read, by its header', async () => {
    await using it = await fleet()
    const turn = async (first: string) => {
      it.around.first = first
      const headers = { 'content-type': 'text/plain', session_id: 's1' }
      const answer = await fetch(`${it.gw.url}/v1/chat/completions`, { method: 'POST', headers, body: 'no JSON' })
      return ((await answer.json()) as { at: string }).at // as scripted
    }
    assert.deepEqual([await turn('b'), await turn('c')], ['b', 'b'])
  })

  test('asks nobody where nothing names a session', async () => {
    await using it = await fleet()
    const answer = await fetch(`${it.gw.url}/v1/models`)
    assert.equal(answer.status, 200)
    assert.deepEqual([it.around.reads.length, it.around.writes.length], [0, 0])
  })

  test('tells the others the session, with its tenant and without a credential', async () => {
    await using it = await fleet()
    await it.turn('s1', { authorization: 'Bearer sk-secret' })
    await it.turn('s1', { authorization: 'Bearer sk-other' })
    await it.turn('s1')
    const [mine, others, unknown] = it.around.seen.map(({ session }) => session)
    assert.match(mine ?? '', new RegExp(`^key@[0-9a-f]{32}:openai:${shortHash('s1')}$`))
    assert.notEqual(mine, others)
    assert.equal(unknown, `address@127.0.0.1:openai:${shortHash('s1')}`)
    assert.ok(!JSON.stringify([it.around.reads, it.around.writes]).includes('secret'))
    const tags = it.around.reads.map(([key]) => /^sticky_session:\{(.+)\}:x$/.exec(key ?? '')?.[1])
    assert.deepEqual(
      tags,
      [mine, others, unknown],
      'in braces, so that a cluster keeps what belongs together on one node',
    )
  })

  test('keeps tenants apart that name their sessions alike', async () => {
    await using it = await fleet({
      options: { session_hash_read_old_fallback: false, session_hash_dual_write_old: false },
    })
    const alice = { 'x-api-key': 'alice' }
    const bob = { 'x-api-key': 'bob' }
    assert.equal(await it.turn('s1', alice, 'b'), 'b')
    assert.equal(await it.turn('s1', bob, 'c'), 'c')
    assert.equal(await it.turn('s1', { authorization: 'Bearer alice' }, 'a'), 'b', 'the same key in another header')
    assert.equal(await it.turn('s1', bob, 'a'), 'c')
  })

  test('lets a session go on elsewhere when its upstream is gone from gateway.yaml, and it stays there', async () => {
    await using it = await fleet()
    assert.equal(await it.turn('s1', {}, 'b'), 'b')
    assert.deepEqual(await it.reload({ without: 'b' }), [])
    assert.equal(await it.turn('s1', {}, 'c'), 'c')
    assert.deepEqual(await it.reload(), [])
    assert.equal(await it.turn('s1', {}, 'b'), 'c')
    const move = it.gw.records.find(({ message }) => message === 'the session goes on at another upstream')
    assert.deepEqual([move?.from, move?.to, move?.reason, move?.level], ['b', 'c', 'is no candidate', 'debug'])
    assert.equal(await it.counted('moves'), 1)
  })

  test('leaves an upstream that fails, and stays where the session was answered', async () => {
    await using it = await fleet({ below: [again] })
    assert.equal(await it.turn('s1', {}, 'b'), 'b')
    it.script('b', json(503, { error: {} }))
    assert.equal(await it.turn('s1', {}, 'c'), 'c')
    it.script('b', json(200, { at: 'b' }))
    assert.equal(await it.turn('s1', {}, 'b'), 'c')
    const move = it.gw.records.find(({ message }) => message === 'the session goes on at another upstream')
    assert.equal(move?.reason, 'answered 503')
  })

  for (const status of [401, 402, 403, 429]) {
    test(`does not hold a session to an upstream that answers ${status}, though nobody else was asked`, async () => {
      await using it = await fleet()
      assert.equal(await it.turn('s1', {}, 'b'), 'b')
      it.script('b', json(status, { error: {} }))
      assert.equal(await it.turn('s1'), String(status))
      assert.equal(await it.turn('s1', {}, 'c'), 'c')
    })
  }

  test('does not hold a session to an upstream that cannot be reached, or whose answer breaks off', async () => {
    await using it = await fleet()
    assert.equal(await it.turn('s1', {}, 'b'), 'b')
    it.script('b', (_asked, response) => void response.destroy())
    assert.equal(await it.turn('s1'), '502')
    assert.equal(await it.turn('s1', {}, 'c'), 'c')
    it.script('c', (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {"choices":[{"delta":{"content":"x"}}]}\n\n', () => setImmediate(() => response.destroy()))
    })
    await assert.rejects(it.turn('s1'))
    it.script('b', json(200, { at: 'b' }))
    assert.equal(await it.turn('s1', {}, 'b'), 'b')
  })

  test('holds a session through errors that say nothing against its upstream', async () => {
    await using it = await fleet()
    assert.equal(await it.turn('s1', {}, 'b'), 'b')
    for (const status of [400, 404, 500]) {
      it.script('b', json(status, { error: {} }))
      assert.equal(await it.turn('s1'), String(status))
    }
    it.script('b', json(200, { at: 'b' }))
    assert.equal(await it.turn('s1', {}, 'c'), 'b')
  })

  test('binds nothing to an upstream that has not answered well', async () => {
    await using it = await fleet()
    for (const status of [400, 401, 500]) {
      it.script('a', json(status, { error: {} }))
      assert.equal(await it.turn('s1'), String(status))
    }
    assert.equal(it.around.writes.length, 0)
    assert.equal(await it.turn('s1', {}, 'b'), 'b')
  })

  test('goes before priority, or within it where it shall not', async () => {
    await using before = await fleet({ priorities: { c: 1 } })
    assert.equal(await before.turn('s1', {}, 'c'), 'c')
    assert.equal(await before.turn('s1'), 'c')
    await using within = await fleet({ priorities: { b: 1, c: 1 }, options: { across_priorities: false } })
    assert.equal(await within.turn('s1', {}, 'c'), 'c', 'a fallback, while the better one rests')
    assert.equal(await within.turn('s1'), 'a', 'back, once it may be asked again')
    await within.turn('s2', {}, 'c')
    await within.turn('s2')
    const orders = within.around.seen.slice(-1).map(({ order }) => order)
    assert.deepEqual(orders, [['a', 'c', 'b']])
  })
})
