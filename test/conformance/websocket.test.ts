import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { websocketCases } from './websocket-cases.ts'
import { opcodes } from './websocket-frames.ts'
import { connectPeer, peerServer, type Peer } from './websocket-peer.ts'
import { play, runCases } from './websocket-runner.ts'
import { type UpstreamOptions, wsUpstream } from './websocket-upstream.ts'

const limit = 1024 * 1024

describe('the cases', () => {
  test('are more than sixty, and each has a name of its own', () => {
    const names = websocketCases(limit).map(({ name }) => name)
    assert.ok(names.length >= 60, `${names.length}`)
    assert.equal(new Set(names).size, names.length)
  })

  test('are met by a server of ws', async (t) => {
    await using server = await wsUpstream({ maxPayload: limit })
    await runCases(server.url, t, { limit })
  })

  test('are met by a client of ws', async (t) => {
    for (const one of websocketCases(limit)) {
      await t.test(one.name, async () => {
        const { promise: connected, resolve } = Promise.withResolvers<Peer>()
        await using server = await peerServer(resolve)
        const client = new WebSocket(server.url, { perMessageDeflate: false, maxPayload: limit })
        const closed = new Promise((resolve) => client.on('close', resolve))
        client.on('error', () => {})
        client.on('message', (data, isBinary) => client.send(data as Buffer, { binary: isBinary })) // its default type
        await play(await connected, one)
        await closed
      })
    }
  })
})

describe('the runner', () => {
  const wrongs: [what: string, options: UpstreamOptions, found: string][] = [
    ['takes text that is no UTF-8', { skipUTF8Validation: true }, 'text with a surrogate'],
    ['answers no ping', { autoPong: false }, 'a ping between two messages'],
    ['takes messages of any length', { maxPayload: 0 }, 'parts with one byte more together'],
    ['mixes text and binary', { onSocket: answering((data) => [data, true]) }, 'text of 1 bytes'],
    ['loses bytes', { onSocket: answering((data, isBinary) => [data.subarray(1), isBinary]) }, 'text of 126 bytes'],
    ['closes with another code', { onSocket: (socket) => socket.close(1001) }, 'close 1000'],
    ['says nothing', { onSocket() {} }, 'binary of 0 bytes'],
  ]
  for (const [what, options, found] of wrongs) {
    test(`finds out an endpoint that ${what}`, async () => {
      await using server = await wsUpstream({ maxPayload: limit, ...options })
      using peer = await connectPeer(server.url, {}, 200)
      await assert.rejects(
        play(
          peer,
          websocketCases(limit).find(({ name }) => name === found)!,
        ),
      )
    })
  }
})

function answering(answer: (data: Buffer, isBinary: boolean) => [Buffer, boolean]): UpstreamOptions['onSocket'] {
  return (socket) =>
    void socket.on('message', (data: Buffer, isBinary: boolean) => {
      const [bytes, binary] = answer(data, isBinary)
      socket.send(bytes, { binary })
    })
}

describe('the peer', () => {
  test('as a client speaks with a server of ws', async () => {
    await using server = await wsUpstream()
    using peer = await connectPeer(server.url, { 'x-who': 'peer' })
    assert.equal(server.requests[0]!.headers['x-who'], 'peer')
    peer.send({ opcode: opcodes.text, payload: 'hello' })
    const frame = await peer.next()
    assert.deepEqual([frame?.opcode, frame?.isMasked, frame?.payload.toString()], [opcodes.text, false, 'hello'])
    peer.close(4000, 'bye')
    assert.deepEqual(await peer.hear(), { messages: [], pongs: [], pings: 0, code: 4000, reason: 'bye' })
  })

  test('as a server speaks with a client of ws', async () => {
    const { promise: connected, resolve } = Promise.withResolvers<Peer>()
    await using server = await peerServer(resolve)
    const client = new WebSocket(server.url)
    const closed = new Promise((resolve) => client.on('close', (code, reason) => resolve([code, String(reason)])))
    const peer = await connected
    assert.match(peer.head, /^GET \/ HTTP\/1\.1\r\n/)
    await new Promise((resolve) => client.once('open', resolve))
    client.send('hello')
    const frame = await peer.next()
    assert.deepEqual([frame?.opcode, frame?.isMasked, frame?.payload.toString()], [opcodes.text, true, 'hello'])
    const answered = new Promise((resolve) => client.once('message', (data: Buffer) => resolve(data.toString())))
    peer.send({ opcode: opcodes.text, payload: 'world' })
    assert.equal(await answered, 'world')
    peer.close(4001, 'over')
    assert.deepEqual((await peer.hear()).code, 4001)
    assert.deepEqual(await closed, [4001, 'over'])
  })

  test('says so when the answer is no upgrade', async () => {
    await using server = await wsUpstream({ onUpgrade: () => 'HTTP/1.1 401 Who are you\r\ncontent-length: 0\r\n\r\n' })
    await assert.rejects(connectPeer(server.url), /HTTP\/1\.1 401 Who are you/)
  })

  for (const [what, bytes] of Object.entries({
    'a masked frame of a server': '8181000000005a',
    'reserved bits': 'c1015a',
    'a reserved opcode': '83015a',
    'a length in a longer form': '817e00015a',
    'a ping in parts': '09015a',
    'an end within a frame': '81055a',
  })) {
    test(`does not accept ${what}`, async () => {
      await using server = await peerServer((peer) => {
        peer.write(Buffer.from(bytes, 'hex'))
        peer.socket.end()
      })
      using peer = await connectPeer(server.url)
      await assert.rejects(peer.next(), Error)
    })
  }
})
