import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { definePlugin } from 'postern/plugin'
import { fakeUpstream, json, stream, type FakeUpstream, type Script } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../../test/harness.ts'

const ask = (gw: TestGateway, body: object = { model: 'm' }, headers = {}) =>
  fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

/** Upstreams called a, b, c …, asked in this order. */
const options = (upstreams: readonly FakeUpstream[], failover = {}): GatewayOptions => ({
  plugins: ['openai', { failover: { same_upstream_delay: '1ms', ...failover } }],
  upstreams: upstreams.map(({ url }, at) => ({
    name: 'abcdef'[at],
    provider: 'openai',
    url,
    key: `key-${at}`,
    priority: at,
  })),
})
const before = (upstreams: readonly FakeUpstream[], failover = {}) => gateway(options(upstreams, failover))

const fine = json(200, { ok: true })
const no = (status: number, headers: Record<string, string> = {}, body: object = { error: {} }) =>
  json(status, body, headers)
const restsOf = (gw: TestGateway) => gw.records.filter(({ rest_s }) => rest_s !== undefined)

/** Waits for what has to come about, five seconds at most. */
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; waited < 5000; waited += 10) {
    if (await holds()) return
    await sleep(10)
  }
  assert.fail('it did not come about')
}

describe('an upstream that has reached a rate limit', () => {
  test('is left alone for as long as it says, and asked again then', async () => {
    await using a = await fakeUpstream(no(429, { 'retry-after-ms': '300' }))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    for (let times = 0; times < 3; times++) assert.equal((await ask(gw)).status, 200)
    assert.equal(a.asked.length, 1)
    a.script = fine
    await until(async () => (await ask(gw)).ok && a.asked.length === 2)
    const [line] = restsOf(gw)
    assert.deepEqual(
      [line?.level, line?.account_id, line?.status_code, line?.rest_s, line?.rest_kind, line?.told_by],
      ['warn', 'a', 429, 1, 'limit', 'retry-after-ms'],
    )
  })

  test('is told with its reason, and the nearest end of all rests is Retry-After', async () => {
    await using a = await fakeUpstream(no(429, { 'retry-after': '50' }))
    await using b = await fakeUpstream(no(429, { 'retry-after': '30' }))
    await using gw = await before([a, b])
    assert.equal((await ask(gw)).status, 429)
    const answer = await ask(gw)
    assert.equal(answer.status, 429)
    assert.equal(answer.headers.get('retry-after'), '30')
    const { error } = (await answer.json()) as { error: { type: string; message: string } }
    assert.equal(error.type, 'rate_limit_error')
    assert.match(error.message, /a is resting \((50|49) s\), b is resting \((30|29) s\)/)
    assert.equal(a.asked.length + b.asked.length, 2)
  })

  test('is not asked by an exchange that waited for its turn meanwhile', async () => {
    await using a = await fakeUpstream(no(429, { 'retry-after': '60' }))
    await using b = await fakeUpstream(fine)
    let go = () => {}
    const mayGo = new Promise<void>((resolve) => (go = resolve))
    let waiting = 0
    const slots = definePlugin({
      name: 'slots',
      config: { type: 'object', description: 'Lets some wait.', additionalProperties: false },
      setup: () => ({
        async onUpstreamRequest({ headers, upstream }) {
          if (headers['x-wait'] === undefined || upstream?.name !== 'a') return
          waiting++
          await mayGo
        },
      }),
    })
    const { plugins, ...others } = options([a, b])
    await using gw = await gateway({ ...others, plugins: ['openai', slots, ...plugins.slice(1)] })
    const late = ask(gw, { model: 'm' }, { 'x-wait': '1' })
    await until(() => waiting === 1)
    await ask(gw)
    go()
    assert.equal((await late).status, 200)
    assert.equal(a.asked.length, 1)
  })

  test('rests for one model where the limit is the model’s', async () => {
    const spent = { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' }
    await using a = await fakeUpstream(no(429, spent))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    await ask(gw, { model: 'one' })
    a.script = fine
    await ask(gw, { model: 'one' })
    assert.equal(a.asked.length, 1)
    await ask(gw, { model: 'two' })
    assert.equal(a.asked.length, 2)
    assert.equal(restsOf(gw)[0]?.model, 'one')
  })

  test('is not asked in a panic either', async () => {
    await using a = await fakeUpstream(no(429, { 'retry-after': '60' }))
    await using gw = await before([a], { rests: { max_resting_share: 0 } })
    await ask(gw)
    assert.equal((await ask(gw)).status, 429)
    assert.equal(a.asked.length, 1)
  })

  for (const [what, script] of Object.entries<Script>({
    'with 400': no(400, {}, { type: 'error', error: { type: 'rate_limit_error' } }),
    'inside a stream': stream(Buffer.from('data: {"error":{"type":"rate_limit_error","code":"x"}}\n\n'), 999),
  })) {
    test(`rests as well where it tells of it ${what}`, async () => {
      await using a = await fakeUpstream(script)
      await using b = await fakeUpstream(stream(Buffer.from('data: {"choices":[{"delta":{"content":"x"}}]}\n\n'), 999))
      await using gw = await before([a, b])
      for (let times = 0; times < 2; times++) {
        const answer = await ask(gw, { model: 'm', stream: true })
        assert.equal(answer.status, 200)
        await answer.text()
      }
      assert.equal(a.asked.length, 1)
      assert.equal(restsOf(gw)[0]?.rest_kind, 'limit')
    })
  }
})

describe('an upstream that refuses its credential', () => {
  for (const status of [401, 402]) {
    test(`with ${status} is not asked again, and the log says so`, async () => {
      await using a = await fakeUpstream(no(status))
      await using b = await fakeUpstream(fine)
      await using gw = await before([a, b])
      for (let times = 0; times < 3; times++) assert.equal((await ask(gw)).status, 200)
      assert.equal(a.asked.length, 1)
      const [line] = restsOf(gw)
      assert.deepEqual([line?.rest_s, line?.rest_kind, line?.account_id], [600, 'refused', 'a'])
      assert.match(line?.message ?? '', /credential was refused/)
      assert.ok(!JSON.stringify(gw.records).includes('key-0'), 'but not what the credential is')
    })
  }

  test('is asked again at once where it has been given another one', async () => {
    await using a = await fakeUpstream(no(401))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    await ask(gw)
    a.script = fine
    const same = options([a, b])
    assert.deepEqual(await gw.reload(same), [])
    await ask(gw)
    assert.equal(a.asked.length, 1, 'a reload alone changes nothing')
    const [one, ...others] = same.upstreams ?? []
    assert.deepEqual(await gw.reload({ ...same, upstreams: [{ ...one, key: 'another' }, ...others] }), [])
    await ask(gw)
    assert.equal(a.asked[1]?.headers.authorization, 'Bearer another')
  })

  test('for one model with 403 serves the others', async () => {
    await using a = await fakeUpstream((asked, ...more) =>
      (asked.body.includes('secret') ? no(403) : fine)(asked, ...more),
    )
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    for (const model of ['secret', 'secret', 'm', 'm']) assert.equal((await ask(gw, { model })).status, 200)
    assert.equal(a.asked.length, 3)
  })

  test('that is not the gateway’s own is as good as before', async () => {
    await using a = await fakeUpstream(no(401))
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'a', provider: 'openai', url: a.url }],
    })
    for (let times = 0; times < 3; times++) assert.equal((await ask(gw)).status, 401)
    assert.equal(a.asked.length, 3)
    assert.deepEqual(restsOf(gw), [])
  })
})

describe('an upstream that is overloaded', () => {
  for (const status of [503, 529]) {
    test(`with ${status} rests for a moment, not for ten minutes`, async () => {
      await using a = await fakeUpstream(no(status))
      await using b = await fakeUpstream(fine)
      await using gw = await before([a, b])
      await ask(gw)
      await ask(gw)
      assert.equal(a.asked.length, 1)
      assert.equal(restsOf(gw)[0]?.rest_s, 2)
    })
  }

  test('is believed for a minute at most', async () => {
    await using a = await fakeUpstream(no(503, { 'retry-after': '3600' }))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    await ask(gw)
    assert.equal(restsOf(gw)[0]?.rest_s, 60)
  })

  test('is asked at once when rests are switched off', async () => {
    await using a = await fakeUpstream(no(503))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    await ask(gw)
    assert.deepEqual(await gw.reload(options([a, b], { rests: { enabled: false } })), [])
    await ask(gw)
    assert.equal(a.asked.length, 2)
  })

  test('does not rest where rests are switched off', async () => {
    await using a = await fakeUpstream(no(503))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b], { rests: { enabled: false } })
    for (let times = 0; times < 3; times++) await ask(gw)
    assert.equal(a.asked.length, 3)
  })
})

describe('an upstream that fails again and again', () => {
  test('rests when the circuit opens', async () => {
    await using a = await fakeUpstream(no(500))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    for (let times = 0; times < 8; times++) assert.equal((await ask(gw)).status, 200)
    assert.equal(a.asked.length, 5)
    assert.equal(restsOf(gw)[0]?.rest_kind, 'health')
  })

  test('in the middle of its answers rests as well', async () => {
    await using a = await fakeUpstream((_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {"choices":[{"delta":{"content":"x"}}]}\n\n', () => response.destroy())
    })
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    for (let times = 0; times < 30; times++) await (await ask(gw, { model: 'm', stream: true })).text().catch(() => '')
    assert.ok(a.asked.length < 20, `${a.asked.length} of 30`)
    assert.equal(restsOf(gw)[0]?.rest_kind, 'health')
  })

  test('is asked each time where there is no circuit', async () => {
    await using a = await fakeUpstream(no(500))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b], { circuit: { enabled: false } })
    for (let times = 0; times < 8; times++) await ask(gw)
    assert.equal(a.asked.length, 8)
  })

  test('is remembered across a reload', async () => {
    await using a = await fakeUpstream(no(500))
    await using b = await fakeUpstream(fine)
    await using gw = await before([a, b])
    for (let times = 0; times < 4; times++) await ask(gw)
    assert.deepEqual(await gw.reload(options([a, b])), [])
    for (let times = 0; times < 4; times++) await ask(gw)
    assert.equal(a.asked.length, 5)
  })
})
