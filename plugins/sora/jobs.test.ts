import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, StoreDown, type Plugin, type Store, type StoreEntry } from 'postern/plugin'
import { fakeUpstream, json, type FakeUpstream } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../../test/harness.ts'
import sora from './index.ts'
import { studio } from './studio.fixture.ts'

type Plugins = GatewayOptions['plugins']

/** Account a serves sora-2 and b sora-2-pro, so that the model decides who makes a video. */
const accounts = (a: string, b: string) => [
  { name: 'a', provider: 'sora', url: a, key: 'key-a', models: ['sora-2'] },
  { name: 'b', provider: 'sora', url: b, key: 'key-b', models: ['sora-2-pro'] },
]
const between = (a: string, b: string, plugins: Plugins = ['sora']) => gateway({ plugins, upstreams: accounts(a, b) })

async function ask(gw: TestGateway, path: string, init?: RequestInit): Promise<{ status: number; body: string }> {
  const answer = await fetch(`${gw.url}/sora${path}`, init)
  return { status: answer.status, body: await answer.text() }
}

const post = (body: object) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})

/** Makes a video at account b; its id. */
async function makeAtB(gw: TestGateway): Promise<string> {
  const { body } = await ask(gw, '/v1/videos', post({ model: 'sora-2-pro', prompt: 'a heron' }))
  return (JSON.parse(body) as { id: string }).id // as the studio tells it
}

/** What was asked there, after which it is forgotten. */
const askedOf = (upstream: FakeUpstream) =>
  (upstream.asked as FakeUpstream['asked'][number][]).splice(0).map(({ method, url }) => `${method} ${url}`) // its own list

/** The provider with a store that differs from the gateway's in some methods. */
const withStore = (other: (store: Store) => Partial<Store>): Plugin => ({
  ...sora,
  setup(context) {
    const { store } = context
    const kept: Partial<Store> = { get: (key) => store.get(key), set: (entry) => store.set(entry), ...other(store) }
    return sora.setup({ ...context, store: kept as Store }) // the provider knows only these two
  },
})

describe('a video', () => {
  test('is asked for where it was made, whatever is asked', async () => {
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(studio('b').script)
    await using gw = await between(a.url, b.url)
    const id = await makeAtB(gw)
    assert.deepEqual(askedOf(b), ['POST /v1/videos'])

    for (const path of [`/v1/videos/${id}`, `/v1/videos/${id}/content`, `/media/${id}`]) {
      assert.equal((await ask(gw, path)).status, 200, path)
    }
    const remix = await ask(gw, `/v1/videos/${id}/remix`, post({ prompt: 'at night' }))
    const remixed = (JSON.parse(remix.body) as { id: string }).id // as the studio tells it
    assert.equal((await ask(gw, `/v1/videos/${remixed}`)).status, 200)
    assert.equal((await ask(gw, `/v1/videos/${id}`, { method: 'DELETE' })).status, 200)
    assert.deepEqual(askedOf(b), [
      `GET /v1/videos/${id}`,
      `GET /v1/videos/${id}/content`,
      `GET /v1/videos/${id}/content`,
      `POST /v1/videos/${id}/remix`,
      `GET /v1/videos/${remixed}`,
      `DELETE /v1/videos/${id}`,
    ])
    assert.deepEqual(askedOf(a), [])
  })

  test('that JSON edits or extends is edited where it was made', async () => {
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(studio('b').script)
    await using gw = await between(a.url, b.url)
    const id = await makeAtB(gw)
    for (const path of ['/v1/videos/edits', '/v1/videos/extensions']) {
      const { body } = await ask(gw, path, post({ prompt: 'bluer', video: { id } }))
      assert.match(body, /"video_b_\d"/)
    }
    assert.deepEqual(askedOf(a), [])
  })

  test('tells where a list goes on', async () => {
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(studio('b').script)
    await using gw = await between(a.url, b.url)
    const id = await makeAtB(gw)
    assert.match((await ask(gw, `/v1/videos?limit=1&after=${id}`)).body, new RegExp(id))
    assert.deepEqual(askedOf(a), [])
    assert.doesNotMatch(
      (await ask(gw, '/v1/videos?limit=1')).body,
      new RegExp(id),
      'a list begins at the first account',
    )
  })

  test('that its account does not know any more is asked for nowhere else', async () => {
    const { script } = studio('b')
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(script)
    await using gw = await between(a.url, b.url)
    const id = await makeAtB(gw)
    await ask(gw, `/v1/videos/${id}`, { method: 'DELETE' })
    assert.equal((await ask(gw, `/v1/videos/${id}`)).status, 404)
    assert.deepEqual(askedOf(a), [])
  })

  test('stays with its account while that fails, failover or not', async () => {
    for (const plugins of [['sora'], ['sora', 'failover']]) {
      await using a = await fakeUpstream(studio('a').script)
      await using b = await fakeUpstream(studio('b').script)
      await using gw = await between(a.url, b.url, plugins)
      const id = await makeAtB(gw)
      b.script = json(503, { error: { message: 'busy' } })
      assert.equal((await ask(gw, `/v1/videos/${id}`)).status, 503)
      assert.deepEqual(askedOf(a), [], 'another account would say that there is no such video')
    }
  })

  test('stays with its account while a plugin above will not have it asked, and the refusal says why', async () => {
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(studio('b').script)
    const resting = definePlugin({
      name: 'resting',
      config: { type: 'object', properties: {} },
      setup: () => ({
        rankUpstreams(exchange, candidates) {
          if (exchange.method !== 'GET') return candidates
          exchange.passOver(candidates.at(-1)!, 'is resting (18 s)', { wait: 18_000 })
          return candidates.slice(0, -1)
        },
      }),
    })
    await using gw = await between(a.url, b.url, [resting, 'sora'])
    const { status, body } = await ask(gw, `/v1/videos/${await makeAtB(gw)}`)
    assert.equal(status, 503)
    assert.match(body, /b is resting \(18 s\)/)
    assert.deepEqual(askedOf(a), [])
  })

  test('is looked for once its account is gone from gateway.yaml, and found under another name', async () => {
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(studio('b').script)
    await using gw = await between(a.url, b.url)
    const id = await makeAtB(gw)
    askedOf(b)

    const upstreams = [accounts(a.url, b.url)[0]!, { name: 'c', provider: 'sora', url: b.url, key: 'key-b' }]
    assert.deepEqual(await gw.reload({ plugins: ['sora'], upstreams }), [])
    assert.equal((await ask(gw, `/v1/videos/${id}`)).status, 200)
    assert.deepEqual([askedOf(a), askedOf(b)], [[`GET /v1/videos/${id}`], [`GET /v1/videos/${id}`]])

    assert.equal((await ask(gw, `/media/${id}`)).status, 200)
    assert.deepEqual(askedOf(a), [], 'where it was found is remembered')

    assert.deepEqual(await gw.reload({ plugins: ['sora'], upstreams: upstreams.slice(0, 1) }), [])
    const { status, body } = await ask(gw, `/v1/videos/${id}`)
    assert.equal(status, 404)
    assert.match(body, /no video .* at a/, 'the last upstream’s own answer')
  })

  test('that nobody knows is looked for at each upstream once', async () => {
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(studio('b').script)
    await using gw = await between(a.url, b.url, ['sora', 'failover'])
    const { status, body } = await ask(gw, '/v1/videos/video_of_another')
    assert.equal(status, 404)
    // Which of the two is asked first is failover's choice.
    assert.match(body, /at [ab]/)
    assert.deepEqual([askedOf(a).length, askedOf(b).length], [1, 1])
  })

  test('of one mount is not known to another', async () => {
    await using a = await fakeUpstream(studio('a').script)
    await using gw = await gateway({
      plugins: [{ sora: { as: 'films', prefix: '/films' } }, 'sora'],
      upstreams: ['films', 'sora'].map((provider) => ({ name: `of-${provider}`, provider, url: a.url, key: 'k' })),
    })
    const answer = await fetch(`${gw.url}/films/v1/videos`, post({ prompt: 'a heron' }))
    const { id } = (await answer.json()) as { id: string } // as the studio tells it
    assert.equal((await fetch(`${gw.url}/films/v1/videos/${id}`)).status, 200)
    assert.equal((await ask(gw, `/v1/videos/${id}`)).status, 200, 'looked for, and found at the same address')
  })
})

describe('where a video was made', () => {
  test('is remembered for job_ttl, under the mount’s name', async () => {
    const kept: StoreEntry[] = []
    const spied = withStore((store) => ({ set: async (entry) => (kept.push(entry), store.set(entry)) }))
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(studio('b').script)
    await using gw = await between(a.url, b.url, [spied])
    const id = await makeAtB(gw)
    assert.deepEqual(kept, [{ key: `sora:sora:${id}`, value: 'b', ttl: 7 * 24 * 3600 * 1000 }])
  })

  test('is not remembered of an error, nor of an answer without an id', async () => {
    const kept: StoreEntry[] = []
    const spied = withStore(() => ({ set: async (entry) => void kept.push(entry) }))
    await using a = await fakeUpstream(json(400, { id: 'video_a_1', error: { message: 'no' } }))
    await using b = await fakeUpstream(json(200, { id: 'video b 1' }))
    await using gw = await between(a.url, b.url, [spied])
    assert.equal((await ask(gw, '/v1/videos', post({ model: 'sora-2' }))).status, 400)
    assert.equal((await ask(gw, '/v1/videos', post({ model: 'sora-2-pro' }))).status, 200)
    assert.deepEqual(kept, [])
  })

  test('is not learned from a list, which accounts answer that do not have it', async () => {
    const kept: StoreEntry[] = []
    const spied = withStore(() => ({ set: async (entry) => void kept.push(entry) }))
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(studio('b').script)
    await using gw = await between(a.url, b.url, [spied])
    assert.equal((await ask(gw, '/v1/videos?after=video_b_7')).status, 200)
    assert.deepEqual(kept, [])
  })

  test('is looked for while the store is down, and the log says so', async () => {
    const down = () => Promise.reject(new StoreDown('connection refused'))
    await using a = await fakeUpstream(studio('a').script)
    await using b = await fakeUpstream(studio('b').script)
    await using gw = await between(a.url, b.url, [withStore(() => ({ get: down, set: down }))])
    const id = await makeAtB(gw)
    assert.equal((await ask(gw, `/v1/videos/${id}`)).status, 200)
    assert.deepEqual([askedOf(a).length, askedOf(b).length], [1, 2])
    const said = gw.records.filter(({ level }) => level === 'warn').map(({ message }) => message)
    assert.ok(said.includes('sora: the store cannot say where a video was made'), said.join('\n'))
    assert.ok(said.includes('sora: where a video was made is not remembered'), said.join('\n'))
  })
})
