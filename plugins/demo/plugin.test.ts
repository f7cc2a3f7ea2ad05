/** What the plugin tells the gateway: who is asked, and with which headers. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Exchange, Failure, Hooks, Log, Outgoing, PluginContext, Upstream } from 'postern/plugin'
import demo from './index.ts'
import { ask } from './raw-client.ts'

const defaults = { listen: '127.0.0.1:0', latency: 0, providers: ['openai', 'anthropic', 'gemini'] }
const real: Upstream = {
  name: 'real',
  provider: 'openai',
  url: null,
  key: null,
  models: null,
  priority: 1,
  slots: null,
}
const log: Log = { debug() {}, info() {}, warn() {}, error() {} }

describe('the demo plugin', () => {
  test('sends models named demo to the demo alone, and leaves all others where they were', async () => {
    await using gateway = await setUp()
    assert.deepEqual(await gateway.rank({ model: 'gpt-5' }, [real]), [real])
    const [only, ...rest] = await gateway.rank({ model: 'demo-429' }, [real])
    assert.deepEqual([only?.name, only?.provider, only?.key, rest.length], ['demo', 'openai', null, 0])
    assert.equal((await gateway.rank({ model: 'demo' }, []))[0], only, 'the same upstream each time')
  })

  test('stands in for an API without upstreams, never for one that has failed, nor for one it cannot speak', async () => {
    await using gateway = await setUp()
    const [demo] = await gateway.rank({ model: null }, [])
    assert.equal(demo?.name, 'demo')
    assert.ok(demo)
    assert.deepEqual(await gateway.rank({ model: 'gpt-5', failures: [failed(real)] }, []), [])
    assert.deepEqual(await gateway.rank({ model: 'gpt-5', failures: [failed(demo)] }, []), [demo])
    assert.deepEqual(await gateway.rank({ provider: 'sora', model: 'demo' }, []), [])
    assert.deepEqual(await gateway.rank({ provider: null, model: 'demo' }, []), [])
  })

  test('answers at the address of its upstream', async () => {
    await using gateway = await setUp()
    const [upstream] = await gateway.rank({ model: 'demo' }, [])
    const { text } = await ask(`${upstream?.url?.origin}/v1/chat/completions`, { model: 'demo' })
    assert.match(text, /demo upstream/)
  })

  test("takes the client's credentials from what it is sent, and from nothing else", async () => {
    await using gateway = await setUp()
    const [demo] = await gateway.rank({ model: 'demo' }, [])
    assert.ok(demo)
    const sent = { authorization: 'Bearer 1', 'x-api-key': '2', 'x-goog-api-key': '3', accept: '*/*' }
    assert.deepEqual(await gateway.outgoing(demo, sent), { accept: '*/*' })
    assert.deepEqual(await gateway.outgoing(real, sent), sent)
    assert.deepEqual(await gateway.outgoing({ ...demo }, sent), sent)
  })

  test('asks the demo for the latency of its configuration, unless the client asks for another', async () => {
    await using gateway = await setUp({ latency: 250 })
    const [demo] = await gateway.rank({ model: 'demo' }, [])
    assert.ok(demo)
    assert.deepEqual(await gateway.outgoing(demo, {}), { 'x-demo-latency': '250' })
    assert.deepEqual(await gateway.outgoing(demo, { 'x-demo-latency': '0' }), { 'x-demo-latency': '0' })
    await assert.rejects(setUp({ latency: 3_600_001 }), /at most 1h/)
  })

  test('keeps its server over a reload, and closes it with every connection it still has', async () => {
    const opened = new Map<string, unknown>()
    const first = await setUp({}, opened)
    const second = await setUp({ latency: 5 }, opened)
    const urlOf = async (gateway: typeof first) => (await gateway.rank({ model: 'demo' }, []))[0]?.url?.href
    const url = await urlOf(first)
    assert.equal(await urlOf(second), url)
    assert.equal(opened.size, 1)
    const stalled = ask(`${url}v1/messages`, { model: 'demo-stall' })
    await ask(`${url}v1/messages`, { model: 'demo' })
    await first[Symbol.asyncDispose]()
    assert.equal((await stalled).broken, 'ECONNRESET')
    assert.equal((await ask(`${url}v1/messages`, { model: 'demo' })).broken, 'ECONNREFUSED')
  })
})

interface Facts {
  readonly provider?: string | null
  readonly model: string | null
  readonly failures?: readonly Failure[]
}

/** The plugin set up by a gateway of three lines; what it shares is closed at the end of the block. */
async function setUp(config: object = {}, opened = new Map<string, unknown>()) {
  const closings: (() => unknown)[] = []
  const context = {
    config: { ...defaults, ...config },
    log,
    async shared<T>(key: string, open: () => Promise<T>, close: (it: T) => unknown): Promise<T> {
      const it = (opened.get(key) as T | undefined) ?? (await open()) // a key has one type
      opened.set(key, it)
      closings.push(() => close(it))
      return it
    },
  } as unknown as PluginContext<unknown> // the plugin uses no more of it
  const hooks: Hooks = await demo.setup(context)
  return {
    rank({ provider = 'openai', model, failures = [] }: Facts, candidates: readonly Upstream[]) {
      const facts = { provider: provider === null ? null : { name: provider }, model }
      const exchange = { facts, failures } as unknown as Exchange // the plugin reads no more of it
      return hooks.rankUpstreams?.(exchange, candidates) ?? candidates
    },
    async outgoing(upstream: Upstream, headers: Outgoing['headers']): Promise<Outgoing['headers']> {
      // the plugin reads no body
      const outgoing = { method: 'POST', path: '/', query: '', headers: { ...headers } } as Outgoing
      await hooks.onUpstreamRequest?.({ upstream } as Exchange, outgoing) // the plugin reads no more of it
      return outgoing.headers
    },
    async [Symbol.asyncDispose]() {
      for (const closing of closings) await closing()
    },
  }
}

function failed(upstream: Upstream): Failure {
  return { upstream, attempt: 1, status: 503, error: null, judgement: 'elsewhere' }
}
