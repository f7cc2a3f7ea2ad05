/** Conversations that are lost with their connection and cannot be begun anew, and what is let go of them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../conformance/websocket-upstream.ts'
import { gateway } from '../harness.ts'
import { connect, upstreamOf } from './websocket-client.fixture.ts'
import { create, forgetful, options, replays, turn } from './websocket-replay.fixture.ts'

const lostConversation = 'upstream continuation connection is unavailable; please restart the conversation'

describe('a conversation that is lost for good', () => {
  test('twice in one turn, is told so, and nobody is asked a third time', async () => {
    await using upstream = await forgetful()
    await using gw = await gateway(options([upstreamOf('o', upstream)]))
    using client = await connect(`${gw.url}/v1/responses`)
    const first = await turn(client, 'first')
    upstream.sockets[0]!.terminate()
    upstream.server.on('connection', (socket) =>
      socket.removeAllListeners('message').on('message', () => socket.terminate()),
    )
    client.send({ ...create, input: 'second', previous_response_id: first })
    const event = await client.next()
    assert.equal(event.status, 502)
    assert.equal((await client.closed).code, 1011)
    assert.deepEqual(await replays(gw), { failed: 1 })
  })

  test('with an error of the upstream’s own where it is too long to be remembered', async () => {
    await using upstream = await forgetful()
    await using gw = await gateway(options([upstreamOf('o', upstream)], { limits: { replay: '1KiB' } }))
    using client = await connect(`${gw.url}/v1/responses`)
    const first = await turn(client, 'x'.repeat(2000))
    upstream.sockets[0]!.removeAllListeners('message').on('message', () => {
      const error = { code: 'previous_response_not_found', message: 'Gone' }
      upstream.sockets[0]!.send(JSON.stringify({ type: 'error', status: 400, error }))
    })
    client.send({ ...create, input: 'second', previous_response_id: first })
    const event = await client.next()
    assert.deepEqual(event.error, { code: 'previous_response_not_found', message: 'Gone' })
    assert.deepEqual(await replays(gw), { forgotten: 1 })
    assert.ok(client.ws.readyState === client.ws.OPEN, 'and its client may begin anew by itself')
  })

  test('is refused where nothing is to be remembered', async () => {
    await using upstream = await forgetful()
    await using gw = await gateway(options([upstreamOf('o', upstream)], { limits: { replay: '0B' } }))
    using client = await connect(`${gw.url}/v1/responses`)
    const first = await turn(client, 'first')
    upstream.sockets[0]!.terminate()
    client.send({ ...create, input: 'second', previous_response_id: first })
    assert.equal((await client.next()).type, 'error')
    assert.deepEqual(await client.closed, { code: 1008, reason: lostConversation })
    assert.equal(upstream.asked.length, 1)
  })

  test('is refused where the turn goes on with another response than the last', async () => {
    await using upstream = await forgetful()
    await using gw = await gateway(options([upstreamOf('o', upstream)]))
    using client = await connect(`${gw.url}/v1/responses`)
    const one = await turn(client, 'first')
    await turn(client, 'second', one)
    upstream.sockets[0]!.terminate()
    client.send({ ...create, input: 'third', previous_response_id: one })
    assert.equal((await client.next()).type, 'error')
    assert.equal((await client.closed).code, 1008)
  })

  test('after its client has had content, ends with an error event', async () => {
    await using upstream = await forgetful()
    await using gw = await gateway(options([upstreamOf('o', upstream)], { plugins: ['openai', 'failover'] }))
    using client = await connect(`${gw.url}/v1/responses`)
    const first = await turn(client, 'first')
    const [socket] = upstream.sockets
    socket!.removeAllListeners('message').on('message', () => {
      socket!.send('{"type":"response.output_text.delta","delta":"a"}')
      socket!.terminate()
    })
    client.send({ ...create, input: 'second', previous_response_id: first })
    assert.equal((await client.next()).type, 'response.output_text.delta')
    assert.equal((await client.next()).type, 'error')
    assert.equal((await client.closed).code, 1011)
    assert.equal(upstream.requests.length, 1)
    assert.deepEqual(await replays(gw), {})
  })

  test('after its client has had content, is told with what the upstream says', async () => {
    await using upstream = await forgetful()
    await using gw = await gateway(options([upstreamOf('o', upstream)]))
    using client = await connect(`${gw.url}/v1/responses`)
    const first = await turn(client, 'first')
    const [socket] = upstream.sockets
    socket!.removeAllListeners('message').on('message', () => {
      socket!.send('{"type":"response.output_text.delta","delta":"a"}')
      socket!.send('{"type":"error","status":400,"error":{"code":"previous_response_not_found"}}')
    })
    client.send({ ...create, input: 'second', previous_response_id: first })
    assert.equal((await client.next()).type, 'response.output_text.delta')
    assert.deepEqual((await client.next()).error, { code: 'previous_response_not_found' })
    assert.equal(upstream.requests.length, 1)
    assert.deepEqual(await replays(gw), {})
  })
})

test('what is remembered is let go with the socket, and when a turn begins anew', async () => {
  await using upstream = await forgetful()
  await using gw = await gateway(options([upstreamOf('o', upstream)]))
  const { server } = gw.sidecar
  const clients = await Promise.all([1, 2, 3].map(() => connect(`${gw.url}/v1/responses`)))
  for (const client of clients) await turn(client, 'x'.repeat(10_000))
  assert.ok(server.remembered > 30_000 && server.remembered < 31_000, `${server.remembered}`)
  await turn(clients[0]!, 'short')
  assert.ok(server.remembered < 21_000, `${server.remembered}`)
  clients[1]!.send({ type: 'response.create', model: 'm', input: 'y'.repeat(10_000) })
  await clients[1]!.until('response.completed')
  assert.ok(server.remembered < 21_000, 'what is stored need not be remembered')
  for (const client of clients) client.ws.close()
  await until(() => server.remembered === 0)
})
