/** Clients of requests by HTTP that are asked over an upstream's WebSocket: those that leave, wait, read slowly, or are many. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { WebSocketServer } from 'ws'
import { definePlugin, type Plugin } from 'postern/plugin'
import { until, wsUpstream } from '../conformance/websocket-upstream.ts'
import { gateway } from '../harness.ts'
import { answered, responsesUpstream, upstreamOf } from './websocket-client.fixture.ts'

const always = (name: string, upstream: { url: URL }) => ({ ...upstreamOf(name, upstream), websocket: 'always' })
const delta = { type: 'response.output_text.delta', delta: 'a' }

const post = (url: string, body: object, signal?: AbortSignal) =>
  fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', ...body }),
    ...(signal ? { signal } : {}),
  })

describe('a client that', () => {
  /** Remembers how exchanges ended. */
  function witness(): { ends: string[]; plugin: Plugin } {
    const ends: string[] = []
    const plugin = definePlugin({
      name: 'witness',
      config: { type: 'object', properties: {} },
      setup: () => ({ onEnd: ({ error }) => void ends.push(error?.name ?? '') }),
    })
    return { ends, plugin }
  }

  for (const stream of [true, false]) {
    test(`leaves ${stream ? 'in mid-stream' : 'before its document has come'} is missed by the upstream at once`, async () => {
      const { ends, plugin } = witness()
      await using upstream = await responsesUpstream((say) => say(delta))
      await using gw = await gateway({ plugins: ['openai', 'failover', plugin], upstreams: [always('o', upstream)] })
      const controller = new AbortController()
      const asking = post(gw.url, { stream }, controller.signal)
      await until(() => upstream.asked.length === 1)
      if (stream) await (await asking).body!.getReader().read()
      controller.abort()
      await asking.catch(() => {})
      await until(() => upstream.open === 0)
      await until(() => ends.length === 1)
      assert.deepEqual(ends, ['ClientGone'])
      assert.equal(upstream.requests.length, 1, 'and nobody else was asked')
    })
  }

  test('leaves while the upgrade is under way leaves nothing behind', async () => {
    let refuse = (_answer: undefined) => {}
    const { ends, plugin } = witness()
    await using upstream = await responsesUpstream(answered, {
      onUpgrade: () => new Promise<undefined>((resolve) => (refuse = resolve)),
    })
    await using gw = await gateway({ plugins: ['openai', plugin], upstreams: [always('o', upstream)] })
    const controller = new AbortController()
    const asking = post(gw.url, {}, controller.signal)
    await until(() => upstream.requests.length === 1)
    controller.abort()
    await assert.rejects(asking)
    await until(() => ends.length === 1)
    refuse(undefined)
    assert.equal(upstream.asked.length, 0)
  })

  test('waits for its stream hears comments, and of an error as an event', async () => {
    const says: ((event: object) => void)[] = []
    await using upstream = await responsesUpstream((say) => void says.push(say))
    const timeouts = { heartbeat: '250ms' }
    await using gw = await gateway({ plugins: ['openai', 'failover'], timeouts, upstreams: [always('o', upstream)] })
    for (const event of [
      { type: 'response.completed', response: {} },
      { type: 'error', status: 400, error: { message: 'No', code: 'bad' } },
    ]) {
      const reader = (await post(gw.url, { stream: true })).body!.pipeThrough(new TextDecoderStream()).getReader()
      assert.equal((await reader.read()).value, ': waiting\n\n')
      says.pop()!(event)
      let text = ''
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value
      assert.match(
        text,
        event.type === 'error' ? /^(?:: .*\n\n)*event: error\ndata: .*"No"/ : /event: response.completed/,
      )
    }
  })

  test('reads slowly makes the upstream wait', async () => {
    const long = JSON.stringify({ type: 'response.output_text.delta', delta: 'x'.repeat(2 ** 20) })
    const count = 48
    await using upstream = await wsUpstream({
      onSocket: (socket) =>
        void socket.on('message', () => {
          for (let at = 0; at < count; at++) socket.send(long)
          socket.send('{"type":"response.completed"}')
        }),
    })
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [always('o', upstream)] })
    const reader = (await post(gw.url, { stream: true })).body!.getReader()
    let length = (await reader.read()).value!.length
    const [socket] = upstream.sockets
    let buffered = -1
    for (let quiet = 0; quiet < 50; quiet++) {
      if (socket!.bufferedAmount !== buffered) quiet = 0
      buffered = socket!.bufferedAmount
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.ok(buffered > (count / 3) * long.length, `${buffered} bytes wait where they came from`)
    for (let part = await reader.read(); !part.done; part = await reader.read()) length += part.value.length
    assert.ok(length > count * long.length)
    await until(() => gw.sidecar.server.gateway.exchanges.length === 0)
    assert.equal(upstream.open, 1, 'and its connection can serve again')
  })

  test('is served at a shutdown', async () => {
    let finish = () => {}
    await using upstream = await responsesUpstream((say, body, socket) => {
      say(delta)
      finish = () => answered(say, body, socket)
    })
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams: [always('o', upstream)] })
    const answer = await post(gw.url, { stream: true })
    const stopped = gw.stop()
    finish()
    assert.match(await answer.text(), /response.completed/)
    await stopped
    await until(() => upstream.open === 0)
  })

  test('comes when every connection is taken is served by HTTP', async () => {
    const waiting: (() => void)[] = []
    const server = createServer((_request, response) => response.end('{}'))
    const sockets = new WebSocketServer({ server })
    sockets.on('connection', (socket) =>
      socket.on('message', () => waiting.push(() => socket.send('{"type":"response.completed","response":{}}'))),
    )
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}` // it listens on a port
    const upstreams = [{ name: 'o', provider: 'openai', url, key: 'k', websocket: 'always' }]
    await using gw = await gateway({ plugins: ['openai'], upstreams })
    // As many as a lane of the pool has connections, and places for those who wait.
    const most = 128 + 64
    let answers = 0
    const asking = Array.from({ length: most + 3 }, async () => {
      const { status } = await post(gw.url, {})
      answers++
      return status
    })
    await until(() => answers === 3)
    await until(() => waiting.length === 128)
    for (let done = 0; done < most; done++) {
      await until(() => waiting.length > 0)
      waiting.shift()!()
    }
    assert.deepEqual(new Set(await Promise.all(asking)), new Set([200]))
    for (const socket of sockets.clients) socket.terminate()
    server.close()
  })
})
