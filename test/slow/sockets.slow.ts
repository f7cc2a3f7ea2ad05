/**
 * A thousand WebSockets of twenty turns each, at the same time, again and again, with random faults on both sides: no event is lost
 * or another's, and the gateway's process is afterwards what it was. `SEED=n` plays the same faults again.
 */
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { parseExposition } from '../../core/observe/metrics.fixture.ts'
import { connect, type TestClient } from '../e2e/websocket-client.fixture.ts'
import { until } from '../redis.ts'
import { randomFrom } from './moody.fixture.ts'
import type { Look } from './sockets-process.fixture.ts'

const sockets = Number(process.env.SOCKETS ?? 1000)
const turnsEach = 20
/** Rounds that count, and before them those in which code is compiled and buffers reach their size: RSS does in the first. */
const rounds = 1
const warmups = 2
const seed = Number(process.env.SEED ?? 11)

const told = { completed: 0, failed: 0, left: 0 }

test(
  'a thousand sockets of twenty turns, with faults, lose and mix nothing and leave nothing behind',
  { timeout: 400_000 },
  async () => {
    await using upstreams = await started([
      ['upstream', String(seed)],
      ['upstream', String(seed + 1)],
    ])
    await using gateways = await started([['gateway', ...upstreams.urls]])
    const [child] = gateways.children
    const [url] = gateways.urls
    const before = await look(child!)
    const looks: Look[] = []
    const began = performance.now()
    for (let round = 0; round < warmups + rounds; round++) {
      await Promise.all(Array.from({ length: sockets }, (_, number) => live(url!, number, round)))
      // The sockets have ended for their clients; the gateway is given the moment that its own ends take.
      let now = await look(child!)
      await until(async () => {
        now = await look(child!)
        return (
          now.exchanges === 0 &&
          now.slots === 0 &&
          read(now, 's_open') === 0 &&
          read(now, '_upstream_connections', 'leased') === 0
        )
      })
      looks.push(now)
      const size = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
      console.log(
        `round ${round + 1}${round < warmups ? ' (warm-up)' : ''}: heap ${size(now.heap)}, RSS ${size(now.rss)}, ${now.handles} handles, ` +
          `${read(now, '_upstream_connections', 'idle')} idle upstream connections`,
      )
    }
    const turns = sockets * turnsEach * (warmups + rounds)
    assert.equal(told.completed + told.failed + told.left, turns)
    assert.ok(told.completed > 0.7 * turns, JSON.stringify(told))
    const last = looks.at(-1)!
    account(last)
    // Those that were opened in advance are as new as those that a turn had to wait for.
    const opened = read(last, '_upstream_opened_total', 'asked') + read(last, '_upstream_opened_total', 'in_advance')
    const acquired = read(last, '_acquires_total', 'reused') + read(last, '_acquires_total', 'new')
    const share = 1 - opened / acquired
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    console.log(
      `seed ${seed}, ${turns} turns in ${seconds} s: ${JSON.stringify(told)}, connections reused ${(100 * share).toFixed(1)} %`,
    )
    assert.ok(share >= 0.75, `reused ${share}`)
    // Idle connections of the pool hold no process, and are accounted for above.
    assert.equal(last.handles, before.handles)
    for (let times = 0; times < 3; times++) looks.push(await look(child!))
    // The lowest of the looks that count: a leak raises them all, a late collection only one.
    const warm = looks.slice(0, warmups)
    const after = looks.slice(warmups)
    for (const kind of ['heap', 'rss'] as const) {
      const start = Math.max(...warm.map((one) => one[kind]))
      const end = Math.min(...after.map((one) => one[kind]))
      assert.ok(end <= start * 1.1, `${kind} went from ${start} to ${end} bytes`)
    }
  },
)

/** Twenty turns of one client, which now and then leaves in the middle of one. */
async function live(url: string, number: number, round: number): Promise<void> {
  const chance = randomFrom(seed * 1000 + number + round * 7919)
  const open = () => connect(`${url}/v1/responses`)
  let client = await open()
  for (let turn = 0; turn < turnsEach; turn++) {
    if (client.ws.readyState !== client.ws.OPEN) client = await open()
    const token = `${round}.${number}.${turn}`
    client.send({ type: 'response.create', model: 'm', input: token, store: number % 20 !== 0 })
    if (chance() < 0.02) {
      client.ws.terminate()
      await client.closed
      told.left++
    } else told[await answer(client, token)]++
  }
  client.ws.close()
  await client.closed
}

async function answer(client: TestClient, token: string): Promise<'completed' | 'failed'> {
  for (let at = 0; ;) {
    const event = await client.next()
    // Errors of the gateway's own are nobody's in particular.
    if (event.token !== undefined) assert.equal(event.token, token)
    if (event.type === 'response.output_text.delta') assert.equal(event.at, at++, 'no event is lost')
    if (event.type === 'response.completed') {
      assert.equal(event.deltas, at)
      return 'completed'
    }
    if (event.type !== 'error' && event.type !== 'response.failed') continue
    // Where it is closed, that comes right behind.
    if (event.token === undefined) await client.closed
    return 'failed'
  }
}

/** Every connection that was lent has come back, and every one that was opened is there or has ended. */
function account(now: Look): void {
  const opened = read(now, '_upstream_opened_total', 'asked') + read(now, '_upstream_opened_total', 'in_advance')
  assert.equal(opened, read(now, '_upstream_closed_total') + held(now))
  assert.equal(read(now, '_upstream_waiting'), 0)
  assert.equal(read(now, '_acquires_total', 'refused') + read(now, '_acquires_total', 'timeout'), 0)
}

function held(now: Look): number {
  return read(now, '_upstream_connections')
}

/** The sum of a metric, or of its samples that have this label. */
function read({ metrics }: Look, name: string, label?: string): number {
  const samples = parseExposition(metrics).get(`postern_websocket${name}`)?.samples ?? []
  const meant = samples.filter(({ labels }) => label === undefined || Object.values(labels).includes(label))
  return meant.reduce((sum, { value }) => sum + value, 0)
}

async function look(child: ChildProcess): Promise<Look> {
  child.send('look')
  const [now] = (await once(child, 'message')) as [Look] // what the fixture sends
  return now
}

async function started(commands: readonly (readonly string[])[]) {
  const fixture = new URL('./sockets-process.fixture.ts', import.meta.url)
  const children = commands.map((words) => fork(fixture, words, { execArgv: ['--expose-gc'] }))
  const urls = await Promise.all(children.map(async (child) => String((await once(child, 'message'))[0])))
  return {
    children,
    urls,
    async [Symbol.asyncDispose]() {
      await Promise.all(
        children.map(async (child) => {
          const ended = once(child, 'exit')
          child.disconnect()
          await ended
        }),
      )
    },
  }
}
