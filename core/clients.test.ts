/** Connections of clients: in time, in order, and ended with a word. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { portOf, wireGateway } from '../test/conformance/http-gateway.ts'
import { fakeUpstream, json } from '../test/fake-upstream.ts'
import type { TestGateway } from '../test/harness.ts'

/** A client of few words; `heard` is everything that it has been told. */
async function client(gw: TestGateway): Promise<{ socket: Socket; heard: () => string; closed: Promise<unknown> }> {
  const socket = connect(portOf(gw), '127.0.0.1')
  let heard = ''
  socket.on('data', (chunk) => (heard += chunk.toString('latin1')))
  socket.on('error', () => {})
  const closed = once(socket, 'close')
  await once(socket, 'connect')
  return { socket, heard: () => heard, closed }
}

const get = (path: string, ...lines: string[]) =>
  ['GET ', path, ' HTTP/1.1\r\nhost: gate\r\n', ...lines.map((line) => `${line}\r\n`), '\r\n'].join('')
const post = (body: string, ...lines: string[]) =>
  ['POST /v1/x HTTP/1.1\r\nhost: gate\r\n', ...lines.map((line) => `${line}\r\n`), '\r\n', body].join('')

describe('a client that is slow', () => {
  test('with its head is told so', async () => {
    await using gw = await wireGateway('http://127.0.0.1:9', { limits: { head_time: '100ms' } })
    const { socket, heard, closed } = await client(gw)
    socket.write('GET /v1/x HTTP/1.1\r\nhost: ga')
    await closed
    assert.match(heard(), /^HTTP\/1.1 408 Request Timeout\r\n[\s\S]*did not come in time/)
  })

  for (const [what, type] of [
    ['with a body that is read first', 'application/json'],
    ['with a body that streams through', 'text/plain'],
  ]) {
    test(`${what} is told so, and the upstream gets no whole request`, async () => {
      await using upstream = await fakeUpstream(json(200, {}))
      await using gw = await wireGateway(upstream.url, { limits: { body_time: '100ms' } })
      const { socket, heard, closed } = await client(gw)
      socket.write(post('{"a"', `content-type: ${type}`, 'content-length: 7'))
      await closed
      assert.match(heard(), /^HTTP\/1.1 408 Request Timeout\r\n[\s\S]*The request body did not come in time/)
      assert.equal(upstream.asked.length, 0)
    })
  }

  test('to read has its connection cut, and the upstream is let go', async () => {
    const { promise: left, resolve } = Promise.withResolvers<void>()
    const piece = Buffer.alloc(2 ** 20)
    await using upstream = await fakeUpstream((_asked, response) => {
      response.on('close', resolve)
      response.writeHead(200)
      const more = () => {
        while (!response.destroyed && response.write(piece));
      }
      response.on('drain', more)
      more()
    })
    await using gw = await wireGateway(upstream.url, { limits: { read_time: '200ms' } })
    const { socket, closed } = await client(gw)
    socket.write(get('/v1/x'))
    await once(socket, 'data')
    socket.pause()
    await left
    socket.resume()
    await closed
  })

  test('is one whose upstream is slow for nobody', async () => {
    let answer = () => {}
    await using upstream = await fakeUpstream((_asked, response) => {
      answer = () => void response.end('late')
    })
    await using gw = await wireGateway(upstream.url, {
      limits: { body_time: '100ms', read_time: '100ms', head_time: '100ms' },
    })
    const { socket, heard, closed } = await client(gw)
    socket.write(post('{"a":1}', 'content-length: 7', 'connection: close'))
    // Others who come later are found to be slow, while this client waits for its answer.
    for (let sweeps = 0; sweeps < 3; sweeps++) {
      const slow = await client(gw)
      slow.socket.write(post('{"a"', 'content-length: 7'))
      await slow.closed
      assert.match(slow.heard(), /^HTTP\/1.1 408 /)
    }
    answer()
    await closed
    assert.match(heard(), /^HTTP\/1.1 200 /)
  })
})

describe('requests of one connection', () => {
  test('are passed on one after the other, however many come at once', async () => {
    const order: string[] = []
    let underway = 0
    let most = 0
    await using upstream = await fakeUpstream(async ({ url }, response) => {
      most = Math.max(most, ++underway)
      order.push(url)
      await new Promise((resolve) => setImmediate(resolve))
      underway--
      response.end(url)
    })
    await using gw = await wireGateway(upstream.url)
    const { socket, heard, closed } = await client(gw)
    const paths = Array.from({ length: 20 }, (_, at) => `/v1/${at}`)
    socket.write(paths.map((path, at) => get(path, ...(at === 19 ? ['connection: close'] : []))).join(''))
    await closed
    assert.deepEqual(order, paths)
    assert.equal(most, 1)
    assert.equal(heard().match(/HTTP\/1.1 200/g)?.length, 20)
  })

  test('are at most thirty-three at once: the connection ends behind the last, and the others are not passed on', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await wireGateway(upstream.url)
    const { socket, heard, closed } = await client(gw)
    socket.write(get('/v1/x').repeat(500))
    await closed
    assert.equal(heard().match(/HTTP\/1.1 200/g)?.length, 33)
    assert.equal(upstream.asked.length, 33)
  })

  test('that are malformed are refused behind the answers that are still owed', async () => {
    let answer = () => {}
    const { promise: asked, resolve } = Promise.withResolvers<void>()
    await using upstream = await fakeUpstream((_asked, response) => {
      answer = () => response.end('late')
      resolve()
    })
    await using gw = await wireGateway(upstream.url)
    const { socket, heard, closed } = await client(gw)
    socket.write(`${get('/v1/x')}nonsense\r\n\r\n`)
    await asked
    assert.equal(heard(), '')
    answer()
    await closed
    assert.match(heard(), /^HTTP\/1.1 200 [\s\S]*late[\s\S]*HTTP\/1.1 400 Bad Request\r\n/)
  })
})

describe('a client that is refused while it sends', () => {
  for (const [what, line, limit] of [
    ['and keeps its connection', 'connection: keep-alive', '1KiB'],
    ['and closes its connection', 'connection: close', '1KiB'],
  ] as const) {
    test(`${what} reads why, to the last byte`, async () => {
      await using gw = await wireGateway('http://127.0.0.1:9', { limits: { body: limit, upload: limit } })
      const { socket, heard, closed } = await client(gw)
      const piece = Buffer.alloc(2 ** 20, 'x')
      socket.write(post('', 'content-length: 16777216', line))
      for (let at = 0; at < 16; at++) if (!socket.write(piece)) await Promise.race([once(socket, 'drain'), closed])
      while (!heard().endsWith('}')) await Promise.race([once(socket, 'data'), closed])
      assert.match(heard(), /^HTTP\/1.1 413 [\s\S]*the limit is 1 KiB/)
      if (line === 'connection: close') await closed
      else socket.end()
      await closed
    })
  }

  test('what is ambiguous reads why, to the last byte', async () => {
    await using gw = await wireGateway('http://127.0.0.1:9')
    const { socket, heard, closed } = await client(gw)
    socket.write(post('', 'content-length: 4194304', 'host: other'))
    socket.write(Buffer.alloc(4 * 2 ** 20, 'x'))
    await closed
    assert.match(heard(), /^HTTP\/1.1 400 [\s\S]*more than one Host"}}$/)
  })
})

describe('connections of one address', () => {
  test('beyond the limit are turned away; those that end make room', async () => {
    await using upstream = await fakeUpstream(json(200, { ok: true }))
    await using gw = await wireGateway(upstream.url, { limits: { connections: 2 } })
    const first = await client(gw)
    const second = await client(gw)
    const third = await client(gw)
    await third.closed
    assert.match(third.heard(), /^HTTP\/1.1 503 [\s\S]*retry-after: 1\r\n[\s\S]*too many connections/)
    first.socket.destroy()
    await first.closed
    second.socket.write(get('/v1/x', 'connection: close'))
    await second.closed
    assert.match(second.heard(), /^HTTP\/1.1 200 /)
  })

  test('that is a trusted proxy are as many as it likes', async () => {
    await using upstream = await fakeUpstream(json(200, { ok: true }))
    await using gw = await wireGateway(upstream.url, { limits: { connections: 1 }, trusted_proxies: ['127.0.0.1'] })
    const clients = [await client(gw), await client(gw), await client(gw)]
    for (const { socket, heard, closed } of clients) {
      socket.write(get('/v1/x', 'connection: close'))
      await closed
      assert.match(heard(), /^HTTP\/1.1 200 /)
    }
  })
})
