/** What `postern bench` makes of what it has measured, and of a gateway.yaml. What is measured is for reading: no test asserts it. */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { place } from '../../test/e2e/place.fixture.ts'
import { HookMeter } from './bench-hooks.ts'
import { judged } from './bench-shares.ts'
import type { Exchange, Plugin, PluginContext } from '../plugin.ts'

describe('what a plugin adds', () => {
  /** Twenty rounds around a number, a few µs to either side, differently for each name. */
  const around = (name: string, micro: number, apart = 2) =>
    Array.from({ length: 20 }, (_, at) => {
      const drawn = parseInt(hash('sha256', `${name} ${at}`).slice(0, 8), 16) / 2 ** 32
      return micro + (drawn * 2 - 1) * apart
    })
  const rounds = (without: number, twin = 200) => ({
    way: around('way', 100),
    own: around('own', 200),
    twin: around('twin', twin),
    without: { one: around('one', without) },
  })

  test('is told in µs, and as a share of what the gateway takes itself', () => {
    const { whole, spread, shares } = judged(rounds(180))
    assert.ok(Math.abs(whole - 100) < 3)
    assert.ok(spread[0] <= whole && whole <= spread[1])
    assert.equal(shares[0]?.plugin, 'one')
    assert.ok(Math.abs((shares[0].microseconds ?? 0) - 20) < 3)
    assert.ok(Math.abs((shares[0].share ?? 0) - 0.2) < 0.03)
  })

  test('is not told where it is less than its rounds differ', () => {
    for (const without of [200, 199.7, 203]) {
      const [share] = judged(rounds(without)).shares
      assert.deepEqual([share?.microseconds, share?.share], [null, null])
      assert.ok((share?.noise ?? 0) > 0)
    }
  })

  test('is not told where it is less than what is between two gateways that are the same', () => {
    assert.notEqual(judged(rounds(185)).shares[0]?.share, null)
    for (const twin of [170, 230]) assert.equal(judged(rounds(185, twin)).shares[0]?.share, null)
  })

  test('is not moved by a round that others have disturbed', () => {
    const one = rounds(180)
    const disturbed = { ...one, own: one.own.with(3, 900), without: { one: one.without.one.with(8, 2000) } }
    const [share] = judged(disturbed).shares
    assert.ok(Math.abs((share?.microseconds ?? 0) - 20) < 3)
  })

  test('is nothing where the gateway seems to take nothing', () => {
    const flat = around('flat', 100)
    const [share] = judged({
      way: around('way', 150),
      own: flat,
      twin: flat,
      without: { one: around('one', 50) },
    }).shares
    assert.equal(share?.share, null)
  })
})

describe('what a hook takes', () => {
  const plugin = (hooks: object) => ({ name: 'p', setup: () => hooks }) as unknown as Plugin // nobody looks at more
  const setUp = (meter: HookMeter, hooks: object) =>
    meter.around(plugin(hooks), 'p').setup({} as PluginContext<unknown>) // likewise
  const exchange = {} as Exchange // likewise

  test('is seen with its calls, and its answer is what it was', async () => {
    const meter = new HookMeter()
    const held: unknown[] = []
    const made = await setUp(meter, {
      onRequest: () => void held.push(Array.from({ length: 1000 }, () => 0)),
      onEnd: async () => 'later',
    })
    const ask = async () => {
      assert.equal(made.onRequest?.(exchange), undefined)
      assert.equal(await made.onEnd?.(exchange), 'later')
    }
    await ask()
    for (const looking of ['time', 'size'] as const) {
      meter.looking = looking
      for (let at = 0; at < 100; at++) await ask()
    }
    const [first, last] = meter.take(50)
    assert.deepEqual([first?.plugin, first?.phase, first?.calls], ['p', 'onRequest', 2])
    assert.ok((first?.bytes ?? 0) >= 8000 && (first?.bytes ?? 0) < 16_000, `${first?.bytes} bytes`)
    assert.ok((last?.bytes ?? Infinity) < 1000)
    assert.deepEqual(meter.take(50), [], 'begins anew')
  })

  test('is asked with the plugin as `this`, and what it throws is thrown', async () => {
    const meter = new HookMeter()
    class Own {
      readonly word = 'kept'
      readonly onRequest = function (this: Own) {
        throw new Error(this.word)
      }
    }
    const made = await setUp(meter, new Own())
    for (const looking of ['time', 'size', null] as const) {
      meter.looking = looking
      assert.throws(() => made.onRequest?.(exchange), /kept/)
    }
  })
})

describe('postern bench', () => {
  const mine = `import { definePlugin } from 'postern/plugin'
export default definePlugin({
  name: 'never',
  config: { type: 'object', description: 'Never.', additionalProperties: false },
  setup() { throw new Error('it has no mind to') },
})
`

  test('says what each hook takes, leaves out what it cannot have, and asks nothing of the user’s', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using there = await place({
      'never/index.ts': mine,
      'gateway.yaml': `listen: 127.0.0.1:8787
admin: { listen: 127.0.0.1:8788 }
log: { file: log.jsonl }
store: redis://${new URL(upstream.url).host}
database: postgres://${new URL(upstream.url).host}/app
keys: [{ name: app, key: a-key-of-the-app-itself, allow: [10.0.0.0/8] }]
upstreams:
  - { name: real, provider: openai, url: '${upstream.url}', key: of-the-user, models: [gpt-*] }
plugins: [api-key-auth, console, openai, anthropic, accounts, ./never, failover]
`,
    })
    const { code, out, err } = await there.postern(['bench', '--requests', '100', '--json'])
    assert.equal(code, 0, err)
    const told = JSON.parse(out) as Report // its own
    assert.deepEqual(
      told.exchanges.map(({ exchange }) => exchange),
      ['openai', 'anthropic'].flatMap((name) => [`${name}, JSON of 2 KB`, `${name}, a stream of 50 events`]),
    )
    assert.match(told.left_out['accounts'] ?? '', /needs a database/)
    assert.match(Object.values(told.left_out).join(), /no mind to/)
    const [first, stream] = told.exchanges
    const hooksOf = (one: Report['exchanges'][number] | undefined, name: string) =>
      one?.hooks.filter(({ plugin }) => plugin === name).map(({ phase }) => phase)
    assert.ok(hooksOf(first, 'api-key-auth')?.includes('onRequest'))
    assert.ok(hooksOf(first, 'failover')?.includes('rankUpstreams'))
    for (const { calls, microseconds, bytes } of first?.hooks ?? [])
      assert.ok(calls === 1 && microseconds >= 0 && Number.isInteger(bytes))
    assert.ok(stream?.hooks.some(({ phase, calls }) => phase === 'onEvent' && calls > 45))
    const plugins = first?.cost.shares.map(({ plugin }) => plugin)
    assert.deepEqual(plugins, ['api-key-auth', 'console', 'failover'], 'those without which it still serves')
    assert.deepEqual(upstream.asked, [])
    await assert.rejects(there.read('log.jsonl'))
  })

  test('says in words what is refused, and that nothing was measured', async () => {
    await using there = await place({
      'gateway.yaml': `plugins: [{ ip-rules: { deny: [127.0.0.0/8] } }, openai]`,
    })
    const { code, out, err } = await there.postern(['bench', '--requests', '100'])
    assert.equal(code, 1)
    assert.match(out, /left out: openai, JSON of 2 KB, answered 403 Forbidden: .*Access denied/)
    assert.match(err, /no exchange that could be measured/)
  })

  test('tells a table for people, with what is less than the noise as such', async () => {
    await using there = await place({ 'gateway.yaml': `plugins: [openai, failover]` })
    const { code, out, err } = await there.postern(['bench', '--requests', '100'])
    assert.equal(code, 0, err)
    assert.match(out, /^openai, JSON of 2 KB: the gateway takes -?\d+ µs of CPU per request \(-?\d+ to -?\d+ in half/m)
    assert.match(out, /^ {2}failover {2,}rankUpstreams {2,}1\.0 {2,}\d+\.\d\d {2,}\d+$/m)
    assert.match(out, /^ {2}failover {2,}\d+\.\d {2,}(< noise \(\d+\.\d\) {2,}< noise|\d+\.\d {2,}\d+\.\d %)$/m)
  })

  test('says what is wrong with the call, and with the file', async () => {
    await using there = await place({ 'gateway.yaml': 'plugins: [opnai]' })
    for (const requests of ['9', 'many', '100.5']) {
      const { code, err } = await there.postern(['bench', '--requests', requests])
      assert.equal(code, 2)
      assert.match(err, /--requests is a whole number/)
    }
    const { code, err } = await there.postern(['bench'])
    assert.equal(code, 1)
    assert.match(err, /gateway\.yaml:1:11 .*opnai/)
  })
})

interface Report {
  readonly left_out: Readonly<Record<string, string>>
  readonly exchanges: readonly {
    readonly exchange: string
    readonly hooks: readonly {
      readonly plugin: string
      readonly phase: string
      readonly calls: number
      readonly microseconds: number
      readonly bytes: number
    }[]
    readonly cost: { readonly shares: readonly { readonly plugin: string }[] }
  }[]
}
