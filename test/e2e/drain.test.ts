/** A drain says what it waits for, and comes to an end whatever that is. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { definePlugin, type Plugin } from 'postern/plugin'
import { fakeUpstream, json, type Script } from '../fake-upstream.ts'
import { gateway, toYaml, type TestGateway } from '../harness.ts'
import { until } from '../redis.ts'

const bin = fileURLToPath(new URL('../../bin/postern.js', import.meta.url))

const config = { type: 'object', description: 'For tests.', additionalProperties: false } as const

/** Does not come back from `onBody` before it is told to. */
function hangs(): { plugin: Plugin; release: () => void } {
  const { promise, resolve } = Promise.withResolvers<undefined>()
  const plugin = definePlugin({ name: 'hangs', config, setup: () => ({ onBody: () => promise }) })
  return { plugin, release: () => resolve(undefined) }
}

/** Begins a stream and goes on with it when it is told to. */
function slowStream() {
  const { promise, resolve } = Promise.withResolvers<void>()
  const script: Script = async (_asked, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
    await promise
    response.end('data: [DONE]\n\n')
  }
  return { script, finish: resolve }
}

const ask = (gw: TestGateway, id: string) =>
  fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': id },
    body: '{"model":"m","stream":true}',
  })

interface Health {
  readonly status: string
  readonly draining: { readonly waits: Waits } | null
  readonly retiring: readonly { readonly since: string; readonly waits: Waits }[]
}
interface Waits {
  readonly exchanges: number
  readonly oldest: readonly Readonly<Record<string, unknown>>[]
  readonly parts: readonly string[]
}

const health = async (gw: TestGateway) => (await (await fetch(`${gw.adminUrl}/healthz`)).json()) as Health // as it tells

const at = (name: string, url: string) => ({ name, provider: 'openai', url, key: 'k' })

describe('a shutdown', () => {
  test('names plugin, phase and exchange that it waits for, in the log and in /healthz', async () => {
    const { plugin, release } = hangs()
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: ['openai', plugin],
      upstreams: [at('a', upstream.url)],
      limits: { drain: '30s' },
      tellEvery: 20,
    })
    const answer = ask(gw, 'the-one')
    await until(() => gw.sidecar.server.gateway.exchanges[0]?.isPending === true)
    const stopping = gw.sidecar.stop()
    const line = () => gw.records.find(({ message }) => message.startsWith('a gateway that shall end'))
    await until(() => line() !== undefined)
    assert.equal(line()?.message, 'a gateway that shall end has not ended: the-one waits for hangs in onBody')
    const { status, draining } = await health(gw)
    assert.equal(status, 'draining')
    assert.deepEqual(
      draining?.waits.oldest.map(({ exchange, plugin, phase }) => [exchange, plugin, phase]),
      [['the-one', 'hangs', 'onBody']],
    )
    release()
    assert.deepEqual(await stopping, [])
    assert.equal((await answer).status, 200)
  })

  test('goes on telling of one gateway when another has ended', async () => {
    const [first, second] = [slowStream(), slowStream()]
    await using upstream = await fakeUpstream(first.script)
    const options = { plugins: ['openai'], upstreams: [at('a', upstream.url)], tellEvery: 20 }
    await using gw = await gateway(options)
    const answers = [await ask(gw, 'of-the-old')]
    await gw.reload({ ...options, plugins: ['openai', 'failover'] })
    upstream.script = second.script
    answers.push(await ask(gw, 'of-the-new'))
    const stopping = gw.sidecar.stop()
    first.finish()
    await until(() => gw.sidecar.retiring.size === 0)
    const told = () => gw.records.filter(({ message }) => message.includes('of-the-new waits')).length
    const before = told()
    await until(() => told() > before)
    second.finish()
    assert.deepEqual(await stopping, [])
    await Promise.all(answers.map((answer) => answer.text()))
  })

  test('leaves an exchange behind whose plugin does not come back, and still writes what other plugins have queued', async () => {
    const { plugin, release } = hangs()
    const written: number[] = []
    let isOpen = true
    const sink = definePlugin({
      name: 'sink',
      config,
      async setup(context) {
        await context.shared(
          'file',
          () => ({}),
          () => void (isOpen = false),
        )
        const queue = context.queue<number>({ capacity: 100 }, async (item) => {
          await new Promise(setImmediate)
          assert.ok(isOpen, 'what queues write to is closed after them')
          written.push(item)
        })
        return { onRequest: () => void Array.from({ length: 50 }, (_, item) => queue.push(item)) }
      },
    })
    await using gw = await gateway({ plugins: [sink, 'openai', plugin], limits: { drain: '50ms' } })
    const answer = ask(gw, 'lost').catch((error: unknown) => error)
    await until(() => gw.sidecar.server.gateway.exchanges[0]?.isPending === true)
    const failed = await gw.sidecar.stop()
    assert.deepEqual(failed, ['lost waits for hangs in onBody'])
    assert.deepEqual(written, [...Array(50).keys()])
    assert.ok(gw.records.some(({ level, message }) => level === 'error' && message.startsWith('exchanges are left')))
    assert.ok((await answer) instanceof Error, 'its connection is closed')
    release()
  })

  test('is not kept from its end by a part that fails, and tells which it was', async () => {
    let isClosed = false
    const closes = (name: string, close: () => void) =>
      definePlugin({
        name,
        config,
        async setup(context) {
          await context.shared('it', () => 1, close)
          return {}
        },
      })
    const fails = closes('fails', () => {
      throw new Error('no')
    })
    await using gw = await gateway({ plugins: [closes('good', () => void (isClosed = true)), 'openai', fails] })
    assert.deepEqual(await gw.sidecar.stop(), ['fails: what it shares'])
    assert.ok(isClosed)
    assert.ok(
      gw.records.some(
        ({ level, message }) => level === 'error' && message === 'stopped, and not everything has ended as it should',
      ),
    )
  })

  test('makes the exit code 1 where something did not end as it should, and exits', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'postern-drain-'))
    try {
      await mkdir(join(folder, 'fails'))
      await writeFile(
        join(folder, 'fails', 'index.ts'),
        `export default {
          name: 'fails', config: { type: 'object' }, reads: [], mayRead: [], writes: [],
          async setup(context) {
            await context.shared('it', () => 1, () => { throw new Error('no') })
            setInterval(() => {}, 1000) // nobody ends it
            return {}
          },
        }`,
      )
      const file = join(folder, 'gateway.yaml')
      await writeFile(file, toYaml({ plugins: ['openai', './fails'] }, new Map()))
      const child = spawn(process.execPath, [bin, 'run', '--config', file], { stdio: ['ignore', 'pipe', 'ignore'] })
      let out = ''
      child.stdout.on('data', (text) => (out += String(text)))
      const ended = once(child, 'close')
      await until(() => out.includes('listening'))
      child.kill('SIGTERM')
      assert.deepEqual(await ended, [1, null], out)
      assert.match(out, /"failed":\["fails: what it shares"\]/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('ends queues of all plugins before what any of them shares: one may hand its items to another', async () => {
    const order: string[] = []
    const plugin = (name: string) =>
      definePlugin({
        name,
        config,
        async setup(context) {
          await context.shared(
            'it',
            () => 1,
            () => void order.push(`${name} shared`),
          )
          const queue = context.queue<number>({ capacity: 9 }, async () => {
            await new Promise(setImmediate)
            order.push(`${name} queue`)
          })
          return { onRequest: () => void queue.push(1) }
        },
      })
    await using gw = await gateway({ plugins: [plugin('first'), plugin('second'), 'openai'] })
    await ask(gw, 'x')
    await gw.sidecar.stop()
    assert.deepEqual(order.slice(0, 2).toSorted(), ['first queue', 'second queue'])
    assert.deepEqual(order.slice(2).toSorted(), ['first shared', 'second shared'])
  })
})

describe('a gateway that was replaced and lives on', () => {
  test('says for whom, until it has ended', async () => {
    const slow = slowStream()
    await using upstream = await fakeUpstream(slow.script)
    const options = { plugins: ['openai'], upstreams: [at('a', upstream.url)], tellEvery: 20 }
    await using gw = await gateway(options)
    const answer = await ask(gw, 'long')
    await gw.reload({ ...options, plugins: ['openai', 'failover'] })
    const line = () => gw.records.find(({ message }) => message.startsWith('a gateway that shall end'))
    await until(() => line() !== undefined)
    assert.match(line()!.message, /long waits for the rest of the answer of a$/)
    const [retiring] = (await health(gw)).retiring
    assert.equal(retiring?.waits.exchanges, 1)
    assert.equal(retiring?.waits.oldest[0]?.upstream, 'a')
    assert.ok(Date.parse(retiring?.since ?? '') <= Date.now())
    slow.finish()
    await answer.text()
    await until(async () => (await health(gw)).retiring.length === 0)
    assert.equal((await health(gw)).status, 'ok')
  })

  test('has no deadline for what its plugins have queued, until the process shall end', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const slow = definePlugin({
      name: 'slow',
      config,
      setup(context) {
        const queue = context.queue<number>({ capacity: 9 }, () => promise)
        return { onRequest: () => void queue.push(1) }
      },
    })
    const options = { plugins: ['openai', slow], tellEvery: 20 }
    await using gw = await gateway(options)
    await ask(gw, 'x')
    await gw.reload({ ...options, plugins: ['openai'] })
    await until(async () => (await health(gw)).retiring[0]?.waits.parts[0] === 'slow: its queues (1 left)')
    const line = () => gw.records.find(({ message }) => message.startsWith('a gateway that shall end'))
    await until(() => line() !== undefined)
    assert.match(line()!.message, /slow: its queues \(1 left\)$/)
    resolve()
    await until(async () => (await health(gw)).retiring.length === 0)
    assert.deepEqual(await gw.sidecar.stop(), [])
  })

  test('names five of many, the oldest, and how many there are', async () => {
    const slow = slowStream()
    await using upstream = await fakeUpstream(slow.script)
    const options = { plugins: ['openai'], upstreams: [at('a', upstream.url)] }
    await using gw = await gateway(options)
    const answers = []
    for (let one = 0; one < 8; one++) answers.push(await ask(gw, `n${one}`))
    await gw.reload({ ...options, plugins: ['openai', 'failover'] })
    const [retiring] = (await health(gw)).retiring
    assert.equal(retiring?.waits.exchanges, 8)
    assert.deepEqual(
      retiring?.waits.oldest.map(({ exchange }) => exchange),
      ['n0', 'n1', 'n2', 'n3', 'n4'],
    )
    slow.finish()
    await Promise.all(answers.map((answer) => answer.text()))
  })
})
