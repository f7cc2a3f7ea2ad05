/** Two sidecars on one real Redis. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway, toYaml, type GatewayOptions } from '../../test/harness.ts'
import { freshRedis } from '../../test/redis.ts'
import { ask, holding, until } from './concurrency.fixture.ts'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))

/** Postern in a process of its own, which can be killed. */
async function anotherProcess(options: GatewayOptions) {
  const folder = await mkdtemp(join(tmpdir(), 'postern-slots-'))
  const file = join(folder, 'gateway.yaml')
  await writeFile(file, toYaml(options, new Map()))
  const child = spawn(process.execPath, [bin, 'run', '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (text) => (said += String(text)))
  const address = /http:\/\/127\.0\.0\.1:\d+/
  await until('the other process listens', () => address.test(said))
  return {
    url: address.exec(said)![0],
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'close')
    },
    async [Symbol.asyncDispose]() {
      await this.kill()
      await rm(folder, { recursive: true })
    },
  }
}

const settings = (url: string, store: string, slots: Record<string, number>): GatewayOptions => ({
  store,
  plugins: [{ concurrency: { ttl: '1s' } }, 'openai'],
  upstreams: Object.entries(slots).map(([name, slots]) => ({ name, provider: 'openai', url, key: 'k', slots })),
})

describe('slots in Redis', () => {
  test('are shared by two processes, and those of one that is killed come free by themselves', async () => {
    const held = holding()
    await using redis = await freshRedis()
    await using upstream = await fakeUpstream(held.script)
    const options = settings(upstream.url, redis.url, { a: 2 })
    await using other = await anotherProcess(options)
    await using gw = await gateway(options)
    const lost = [1, 2].map((n) => ask(other.url, n))
    for (const one of lost) one.catch(() => {})
    await until('both are asked', () => upstream.asked.length === 2)
    const answers = [3, 4].map((n) => ask(gw.url, n))
    const longEnough = performance.now() + 1500
    await until('more than the time to live has passed', () => performance.now() > longEnough)
    assert.equal(upstream.asked.length, 2, 'the other one renews what it holds')
    await other.kill()
    await until('both of this one are asked', () => upstream.asked.length === 4)
    held.finishAll()
    for (const answer of answers) assert.equal((await answer).status, 200)
    await Promise.allSettled(lost)
  })

  test('cost an exchange three commands: the load of twenty upstreams, one slot taken, one given back', async () => {
    await using redis = await freshRedis()
    await keys(redis)
    await using upstream = await fakeUpstream(json(200, {}))
    const twenty = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`u${at}`, 1]))
    await using gw = await gateway(settings(upstream.url, redis.url, twenty))
    const one = async () => {
      assert.equal((await ask(gw.url, 1)).status, 200)
      await until('all is given back', async () => (await keys(redis)).length === 0)
    }
    // The first use of a script sends its text.
    await one()
    const old = performance.now() + 50
    await until('the first reading is old', () => performance.now() > old)
    const commands = await redis.commandsOf(one)
    assert.deepEqual(
      commands.filter((command) => command !== 'keys'),
      ['evalsha', 'evalsha', 'zrem'],
    )
  })

  test('are not waited for where Redis is gone, and count again when it is back', async () => {
    const held = holding()
    await using redis = await freshRedis()
    await keys(redis)
    await using upstream = await fakeUpstream(held.script)
    await using gw = await gateway(settings(upstream.url, redis.url, { a: 1 }))
    const answers = [ask(gw.url, 1)]
    await until('one is asked', () => held.open.length === 1)
    await redis.stop()
    for (let n = 2; n <= 20; n++) answers.push(ask(gw.url, n))
    await until('all are asked', () => held.open.length === 20)
    await redis.start()
    // They are renewed, and so they are there again.
    await until('all are counted', async () => (await redis.ask('ZCARD', (await keys(redis))[0] ?? '')) === 20)
    held.finishAll()
    for (const answer of answers) assert.equal((await answer).status, 200)
    await until('all are free', async () => (await keys(redis)).length === 0)
  })
})

/** The keys of slots, as Redis has them. Asked before the gateway begins, too, so that the connection for it is not new. */
async function keys(redis: { ask(name: string, ...args: string[]): Promise<unknown> }): Promise<string[]> {
  return (await redis.ask('KEYS', '*slots:*')) as string[] // what KEYS answers
}
