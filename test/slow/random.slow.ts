/**
 * Ten thousand exchanges from a seed, with sessions, slots and failover in one gateway: faults, clients that leave, reloads.
 * POSTERN_SEED says which, POSTERN_EXCHANGES how many. Run with `node --test --test-isolation=none test/slow/random.slow.ts`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definePlugin, type Store } from 'postern/plugin'
import { fakeUpstream, type FakeUpstream } from '../fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../harness.ts'
import { freshRedis, until } from '../redis.ts'
import { ask, moody, randomFrom, type Told } from './moody.fixture.ts'
import { Witness } from './witness.fixture.ts'

const seed = Number(process.env.POSTERN_SEED ?? Math.floor(Math.random() * 2 ** 31))
const exchanges = Number(process.env.POSTERN_EXCHANGES ?? 10_000)
const names = ['a', 'b', 'c', 'd', 'e'] as const
const models = ['one', 'two']
const workers = 32
const sessions = 200

/** What is known not to be as it should yet, of all runs. */
const late: string[] = []

test(`in ${exchanges} exchanges from seed ${seed} every slot comes back, no answer is mixed, and nobody who rests is chosen while another is free`, async () => {
  await run('memory', exchanges)
})

test('and in a fifth as many with Redis as well', async () => {
  await using redis = await freshRedis()
  // The test's own connection is not what a gateway has left open.
  await redis.ask('PING')
  await run(redis.url, exchanges / 5)
})

test('nor is anybody asked who begins to rest while the exchange waits for its slot', () => {
  console.log(`asked although it had begun to rest since it was chosen: ${late.length} times`)
  assert.deepEqual(late.slice(0, 5), [], `seed ${seed}`)
})

async function run(store: string, count: number): Promise<void> {
  const random = randomFrom(seed)
  await using stack = new AsyncDisposableStack()
  const upstreams: FakeUpstream[] = []
  for (const name of names) upstreams.push(stack.use(await fakeUpstream(moody(name, random))))
  const witness = new Witness()
  let kept: Store | null = null
  const keeper = definePlugin({
    name: 'keeper',
    config: {
      type: 'object',
      description: 'Keeps the store for the test.',
      additionalProperties: false,
      properties: {},
    },
    setup(context) {
      kept = context.store
      return {}
    },
  })
  const yaml = (version: number): GatewayOptions => ({
    store,
    timeouts: { headers: '1s', idle: '1s', heartbeat: '0s' },
    plugins: [
      'openai',
      keeper,
      { 'sticky-session': { ttl: version % 2 ? '1h' : '30m' } },
      { concurrency: { per_client: workers - 4, waiters: { pinned: workers } } },
      {
        failover: {
          attempts: 4,
          same_upstream_delay: '5ms',
          budget: { enabled: false },
          rests: { limit: '60ms', overload: '60ms', overload_longest: '300ms' },
        },
      },
      witness.plugin,
    ],
    // What a reload changes: who comes first, and how many slots there are.
    upstreams: upstreams.map(({ url }, at) => ({
      name: names[at],
      provider: 'openai',
      url,
      key: `key-${at}`,
      priority: (at + version) % 5 < 3 ? 1 : 2,
      slots: 6 + ((at + version) % 3),
    })),
  })
  const began = performance.now()
  const tally = new Map<string, number>()
  {
    await using gw = await gateway(yaml(0))
    witness.watch(gw)
    const told = await all(gw, count, random, yaml, (key) => tally.set(key, (tally.get(key) ?? 0) + 1))
    assert.deepEqual(told.flatMap(({ wrong }) => wrong ?? []).slice(0, 3), [], `seed ${seed}`)
    assert.deepEqual(witness.wrong.slice(0, 3), [], `seed ${seed}`)
    late.push(...witness.late)
    await until(() => gw.sidecar.retiring.size === 0 && gw.sidecar.server.gateway.exchanges.length === 0)
    const keys = [...names.map((name) => `slots:upstream:${name}`), 'slots:client:127.0.0.1']
    await until(async () => (await kept?.count(keys))?.every((taken) => taken === 0) ?? false)
    // Whoever was well, and free in time, was asked: nobody is told that a line is full or a wait too long.
    const lines = told.filter(({ text }) => /Too many pending|Concurrency limit/.test(text))
    assert.deepEqual(lines.slice(0, 3), [], `seed ${seed}`)
    assert.ok((tally.get('whole') ?? 0) > count * 0.6, `seed ${seed}: ${JSON.stringify([...tally])}`)
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  const asked = upstreams.map((upstream, at) => `${names[at]} ${upstream.asked.length}`).join(', ')
  const ends = [...tally].map(([what, times]) => `${what} ${times}`).toSorted()
  console.log(
    `seed ${seed}, store ${store.slice(0, 6)}, ${seconds} s: ${ends.join(', ')}; asked: ${asked}; ${witness.summary}`,
  )
}

/** All exchanges, so many at a time; a reload at every 500th. */
async function all(
  gw: TestGateway,
  count: number,
  random: () => number,
  yaml: (version: number) => GatewayOptions,
  note: (what: string) => void,
): Promise<Told[]> {
  const told: Told[] = []
  /** Where responses are stored that were told whole. */
  const stored: { readonly id: string; readonly at: string }[] = []
  let next = 0
  const work = async () => {
    while (next < count) {
      const number = next++
      if (number % 500 === 499) {
        assert.deepEqual(await gw.reload(yaml(number)), [])
        note('reloads')
      }
      const previous = random() < 0.1 ? stored[Math.floor(random() * stored.length)] : undefined
      const question = {
        id: `n${number}`,
        stream: random() < 0.5,
        model: models[Math.floor(random() * models.length)] ?? '',
        ...(previous ? { previous_response_id: previous.id } : {}),
      }
      const patience = random() < 0.05 ? random() * 30 : null
      const one = await ask(gw.url, `s${Math.floor(random() * sessions)}`, question, patience)
      told.push(one)
      note(one.end === 'refused' ? `refused ${one.status}` : one.end)
      if (previous && one.from !== null) {
        note('went on where stored')
        assert.equal(one.from, previous.at, `seed ${seed}: ${question.id} goes on from ${previous.id}`)
      }
      if (one.end === 'whole' && one.from !== null) stored.push({ id: `resp_${one.from}_${question.id}`, at: one.from })
      if (stored.length > 100) stored.shift()
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
  return told
}
