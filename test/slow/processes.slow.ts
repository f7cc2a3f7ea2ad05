/**
 * Two gateways as processes of their own, on one real Redis: what they know together, and what is left of it when one of them, or
 * Redis, is gone. Run with `node --test --test-isolation=none test/slow/processes.slow.ts`; about a minute.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fakeUpstream, json, type FakeUpstream } from '../fake-upstream.ts'
import { freshRedis, until, type RedisServer } from '../redis.ts'
import { GatewayProcess, type Settings } from './gateway-process.fixture.ts'
import { OldSystem, oldKeysAre, quietDay } from './old-system.fixture.ts'
import { timedUpstream, load, summary } from './load.fixture.ts'

const names = ['a', 'b', 'c'] as const

interface Options {
  readonly sticky?: object
  readonly concurrency?: object
  readonly slots?: number
}

function settings(redis: RedisServer, upstreams: readonly { readonly url: string }[], options: Options = {}): Settings {
  const { sticky = {}, concurrency = {}, slots } = options
  return {
    store: redis.url,
    plugins: ['openai', { 'sticky-session': sticky }, { concurrency }, { failover: { budget: { enabled: false } } }],
    upstreams: upstreams.map(({ url }, at) => ({
      name: names[at],
      provider: 'openai',
      url,
      key: `key-${at}`,
      priority: 1,
      ...(slots === undefined ? {} : { slots }),
    })),
  }
}

/** Asks a gateway for a turn of a session; says who has answered. */
async function turn(gateway: GatewayProcess, session: string): Promise<string> {
  const headers = { 'content-type': 'application/json', session_id: session }
  const answer = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, body: '{"model":"m"}' })
  const text = await answer.text()
  return /"at":"(\w)"/.exec(text)?.[1] ?? `${answer.status} ${text}`
}

async function three(stack: AsyncDisposableStack): Promise<FakeUpstream[]> {
  const upstreams: FakeUpstream[] = []
  for (const at of names) upstreams.push(stack.use(await fakeUpstream(json(200, { at }))))
  return upstreams
}

const sessions = Array.from({ length: 30 }, (_, at) => `s${at}`)

describe('two processes on one Redis', () => {
  test('share sessions, rests, slots and counters', async () => {
    await using stack = new AsyncDisposableStack()
    const redis = stack.use(await freshRedis())
    const [a, b, c] = await three(stack)
    assert.ok(a && b && c)
    const yaml = (slots?: number) => settings(redis, [a, b, c], { slots })
    const one = stack.use(await GatewayProcess.begin(yaml()))
    const other = stack.use(await GatewayProcess.begin(yaml()))

    const homes = new Map<string, string>()
    for (const session of sessions) homes.set(session, await turn(one, session))
    assert.ok([...homes.values()].includes('a'), 'they are spread')
    for (const session of sessions) assert.equal(await turn(other, session), homes.get(session), session)

    // What one of them is told of a limit the other one knows. It would be answered well, and so has no way to learn it itself.
    a.script = json(429, { error: {} }, { 'retry-after': '60' })
    const restless = sessions.find((session) => homes.get(session) === 'a')
    assert.ok(restless)
    assert.match(await turn(one, restless), /^[bc]$/)
    a.script = json(200, { at: 'a' })
    let reads = 2 * sessions.length + 1
    await until(async () => {
      reads += sessions.length
      const round = await Promise.all(sessions.map((session) => turn(other, `${session} ${reads}`)))
      return !round.includes('a')
    })

    // The counters of both are in Redis when both have retired what counted.
    await one.reload(yaml(2))
    await other.reload(yaml(2))
    const today = (await one.gates())[0]?.history.at(-1)
    assert.equal(today?.sticky_reads, reads)

    // Four slots at those that do not rest, for both of them together.
    const held: (() => void)[] = []
    let most = 0
    for (const upstream of [b, c])
      upstream.script = (_asked, response) => {
        held.push(() => response.writeHead(200).end('{"at":"x"}'))
        most = Math.max(most, held.length)
      }
    const answers = sessions.slice(0, 12).map((session, at) => turn(at % 2 ? one : other, `slots ${session}`))
    for (let answered = 0; answered < answers.length; answered++) {
      await until(() => held.length > 0)
      // Time for a fifth to come, were it let.
      await sleep(50)
      held.shift()?.()
    }
    for (const answer of await Promise.all(answers)) assert.equal(answer, 'x')
    assert.equal(most, 4)
    await until(async () => ((await redis.ask('KEYS', 'slots:*')) as string[]).length === 0)
  })

  test('free the slots of one that was killed, within their lease', async () => {
    await using stack = new AsyncDisposableStack()
    const redis = stack.use(await freshRedis())
    let held = 0
    const upstream = stack.use(await fakeUpstream(() => void held++))
    const lease = 2000
    const yaml = settings(redis, [upstream], { slots: 3, concurrency: { ttl: `${lease}ms` } })
    const one = stack.use(await GatewayProcess.begin(yaml))
    const other = stack.use(await GatewayProcess.begin(yaml))
    const lost = Array.from({ length: 3 }, (_, n) => turn(one, `lost ${n}`).catch(() => 'lost'))
    await until(() => held === 3)
    // Longer than the lease: a living process keeps what it has.
    await sleep(lease * 1.5)
    assert.equal(await redis.ask('ZCARD', ((await redis.ask('KEYS', 'slots:*')) as string[])[0] ?? ''), 3)
    upstream.script = json(200, { at: 'a' })
    const waiting = turn(other, 'waits')
    const before = performance.now()
    await one.kill()
    assert.equal(await waiting, 'a')
    const ms = performance.now() - before
    console.log(`slots of a killed process were free after ${Math.round(ms)} ms of a lease of ${lease} ms`)
    // The lease, the longest pause between two tries of a waiter, and time for a busy machine.
    assert.ok(ms < lease + 2400 + 2000, `${ms}`)
    assert.deepEqual(await Promise.all(lost), ['lost', 'lost', 'lost'])
  })

  test('lose no request while Redis stops, starts, freezes and thaws under load', async () => {
    await using stack = new AsyncDisposableStack()
    const redis = stack.use(await freshRedis())
    const upstreams = []
    for (const name of names) upstreams.push(stack.use(await timedUpstream(name)))
    const yaml = settings(redis, upstreams, { slots: 50, concurrency: { ttl: '5s' } })
    const gateways = [stack.use(await GatewayProcess.begin(yaml)), stack.use(await GatewayProcess.begin(yaml))]
    const under = load(
      gateways.map(({ url }) => url),
      upstreams,
    )
    const phase = async (name: string, ms: number) => {
      under.phase = name
      await sleep(ms)
    }
    await phase('before', 1500)
    await redis.stop()
    await phase('stopped', 3000)
    await redis.start()
    await phase('started again', 3000)
    redis.pause()
    await phase('frozen', 3000)
    redis.resume()
    await phase('thawed', 3000)
    redis.pause()
    await phase('frozen again', 1500)
    await redis.stop()
    await phase('stopped while frozen', 1500)
    await redis.start()
    await phase('after', 3000)
    const exchanges = await under.stop()
    console.log(summary(exchanges))
    assert.deepEqual(exchanges.filter(({ problem }) => problem !== null).slice(0, 3), [])
    for (const { phase, over } of exchanges) assert.ok(over < 2000, `${phase}: ${over} ms longer than its upstream`)
    // When all is over nothing is held, and sessions hold again, in both processes.
    await until(async () => ((await redis.ask('KEYS', 'slots:*')) as string[]).length === 0)
    const [one, other] = gateways
    assert.ok(one && other)
    for (const session of sessions) {
      const home = await turn(one, `end ${session}`)
      assert.equal(await turn(other, `end ${session}`), home)
    }
    for (const gateway of gateways) {
      const ready = (await (await fetch(`${gateway.adminUrl}/readyz`)).json()) as { store: { state: string } } // as told
      assert.equal(ready.store.state, 'up')
    }
  })
})

test('a new gateway beside the system of old keys keeps every session where it is, while the switches go off in order', async () => {
  await using stack = new AsyncDisposableStack()
  const redis = stack.use(await freshRedis())
  const upstreams = await three(stack)
  const yaml = (sticky: object) => settings(redis, upstreams, { sticky })
  const gateway = stack.use(await GatewayProcess.begin(yaml({})))
  const old = stack.use(new OldSystem(redis, names))
  // A week in which nobody needed an old key lies behind.
  for (let back = 1; back <= 7; back++) await quietDay(redis, back, 500)
  const told = async () => {
    const [first, second] = await gateway.gates()
    assert.ok(first && second)
    return { first, second, today: first.history.at(-1) ?? {} }
  }

  const homes = new Map<string, string>()
  const at = async (system: 'old' | 'new', session: string) => {
    const upstream = await (system === 'old' ? old.turn(session) : turn(gateway, session))
    const home = homes.get(session) ?? upstream
    homes.set(session, home)
    assert.equal(upstream, home, `${session} at the ${system} one`)
  }
  // Half of the sessions begin here, half there; then all go to and fro.
  for (const [n, session] of sessions.entries()) await at(n % 2 ? 'old' : 'new', session)
  await oldKeysAre(redis, homes.size)
  for (let round = 0; round < 4; round++)
    for (const [n, session] of sessions.entries()) await at((n + round) % 2 ? 'new' : 'old', session)
  await gateway.reload(yaml({ refresh: '50s' }))
  const both = await told()
  const halfOfThem = sessions.length / 2
  assert.deepEqual([both.first.verdict, both.first.reason], ['pass', '7 quiet days'])
  assert.equal(both.second.verdict, 'hold')
  assert.equal(both.today.fallback_hit, halfOfThem, 'those that began there were found under the old key, once')
  assert.equal(both.today.alerts, 0)
  assert.ok(Number(both.today.dual_writes) >= sessions.length)

  // First the writing of old keys ends. Sessions that begin there are still found; what begins here is no longer told there.
  await gateway.reload(yaml({ session_hash_dual_write_old: false }))
  const written = Number((await told()).today.dual_writes)
  for (const session of sessions) await at('new', session)
  for (const session of sessions.slice(0, 10)) {
    await at('old', `late ${session}`)
    await at('new', `late ${session}`)
  }
  await turn(gateway, 'new alone')
  await gateway.reload(yaml({ session_hash_dual_write_old: false, refresh: '50s' }))
  const reading = await told()
  assert.deepEqual([reading.first.verdict, reading.first.reason], ['pass', 'it is off already'])
  assert.match(
    `${reading.second.verdict}: ${reading.second.reason}`,
    /^hold: session_hash_dual_write_old goes first, and was in use on/,
  )
  assert.equal(reading.today.dual_writes, written, 'no old key was written since')
  assert.equal(reading.today.fallback_hit, halfOfThem + 10)
  for (let back = 1; back <= 7; back++) await quietDay(redis, back, 0)
  assert.deepEqual([(await told()).second.verdict, (await told()).second.reason], ['pass', '7 quiet days'])

  // Then the old system goes, and old keys are not looked for any more.
  await old.end()
  const off = { session_hash_dual_write_old: false, session_hash_read_old_fallback: false }
  await gateway.reload(yaml(off))
  const looked = (await told()).today
  for (const session of homes.keys()) await at('new', session)
  await gateway.reload(yaml({ ...off, refresh: '50s' }))
  const alone = await told()
  assert.deepEqual([alone.second.verdict, alone.second.reason], ['pass', 'it is off already'])
  assert.equal(alone.today.fallback_total, looked.fallback_total, 'none was looked for since')
  assert.equal(Number(alone.today.sticky_reads), Number(looked.sticky_reads) + homes.size)
  assert.equal(alone.today.alerts, 0)
})
