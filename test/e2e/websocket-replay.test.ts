/** Conversations that are stored nowhere, and how they go on when the connection that knew them is lost. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { WebSocket } from 'ws'
import { until } from '../conformance/websocket-upstream.ts'
import { fakeUpstream, stream, type FakeUpstream } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'
import {
  asStream,
  connect,
  responsesUpstream,
  upstreamOf,
  type Responses,
  type Turn,
} from './websocket-client.fixture.ts'
import { answer, create, forgetful, options, replays, said, turn } from './websocket-replay.fixture.ts'

const inputsOf = (upstream: Responses) => upstream.asked.map(({ body }) => body.input)

describe('a conversation that is stored nowhere', () => {
  for (const tellsItems of [true, false]) {
    const where = tellsItems ? 'in events of their own' : 'at the end of each response'
    test(`goes on when its connection is lost, where items are told ${where}`, async () => {
      await using upstream = await forgetful({ tellsItems })
      await using gw = await gateway(options([upstreamOf('o', upstream)]))
      using client = await connect(`${gw.url}/v1/responses`)
      const one = await turn(client, 'first')
      const two = await turn(client, [said('second')], one)
      upstream.sockets[0]!.terminate()
      const three = await turn(client, [said('third')], two)
      const conversation = [said('first'), answer('answer 1'), said('second'), answer('answer 2'), said('third')]
      const anew = upstream.asked[2]!
      assert.deepEqual(anew.body, { ...create, input: conversation })
      assert.deepEqual(await replays(gw), { served: 1 })
      // And once more, from what it was begun anew with.
      await turn(client, [said('fourth')], three)
      assert.deepEqual(upstream.asked[3]!.body.input, [said('fourth')], 'its new connection knows it')
      upstream.sockets.at(-1)!.terminate()
      await turn(client, [said('fifth')], 'resp_4')
      assert.deepEqual(upstream.asked[4]!.body.input, [
        ...conversation,
        answer('answer 3'),
        said('fourth'),
        answer('answer 4'),
        said('fifth'),
      ])
      assert.deepEqual(await replays(gw), { served: 2 })
    })
  }

  test('goes on where the upstream says that it knows no such response', async () => {
    await using upstream = await forgetful()
    await using gw = await gateway(options([upstreamOf('o', upstream)], { plugins: ['openai', 'failover'] }))
    using client = await connect(`${gw.url}/v1/responses`)
    const first = await turn(client, 'first')
    const forgets: Turn = (say) =>
      say({ type: 'error', status: 400, error: { code: 'previous_response_not_found', message: 'Gone' } })
    upstream.sockets[0]!.removeAllListeners('message')
    upstream.sockets[0]!.on('message', () =>
      forgets((event) => upstream.sockets[0]!.send(JSON.stringify(event)), {}, upstream.sockets[0]!),
    )
    await turn(client, 'second', first)
    assert.deepEqual(upstream.asked.at(-1)!.body.input, [said('first'), answer('answer 1'), said('second')])
    assert.ok(!client.heard.some((message) => message.includes('"error"')), 'its client never hears of it')
    assert.deepEqual(await replays(gw), { served: 1 })
  })

  test('goes on where its turn was announced before it was said to be lost, and is announced once', async () => {
    await using upstream = await forgetful()
    await using gw = await gateway(options([upstreamOf('o', upstream)], { plugins: ['openai', 'failover'] }))
    using client = await connect(`${gw.url}/v1/responses`)
    const first = await turn(client, 'first')
    const [socket] = upstream.sockets
    socket!.removeAllListeners('message').on('message', () => {
      socket!.send('{"type":"response.created","response":{"id":"resp_lost"}}')
      socket!.send('{"type":"error","status":400,"error":{"code":"previous_response_not_found"}}')
    })
    await turn(client, 'second', first)
    assert.ok(!client.heard.some((message) => message.includes('resp_lost')))
    assert.deepEqual(await replays(gw), { served: 1 })
  })

  test('goes on where its connection ends in the moment of the sending, or has been lent long enough', async () => {
    for (const end of [
      (socket: WebSocket) => socket.close(1001),
      (socket: WebSocket) =>
        socket.send('{"type":"error","status":400,"error":{"code":"websocket_connection_limit_reached"}}'),
    ]) {
      await using upstream = await forgetful()
      await using gw = await gateway(options([upstreamOf('o', upstream)]))
      using client = await connect(`${gw.url}/v1/responses`)
      const first = await turn(client, 'first')
      const [socket] = upstream.sockets
      socket!.removeAllListeners('message').on('message', () => end(socket!))
      await turn(client, 'second', first)
      assert.deepEqual(upstream.asked.at(-1)!.body.input, [said('first'), answer('answer 1'), said('second')])
      await until(() => socket!.readyState === socket!.CLOSED)
    }
  })

  test('goes on with the calls of tools and their results, to the byte as they were spelt', async () => {
    const call = '{ "type":"function_call","call_id":"c1","name":"f","arguments":"{\\"n\\":1.0}" }'
    const result = '{"type":"function_call_output","call_id":"c1","output":"é 1.0"}'
    await using upstream = await responsesUpstream((_say, _body, socket) => {
      socket.send(`{"type":"response.output_item.done","item":${call}}`)
      socket.send('{"type":"response.completed","response":{"id":"resp_1","output":[]}}')
    })
    await using gw = await gateway(options([upstreamOf('o', upstream)]))
    using client = await connect(`${gw.url}/v1/responses`)
    client.send('{"type":"response.create","model":"m","store":false,"input":[ {"role":"user","content":1.0} ]}')
    await client.until('response.completed')
    upstream.sockets[0]!.terminate()
    client.send(
      `{"model":"m", "previous_response_id":"resp_1","store":false,"input":[${result}],"n":1.0,"type":"response.create"}`,
    )
    await client.until('response.completed')
    assert.equal(
      upstream.asked[1]!.data.toString(),
      `{"model":"m","store":false,"input":[ {"role":"user","content":1.0} ,${call},${result}],"n":1.0,"type":"response.create"}`,
    )
  })

  test('goes on at another upstream, without what only the one before can read', async () => {
    const sealed = { type: 'reasoning', id: 'rs_1', summary: [], encrypted_content: 'for a' }
    const named = { type: 'reasoning', id: 'rs_2', summary: [] }
    await using a = await forgetful({ items: [sealed, named], tellsItems: true })
    await using b = await forgetful()
    const both = [{ ...upstreamOf('a', a), priority: 1 }, upstreamOf('b', b)]
    await using gw = await gateway(options(both))
    using client = await connect(`${gw.url}/v1/responses`)
    const first = await turn(client, 'first')
    a.sockets[0]!.terminate()
    const second = await turn(client, 'second', first)
    assert.deepEqual(inputsOf(a)[1], [said('first'), sealed, answer('answer 1'), said('second')])
    assert.deepEqual(await gw.reload(options([upstreamOf('b', b)])), [])
    await turn(client, 'third', second)
    const answers = [answer('answer 1'), answer('answer 2')] as const
    assert.deepEqual(inputsOf(b)[0], [said('first'), answers[0], said('second'), answers[1], said('third')])
  })

  test('goes on by HTTP, and back over WebSocket', async () => {
    let count = 0
    await using http: FakeUpstream = await fakeUpstream((asked, response, request) => {
      const id = `resp_h${++count}`
      const output = [answer(`by HTTP ${count}`)]
      const events = [{ type: 'response.output_text.delta' }, { type: 'response.completed', response: { id, output } }]
      return stream(asStream(events), 100)(asked, response, request)
    })
    const byHttp = { name: 'h', provider: 'openai', url: http.url, key: 'k', websocket: false }
    await using upstream = await forgetful()
    await using gw = await gateway(options([byHttp]))
    using client = await connect(`${gw.url}/v1/responses`)
    const one = await turn(client, 'first')
    const two = await turn(client, 'second', one)
    assert.deepEqual(JSON.parse(http.asked[1]!.body.toString()), {
      model: 'gpt-5',
      store: false,
      stream: true,
      input: [said('first'), answer('by HTTP 1'), said('second')],
    })
    assert.deepEqual(await gw.reload(options([upstreamOf('o', upstream)])), [])
    const three = await turn(client, 'third', two)
    assert.equal(upstream.asked.length, 1)
    await turn(client, 'fourth', three)
    assert.equal(inputsOf(upstream)[1], 'fourth')
    assert.deepEqual(await gw.reload(options([byHttp])), [])
    await turn(client, 'fifth', 'resp_2')
    assert.equal((JSON.parse(http.asked[2]!.body.toString()) as { input: object[] }).input.length, 9)
  })
})

test('a turn that its connection was lent too long for is asked on another, and that one serves nobody', async () => {
  await using upstream = await forgetful()
  await using gw = await gateway(options([upstreamOf('o', upstream)]))
  const stored = { type: 'response.create', model: 'm', input: 'x' }
  const limit = '{"type":"error","status":400,"error":{"code":"websocket_connection_limit_reached","message":"Over"}}'
  using client = await connect(`${gw.url}/v1/responses`)
  client.send(stored)
  await client.until('response.completed')
  upstream.sockets[0]!.removeAllListeners('message').on('message', () => upstream.sockets[0]!.send(limit))
  client.send(stored)
  await client.until('response.completed')
  assert.equal(upstream.requests.length, 2)
  // Where the other one says the same, the client is told, and has a third for its next turn.
  upstream.sockets[1]!.removeAllListeners('message').on('message', () => upstream.sockets[1]!.send(limit))
  upstream.server.once('connection', (socket) => {
    socket.removeAllListeners('message').on('message', () => socket.send(limit))
  })
  client.send(stored)
  assert.equal((await client.next()).type, 'error')
  await until(() => upstream.open === 0)
  client.send(stored)
  await client.until('response.completed')
  assert.deepEqual(await replays(gw), {}, 'what is stored was never lost')
})
