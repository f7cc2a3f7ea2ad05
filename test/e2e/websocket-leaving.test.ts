import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, type Plugin } from 'postern/plugin'
import type { Usage } from 'postern/provider'
import { until } from '../conformance/websocket-upstream.ts'
import { fakeUpstream } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'
import { baseOf, connect, responsesUpstream } from './websocket-client.fixture.ts'

const create = { type: 'response.create', model: 'gpt-5', input: 'hi' }
const completed = { type: 'response.completed', response: { usage: { input_tokens: 7, output_tokens: 3 } } }
const delta = { type: 'response.output_text.delta', delta: 'a' }

/** Remembers how turns ended. */
function witness(reads: readonly 'usage'[] = ['usage']): {
  ends: { error: string; usage: Usage | null }[]
  plugin: Plugin
} {
  const ends: { error: string; usage: Usage | null }[] = []
  const plugin = definePlugin({
    name: 'witness',
    config: { type: 'object', additionalProperties: false, properties: {} },
    mayRead: reads,
    setup: () => ({
      onEnd({ kind, error, facts }) {
        if (kind === 'turn') ends.push({ error: error?.name ?? '', usage: facts.usage })
      },
    }),
  })
  return { ends, plugin }
}

/** Begins each turn, and finishes them when told. */
async function slowUpstream() {
  const finish: (() => void)[] = []
  const upstream = await responsesUpstream((say) => {
    say(delta)
    finish.push(() => say(completed))
  })
  return Object.assign(upstream, { finish })
}

describe('a client that leaves', () => {
  test('between turns leaves nothing behind', async () => {
    const { ends, plugin } = witness()
    await using upstream = await slowUpstream()
    await using gw = await gateway({
      plugins: ['openai', plugin],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    const client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.next()
    upstream.finish[0]!()
    await client.next()
    client.ws.close(1000)
    assert.equal((await client.closed).code, 1000)
    assert.deepEqual(ends, [{ error: '', usage: { input: 7, output: 3, cacheRead: 0, cacheWrite: 0 } }])
    assert.equal(upstream.open, 1, 'the connection waits for another session')
  })

  test('in mid-turn is billed for what the turn uses, and its connection serves nobody afterwards', async () => {
    const { ends, plugin } = witness()
    await using upstream = await slowUpstream()
    await using gw = await gateway({
      plugins: ['openai', plugin],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    const client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.next()
    client.ws.terminate()
    await until(() => gw.sidecar.server.gateway.exchanges[0]?.error?.name === 'ClientGone')
    assert.equal(ends.length, 0)
    upstream.finish[0]!()
    await until(() => ends.length === 1)
    await until(() => upstream.open === 0)
    assert.deepEqual(ends, [{ error: 'ClientGone', usage: { input: 7, output: 3, cacheRead: 0, cacheWrite: 0 } }])
  })

  test('in mid-turn ends what nobody wants to know of at once', async () => {
    const { ends, plugin } = witness([])
    await using upstream = await slowUpstream()
    await using gw = await gateway({
      plugins: ['openai', plugin],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    const client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.next()
    client.ws.terminate()
    await until(() => ends.length === 1)
    await until(() => upstream.open === 0)
    assert.equal(ends[0]!.error, 'ClientGone')
  })

  test('before its turn is answered ends the request by HTTP too', async () => {
    const { ends, plugin } = witness()
    let isGone = false
    await using upstream = await fakeUpstream((_asked, response) => void response.on('close', () => (isGone = true)))
    await using gw = await gateway({
      plugins: ['openai', plugin],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, websocket: false }],
    })
    const client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await until(() => upstream.asked.length === 1)
    client.ws.terminate()
    await until(() => isGone && ends.length === 1)
    assert.equal(ends[0]!.error, 'ClientGone')
  })
})

describe('an upstream that breaks off in mid-turn', () => {
  test('is told as an error event, and the socket is closed', async () => {
    await using upstream = await responsesUpstream((say, _body, socket) => {
      say(delta)
      socket.close(1011, 'oops')
    })
    await using gw = await gateway({
      plugins: ['openai', 'failover'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    assert.deepEqual(await client.next(), delta)
    const event = await client.next()
    assert.equal(event.type, 'error')
    assert.equal(event.status, 502)
    assert.deepEqual(await client.closed, { code: 1011, reason: 'upstream websocket proxy failed' })
  })

  test('by HTTP, where the stream ends before the last event, is told the same', async () => {
    await using upstream = await fakeUpstream((_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(`data: ${JSON.stringify(delta)}\n\n`)
    })
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, websocket: false }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    assert.deepEqual(await client.next(), delta)
    assert.equal((await client.next()).status, 502)
    assert.equal((await client.closed).code, 1011)
  })

  test('between two turns is not noticed: the next one has another connection', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    for (let turn = 0; turn < 3; turn++) {
      client.send(create)
      await client.until('response.completed')
      // The next message crosses the end of the connection on its way.
      upstream.sockets.at(-1)!.terminate()
    }
    assert.equal(upstream.requests.length, 3)
  })
})

describe('a turn that goes on where the connection has it all', () => {
  const stored = { ...create, store: false }

  test('stays on its connection, which is nobody else’s', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    using other = await connect(`${gw.url}/v1/responses`)
    client.send(stored)
    await client.until('response.completed')
    other.send(stored)
    await other.until('response.completed')
    client.send({ ...stored, previous_response_id: 'resp_x' })
    await client.until('response.completed')
    assert.deepEqual(
      upstream.asked.map(({ connection }) => connection),
      [1, 2, 1],
    )
    client.ws.close()
    await until(() => upstream.open === 1)
  })

  test('is refused where that connection is gone', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(stored)
    await client.until('response.completed')
    upstream.sockets[0]!.terminate()
    client.send({ ...stored, previous_response_id: 'resp_x' })
    assert.equal((await client.next()).type, 'error')
    const { code, reason } = await client.closed
    assert.equal(code, 1008)
    assert.equal(reason, 'upstream continuation connection is unavailable; please restart the conversation')
  })
})

describe('a reload', () => {
  test('lets a turn end where it is, and the next one enters the new gateway', async () => {
    await using first = await slowUpstream()
    await using second = await responsesUpstream()
    const options = (upstream: { url: URL }) => ({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    await using gw = await gateway(options(first))
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.next()
    assert.deepEqual(await gw.reload(options(second)), [])
    assert.equal(gw.sidecar.retiring.size, 1)
    first.finish[0]!()
    await client.until('response.completed')
    await until(() => gw.sidecar.retiring.size === 0)
    client.send(create)
    await client.until('response.completed')
    assert.equal(second.asked.length, 1)
  })
})

describe('a shutdown', () => {
  test('closes idle sockets with 1001 at once, and busy ones at the end of their turn', async () => {
    await using upstream = await slowUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    using idle = await connect(`${gw.url}/v1/responses`)
    using busy = await connect(`${gw.url}/v1/responses`)
    busy.send(create)
    await busy.next()
    const stopped = gw.stop()
    assert.deepEqual(await idle.closed, { code: 1001, reason: 'the gateway is shutting down' })
    upstream.finish[0]!()
    assert.equal((await busy.next()).type, 'response.completed')
    assert.equal((await busy.closed).code, 1001)
    await stopped
  })

  test('ends a turn at the deadline, with an event that says why', async () => {
    await using upstream = await slowUpstream()
    await using gw = await gateway({
      plugins: ['openai'],
      limits: { drain: '50ms' },
      upstreams: [{ name: 'o', provider: 'openai', url: baseOf(upstream), key: 'k' }],
    })
    using client = await connect(`${gw.url}/v1/responses`)
    client.send(create)
    await client.next()
    const stopped = gw.stop()
    assert.equal((await client.next()).status, 503)
    assert.equal((await client.closed).code, 1001)
    await stopped
  })
})
