/** The way out of old session keys, on a real Redis: an old system, two gateways, three switches and their gates. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { evaluateGates, gateCounters, gateKey, readGateHistory, type Gate } from '../../core/gates.ts'
import { openStore } from '../../core/store/open.ts'
import { silentLog } from '../../core/observe/log.ts'
import { counterKey, counters } from '../../plugins/sticky-session/counters.ts'
import { countKey } from '../../plugins/metadata-bridge/counts.ts'
import { fakeUpstream, json, type FakeUpstream } from '../fake-upstream.ts'
import { gateway, type GatewayOptions } from '../harness.ts'
import { freshRedis, until, type RedisServer } from '../redis.ts'

const oldKey = (id: string) => `sticky_session:0:openai:${createHash('sha256').update(id).digest('hex')}`

/** Two gateways that know the same upstreams and the same Redis. */
async function fleet(redis: RedisServer) {
  // The test's own connection is not what a gateway has left open.
  await redis.ask('PING')
  const upstreams: FakeUpstream[] = []
  for (const at of ['a', 'b', 'c']) upstreams.push(await fakeUpstream(json(200, { at })))
  const yaml = (options: object): GatewayOptions => ({
    store: redis.url,
    plugins: ['openai', { 'sticky-session': options }],
    upstreams: upstreams.map(({ url }, at) => ({ name: 'abc'[at], provider: 'openai', url, key: 'k' })),
  })
  const gateways = [await gateway(yaml({})), await gateway(yaml({}))] as const
  return {
    gateways,
    /** Asks one of the two; says who answered. */
    async turn(which: 0 | 1, session: string): Promise<string> {
      const headers = { 'content-type': 'application/json', session_id: session }
      const answer = await fetch(`${gateways[which].url}/v1/responses`, { method: 'POST', headers, body: '{}' })
      return ((await answer.json()) as { at: string }).at // as scripted above
    },
    async reload(options: object): Promise<void> {
      for (const gw of gateways) {
        assert.deepEqual(await gw.reload(yaml(options)), [])
        await until(() => gw.sidecar.retiring.size === 0)
      }
    },
    async [Symbol.asyncDispose]() {
      // Both first: each looks for what is left open, and would see the other's.
      for (const gw of gateways) await gw.stop()
      for (const gw of gateways.toReversed()) await gw[Symbol.asyncDispose]()
      for (const upstream of upstreams) await upstream[Symbol.asyncDispose]()
    },
  }
}

/** Runs a command as its own process. */
async function command(code: string): Promise<{ code: number; out: string }> {
  const root = new URL('../../', import.meta.url)
  const run = promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code], { cwd: root })
  return run.then(
    ({ stdout }) => ({ code: 0, out: stdout }),
    // What a process that ended with another code than 0 has said.
    (error: { code: number; stdout: string }) => ({ code: error.code, out: error.stdout }),
  )
}
const gatesOf = (file: string) =>
  command(
    `import { gates } from './core/commands/gates.ts'
     process.exitCode = await gates({ config: ${JSON.stringify(file)}, json: true })`,
  )
const flush = (file: string, named: object) =>
  command(
    `import { sticky } from './core/commands/sticky.ts'
     process.exitCode = await sticky({ config: ${JSON.stringify(file)}, json: true, words: ['flush'], ...${JSON.stringify(named)} })`,
  )

test('what is counted and what is read have the same names', () => {
  const metadata = ['metadata_reads', 'metadata_fallback'] as const
  assert.deepEqual([...counters, ...metadata], gateCounters)
  for (const counter of counters) assert.equal(counterKey('2026-03-01', counter), gateKey('2026-03-01', counter))
  for (const counter of metadata) assert.equal(countKey('2026-03-01', counter), gateKey('2026-03-01', counter))
})

describe('two gateways beside an old system', () => {
  test('keep its sessions while the switches go off in order, and the gates tell it', async () => {
    await using redis = await freshRedis()
    await using it = await fleet(redis)
    const store = await openStore(redis.url, silentLog)
    const today = async () => (await readGateHistory(store)).at(-1)!
    const sessions = Array.from({ length: 20 }, (_, at) => [`s${at}`, 'bc'[at % 2]!] as const)
    try {
      // The old system writes, and goes on doing so beside us.
      for (const [id, upstream] of sessions) await redis.ask('SET', oldKey(id), upstream, 'PX', 60_000)
      for (const [at, [id, upstream]] of sessions.entries()) assert.equal(await it.turn(at % 2 ? 1 : 0, id), upstream)
      // What one gateway has taken over the other finds under the new key.
      for (const [id] of sessions) await redis.ask('DEL', oldKey(id))
      await it.reload({ session_hash_dual_write_old: false })
      const both = await today()
      assert.deepEqual([both.sticky_reads, both.fallback_total, both.fallback_hit, both.alerts], [20, 20, 20, 0])
      assert.equal(both.dual_writes, 20)

      for (const [at, [id, upstream]] of sessions.entries()) assert.equal(await it.turn(at % 2 ? 0 : 1, id), upstream)
      assert.equal(await it.turn(0, 'late'), 'a')
      assert.equal(await redis.ask('EXISTS', oldKey('late')), 0)
      await it.reload({ session_hash_dual_write_old: false, session_hash_read_old_fallback: false })
      const reads = await today()
      assert.deepEqual([reads.sticky_reads, reads.fallback_total, reads.fallback_hit], [41, 21, 20])
      assert.equal(reads.dual_writes, 20, 'nothing since it went off')

      for (const [id, upstream] of sessions) assert.equal(await it.turn(0, id), upstream)
      await it.reload({ session_hash_dual_write_old: false, session_hash_read_old_fallback: false })
      const alone = await today()
      assert.deepEqual([alone.sticky_reads, alone.fallback_total, alone.dual_writes], [61, 21, 20])
      assert.deepEqual(
        evaluateGates([alone]).map(({ verdict }) => verdict),
        ['hold', 'hold', 'hold'],
      )
    } finally {
      await store.close()
    }
  })

  test('ask Redis once for each exchange, and write a session that stays no second time', async () => {
    await using redis = await freshRedis()
    await using it = await fleet(redis)
    await it.turn(0, 's1')
    const commands = await redis.commandsOf(async () => {
      for (let turns = 0; turns < 5; turns++) await it.turn(0, 's1')
    })
    assert.deepEqual(
      commands,
      Array.from({ length: 5 }, () => 'mget'),
    )
  })

  test('are told apart from an old one that still writes: an alert holds the gate', async () => {
    await using redis = await freshRedis()
    await using it = await fleet(redis)
    assert.equal(await it.turn(0, 's1'), 'a')
    await until(async () => (await redis.ask('EXISTS', oldKey('s1'))) === 1)
    await redis.ask('SET', oldKey('s1'), 'b', 'PX', 60_000)
    assert.equal(await it.turn(1, 's1'), 'a')
    await it.reload({})
    const { code, out } = await gatesOf(it.gateways[0].file)
    const { gates } = JSON.parse(out) as { gates: Gate[] } // what the command prints
    assert.equal(code, 0)
    assert.equal(gates[0]?.verdict, 'hold')
    assert.equal(gates[0]?.history.at(-1)?.alerts, 1)
  })

  test('pass the first gate after seven quiet days, and `postern gates` says so', async () => {
    await using redis = await freshRedis()
    await using it = await fleet(redis)
    for (let back = 1; back <= 7; back++) {
      const day = new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10)
      await redis.ask('SET', counterKey(day, 'sticky_reads'), 1000, 'EX', 600)
      await redis.ask('SET', counterKey(day, 'fallback_total'), 500, 'EX', 600)
      await redis.ask('SET', counterKey(day, 'dual_writes'), 500, 'EX', 600)
    }
    const { gates } = JSON.parse((await gatesOf(it.gateways[0].file)).out) as { gates: Gate[] } // what the command prints
    assert.deepEqual(
      gates.map(({ verdict, reason }) => `${verdict}: ${reason}`),
      [
        'pass: 7 quiet days',
        'hold: session_hash_dual_write_old goes first, and is on',
        'hold: session_hash_read_old_fallback goes first, and is on',
      ],
    )
  })

  test('lose one session, or all, to `postern sticky flush`', async () => {
    await using redis = await freshRedis()
    await using it = await fleet(redis)
    await redis.ask('SET', oldKey('s1'), 'b', 'PX', 60_000)
    await redis.ask('SET', oldKey('s2'), 'c', 'PX', 60_000)
    assert.deepEqual([await it.turn(0, 's1'), await it.turn(0, 's2')], ['b', 'c'])
    await until(async () => ((await redis.ask('KEYS', 'sticky_session:{*')) as string[]).length === 2) // keys are texts
    const [key] = (await redis.ask('KEYS', 'sticky_session:{*')) as string[] // as above
    const session = /\{(.*)\}/.exec(key ?? '')?.[1] ?? ''
    const { file } = it.gateways[0]
    assert.deepEqual(JSON.parse((await flush(file, { session })).out), {
      prefix: `sticky_session:{${session}}`,
      flushed: 1,
    })
    assert.deepEqual(JSON.parse((await flush(file, {})).out), { prefix: 'sticky_session:', flushed: 3 })
    assert.deepEqual([await it.turn(1, 's1'), await it.turn(1, 's2')], ['a', 'a'])
  })

  test('go on without Redis, and find their sessions when it is back', async () => {
    await using redis = await freshRedis()
    await using it = await fleet(redis)
    await redis.ask('SET', oldKey('s1'), 'b', 'PX', 60_000)
    assert.equal(await it.turn(0, 's1'), 'b')
    await redis.stop()
    for (let turns = 0; turns < 5; turns++) assert.equal(await it.turn(0, 's1'), 'a', 'where it would go without a pin')
    await redis.start()
    await redis.ask('SET', oldKey('s1'), 'c', 'PX', 60_000)
    await until(async () => (await it.turn(0, 's1')) === 'c')
  })
})

test('with a store in memory the commands say where the counts are', async () => {
  await using gw = await gateway({ plugins: ['openai', 'sticky-session'] })
  const asked = await gatesOf(gw.file)
  assert.equal(asked.code, 1)
  assert.match(asked.out, /ask its admin address for \/gates/)
  const flushed = await flush(gw.file, {})
  assert.equal(flushed.code, 1)
  assert.match(flushed.out, /in the running process/)
  assert.equal((await flush(gw.file, { words: ['now'] })).code, 2)
})
