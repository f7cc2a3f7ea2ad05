/** What /explain says of plugins, of choices and of time. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, reply } from 'postern/plugin'
import { asStream, connect } from '../../test/e2e/websocket-client.fixture.ts'
import { json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'
import { explained, fine, send, upstreams } from './console.fixture.ts'

const config = { type: 'object', description: 'For tests.', additionalProperties: false } as const
const busy = json(429, { error: { message: 'slow down' } }, { 'retry-after': '30' })

describe('/explain', () => {
  test('names the plugin and the phase that answered in place of an upstream', async () => {
    const instead = definePlugin({
      name: 'instead',
      config,
      setup: () => ({
        onUpstreamRequest: ({ headers }) => (headers['x-now'] ? reply(200, '{}') : undefined),
        onBody: async ({ headers }) => (headers['x-soon'] ? reply(200, '{}') : undefined),
      }),
    })
    await using some = await upstreams({ a: fine })
    await using gw = await gateway({ plugins: ['console', 'openai', instead], upstreams: some.list })
    for (const [header, phase] of [
      ['x-now', 'onUpstreamRequest'],
      ['x-soon', 'onBody'],
    ] as const) {
      const trail = await explained(gw, (await send(gw, { [header]: '1' })).id)
      assert.equal(trail.answered_by, 'plugin')
      assert.deepEqual(trail.answered_in, { plugin: 'instead', phase })
      assert.deepEqual(trail.plugins.at(-1), {
        plugin: 'instead',
        phase,
        attempt: phase === 'onBody' ? 0 : 1,
        what: 'answer',
        field: null,
      })
      const line = gw.records.findLast(({ message }) => message === 'exchange')
      assert.equal(line?.answered_by, `instead in ${phase}`, 'the log says so too')
    }
    const { answered_by: by, answered_in: where } = await explained(gw, (await send(gw)).id)
    assert.deepEqual([by, where], ['upstream', null])
  })

  test('names the fields that plugins have edited, for all attempts or for one, and never their values', async () => {
    const edits = definePlugin({
      name: 'edits',
      config,
      setup: () => ({
        onBody({ body }) {
          body.set('temperature', 'a canary')
        },
        async onUpstreamRequest({ attempt }, outgoing) {
          await Promise.resolve()
          if (attempt === 2) outgoing.body.delete('metadata.user')
        },
      }),
    })
    await using some = await upstreams({ a: busy, b: fine })
    await using gw = await gateway({ plugins: ['console', 'openai', edits, 'failover'], upstreams: some.list })
    const trail = await explained(gw, (await send(gw, {}, { metadata: { user: 'a canary' } })).id)
    assert.deepEqual(
      trail.plugins.map(({ plugin, phase, attempt, what, field }) => [plugin, phase, attempt, what, field].join(' ')),
      [
        'edits onBody 0 edit temperature',
        'failover onUpstreamResult 1 retry ',
        'edits onUpstreamRequest 2 edit metadata.user',
      ],
    )
    assert.doesNotMatch(JSON.stringify(trail), /canary/)
    assert.equal(some.of('b').asked[0]?.body.toString().includes('a canary'), true, 'it was sent')
  })

  test('does not put down to a plugin what the dialect of a turn makes of its body', async () => {
    const looks = definePlugin({ name: 'looks', config, setup: () => ({ onUpstreamRequest: () => undefined }) })
    const events = [{ type: 'response.created' }, { type: 'response.completed', response: { id: 'r' } }]
    await using some = await upstreams({
      a: (_asked, response) =>
        void response.writeHead(200, { 'content-type': 'text/event-stream' }).end(asStream(events)),
    })
    await using gw = await gateway({
      plugins: ['console', 'openai', looks],
      upstreams: some.list.map((one) => ({ ...one, websocket: false })),
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send({ type: 'response.create', model: 'gpt-5', input: [] })
    await client.until('response.completed')
    client.ws.close()
    assert.doesNotMatch(some.of('a').asked[0]?.body.toString() ?? '', /response\.create/, 'it was edited')
    const lines = () => gw.records.filter(({ message, method }) => message === 'exchange' && method === 'POST')
    while (lines().length === 0) await new Promise(setImmediate)
    const trail = await explained(gw, String(lines()[0]?.exchange))
    assert.deepEqual(trail.plugins, [])
  })

  test('tells the numbers of every candidate of a ranking, and who would not have the others asked', async () => {
    await using some = await upstreams({ a: busy, b: fine, c: fine })
    const list = some.list.map((one) => ({ ...one, priority: 1 }))
    await using gw = await gateway({ plugins: ['console', 'openai', 'failover'], upstreams: list })
    // Until the one that is busy has been asked once, and rests.
    while (some.of('a').asked.length === 0) await send(gw)
    const [choice] = (await explained(gw, (await send(gw)).id)).attempts
    assert.deepEqual(choice?.ranked.map(({ upstream }) => upstream).toSorted(), ['b', 'c'])
    for (const { score, load, errors } of choice.ranked) {
      assert.ok(score > 0 && score <= 2.5)
      assert.deepEqual([load, errors], [0, 0])
    }
    assert.equal(choice.ranked[0]?.upstream, choice.upstream, 'best first')
    assert.deepEqual(
      choice.passed_over.map(({ upstream, by }) => [upstream, by]),
      [['a', 'failover']],
    )
  })

  test('tells the time that was spent waiting for a slot apart from the gateway’s own', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    await using some = await upstreams({
      async a(asked, response, request) {
        if (asked.body.includes('"first"')) await promise
        await fine(asked, response, request)
      },
    })
    const list = some.list.map((one) => ({ ...one, slots: 1 }))
    await using gw = await gateway({ plugins: ['console', 'openai', 'concurrency', 'failover'], upstreams: list })
    const first = send(gw, {}, { model: 'first' })
    while (some.of('a').asked.length === 0) await new Promise(setImmediate)
    const second = send(gw, { 'x-request-id': 'second' })
    const waits = () => gw.sidecar.server.gateway.exchanges.some(({ id, isPending }) => id === 'second' && isPending)
    while (!waits()) await new Promise(setImmediate)
    const since = performance.now()
    while (performance.now() - since < 50) await new Promise(setImmediate)
    resolve()
    await first
    await second
    const { ms } = await explained(gw, 'second')
    assert.ok(ms.slots! >= 45, JSON.stringify(ms))
    const parts = ms.own! + ms.slots! + ms.upstreams! + ms.body! + ms.answer!
    assert.ok(Math.abs(parts - ms.total!) < 0.1, JSON.stringify(ms))
    assert.ok(ms.on_request! >= 0 && ms.on_body! >= 0 && ms.choosing! >= 0, JSON.stringify(ms))
  })

  test('is a line of the log at debug, and nothing is made of it otherwise', async () => {
    await using some = await upstreams({ a: busy, b: fine })
    await using gw = await gateway({ plugins: ['console', 'openai', 'failover'], upstreams: some.list })
    const { id } = await send(gw, { 'x-request-id': 'sk-canary-0123456789abcdefghij' })
    const line = () => gw.records.find(({ message }) => message === 'the trail of an exchange')
    while (!line()) await new Promise(setImmediate)
    assert.equal(line()?.level, 'debug')
    const told = JSON.parse(JSON.stringify(line()?.trail)) as { attempts: unknown[]; exchange: string }
    assert.equal(told.attempts.length, 2)
    assert.doesNotMatch(told.exchange, /canary/)
    assert.ok(id)
  })
})
