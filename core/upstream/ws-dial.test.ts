import assert from 'node:assert/strict'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { laneOf, testPool, until, wsUpstream } from '../../test/conformance/websocket-upstream.ts'
import { dialer } from './dial.ts'
import type { Resolve } from './lookup.ts'
import { type UpgradeRefused, WsError } from './ws-errors.ts'

describe('an upstream that answers the upgrade with HTTP', () => {
  test('is told with its status, headers and body, and leaves no socket', async () => {
    const body = '{"error":{"code":"rate_limit"}}'
    await using upstream = await wsUpstream({
      onUpgrade: () =>
        `HTTP/1.1 429 Too Many\r\nretry-after: 7\r\nconnection: keep-alive\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    })
    await using rig = testPool()
    await assert.rejects(rig.pool.acquire(laneOf(upstream)), (error: UpgradeRefused) => {
      assert.equal(error.code, 'UPGRADE_REFUSED')
      assert.equal(error.status, 429)
      assert.equal(error.headers['retry-after'], '7')
      assert.equal(error.body.toString(), body)
      return true
    })
  })

  test('at endless length is read for 64 KiB', async () => {
    await using upstream = await wsUpstream({
      onUpgrade: () => `HTTP/1.1 502 Bad\r\ncontent-length: 9999999\r\n\r\n${'x'.repeat(200_000)}`,
    })
    await using rig = testPool()
    await assert.rejects(rig.pool.acquire(laneOf(upstream)), (error: UpgradeRefused) => {
      assert.deepEqual([error.status, error.body.length], [502, 64 * 1024])
      return true
    })
  })

  test('and breaks off is told with what came', async () => {
    await using upstream = await wsUpstream({
      onUpgrade: () => 'HTTP/1.1 500 Oops\r\ncontent-length: 100\r\n\r\nhalf',
    })
    await using rig = testPool()
    await assert.rejects(rig.pool.acquire(laneOf(upstream)), (error: UpgradeRefused) => {
      assert.deepEqual([error.status, error.body.toString()], [500, 'half'])
      return true
    })
  })

  test('by a redirect is not followed: the credential goes nowhere else', async () => {
    await using upstream = await wsUpstream({
      onUpgrade: () => 'HTTP/1.1 302 Found\r\nlocation: ws://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n',
    })
    await using rig = testPool()
    await assert.rejects(rig.pool.acquire(laneOf(upstream)), { code: 'UPGRADE_REFUSED', status: 302 })
  })
})

describe('a handshake', () => {
  test('that never ends is given up after its time', async () => {
    const { promise: never, resolve } = Promise.withResolvers<undefined>()
    await using upstream = await wsUpstream({ onUpgrade: () => never })
    await using rig = testPool({ handshakeTimeout: 3_000 })
    const refused = assert.rejects(rig.pool.acquire(laneOf(upstream)), { code: 'HANDSHAKE_TIMEOUT' })
    await until(() => upstream.requests.length === 1)
    rig.clock.advance(3_000)
    await refused
    resolve(undefined)
  })

  test('whose answer trickles is given up after the same time', async () => {
    const sockets: Socket[] = []
    const server = createServer((socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      socket.write('HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nx-slow: ')
    })
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo // it listens on a port
    {
      await using rig = testPool({ handshakeTimeout: 3_000 })
      const refused = assert.rejects(rig.pool.acquire(laneOf({ url: new URL(`ws://127.0.0.1:${port}`) })), {
        code: 'HANDSHAKE_TIMEOUT',
      })
      await until(() => sockets.length === 1)
      for (let at = 0; at < 3; at++) {
        sockets[0]!.write('.')
        rig.clock.advance(1_000)
      }
      await refused
    }
    await new Promise((resolve) => server.close(resolve))
  })

  test('with nobody there is the system’s own error', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo // it listens on a port
    await new Promise((resolve) => server.close(resolve))
    await using rig = testPool()
    await assert.rejects(rig.pool.acquire(laneOf({ url: new URL(`ws://127.0.0.1:${port}`) })), { code: 'ECONNREFUSED' })
    assert.equal(rig.pool.stats().dialFailures, 1)
  })

  test('to an address or with a subprotocol that cannot be is an error, and counts no socket', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    await assert.rejects(rig.pool.acquire(laneOf({ url: new URL('ftp://127.0.0.1/') })), SyntaxError)
    await assert.rejects(rig.pool.acquire(laneOf(upstream, { protocols: ['a b'] })), SyntaxError)
    assert.equal(rig.pool.stats().dialFailures, 2)
  })

  test('carries the headers but those of the hop before', async () => {
    await using upstream = await wsUpstream()
    await using rig = testPool()
    const headers = {
      authorization: 'Bearer a',
      'openai-beta': 'responses_websockets=2026-02-06',
      host: 'gate',
      connection: 'upgrade, x-hop',
      'x-hop': '1',
      upgrade: 'h2c',
      'sec-websocket-key': 'client',
      'sec-websocket-version': '8',
      'sec-websocket-extensions': 'permessage-deflate',
      'sec-websocket-protocol': 'client',
    }
    const lease = await rig.pool.acquire(laneOf(upstream, { headers }))
    const seen = upstream.requests[0]!.headers
    assert.equal(seen.authorization, 'Bearer a')
    assert.equal(seen['openai-beta'], 'responses_websockets=2026-02-06')
    assert.equal(seen.host, upstream.url.host)
    assert.equal(seen['x-hop'], undefined)
    assert.equal(seen.upgrade, 'websocket')
    assert.notEqual(seen['sec-websocket-key'], 'client')
    assert.equal(seen['sec-websocket-version'], '13')
    assert.equal(seen['sec-websocket-extensions'], undefined)
    assert.equal(seen['sec-websocket-protocol'], undefined)
    lease.return()
  })

  test('finds its address as its lane says', async () => {
    await using upstream = await wsUpstream()
    const asked: string[] = []
    const resolve: Resolve = (name, done) => {
      asked.push(name)
      done(null, ['127.0.0.1'])
    }
    await using rig = testPool()
    const url = new URL(upstream.url)
    url.hostname = 'api.example'
    const dial = dialer(url, { timeout: 1000, allowsPrivate: true, resolve })
    const lease = await rig.pool.acquire(laneOf({ url }, { dial }))
    assert.deepEqual(asked, ['api.example'])
    assert.equal(upstream.requests[0]!.headers.host, url.host)
    lease.return()
  })

  test('asks for the subprotocols of the lane, and tells which the upstream chose', async () => {
    await using upstream = await wsUpstream({ handleProtocols: () => 'realtime' })
    await using rig = testPool()
    const lease = await rig.pool.acquire(laneOf(upstream, { protocols: ['other', 'realtime'] }))
    assert.equal(lease.protocol, 'realtime')
    lease.return()
  })

  for (const isCompressed of [false, true]) {
    test(`offers ${isCompressed ? 'compression without context takeover where it is wanted' : 'no compression'}`, async () => {
      await using upstream = await wsUpstream({ perMessageDeflate: { threshold: 0 } })
      await using rig = testPool({ isCompressed })
      const lease = await rig.pool.acquire(laneOf(upstream))
      const offered = upstream.requests[0]!.headers['sec-websocket-extensions'] ?? ''
      assert.equal(offered.includes('permessage-deflate'), isCompressed)
      assert.equal(offered.includes('server_no_context_takeover; client_no_context_takeover'), isCompressed)
      const messages: Buffer[] = []
      lease.listen({ onMessage: (data) => void messages.push(data), onClose() {} })
      lease.send('compressible '.repeat(1000), false)
      await until(() => messages.length === 1)
      assert.equal(messages[0]!.toString(), 'compressible '.repeat(1000))
      lease.return()
    })
  }
})

describe('an upstream that ends the connection in the packet that opens it', () => {
  test('is an error with its cause, and its place is free again', async () => {
    await using upstream = await wsUpstream({ onSocket: (socket) => socket.send(Buffer.alloc(101)) })
    await using rig = testPool({ maxPayload: 100 })
    const lane = laneOf(upstream, { limits: { max: 1 } })
    for (let at = 0; at < 3; at++) {
      // The message may come a packet later; then it is the lease that ends.
      const lease = await rig.pool.acquire(lane).catch((error: WsError) => error)
      if (lease instanceof WsError) {
        assert.equal(lease.code, 'CONNECTION_UNAVAILABLE')
        assert.match(String(lease.cause), /Max payload size exceeded/)
      } else {
        await until(() => !lease.isOpen)
        lease.return()
      }
    }
    assert.equal(rig.pool.stats().created, 3)
  })
})
