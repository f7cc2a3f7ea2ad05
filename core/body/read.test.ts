import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway } from '../../test/harness.ts'

/** A JSON document of about this many bytes. */
const documentOf = (bytes: number) =>
  Buffer.from(JSON.stringify({ model: 'm', x: randomBytes(bytes / 2).toString('hex') }))

/** Sends the body in pieces, each in a turn of its own, framed as the head says; resolves with the answer. */
function send(url: string, head: string, pieces: readonly Buffer[]): Promise<string> {
  const { port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1')
    let heard = ''
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1')
      // Every answer here is one small object, whole or in one chunk.
      if (!/\}(\r\n0\r\n\r\n)?$/.test(heard)) return
      socket.destroy()
      resolve(heard)
    })
    socket.on('error', reject)
    socket.write(`POST /v1/responses HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n${head}\r\n`)
    void (async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return
        if (!socket.write(piece)) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
        await new Promise((turn) => setImmediate(turn))
      }
    })()
  })
}

function cut(body: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < body.length; at += size) pieces.push(body.subarray(at, at + size))
  return pieces
}

function chunked(body: Buffer, size: number): Buffer[] {
  const pieces = cut(body, size).map((piece) =>
    Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')]),
  )
  return [...pieces, Buffer.from('0\r\n\r\n')]
}

const plugins = ['openai', { 'body-patch': {} }]
const upstreams = (url: string) => [{ name: 'o', provider: 'openai', url, key: 'k' }]

describe('a body arrives as it was sent', () => {
  for (const [what, bytes, size] of [
    ['in one piece', 2000, 1e9],
    ['byte by byte', 700, 1],
    ['in pieces', 300_000, 7001],
    ['larger than the first room', 3_500_000, 65_536],
    ['just as large as the first room', 2 ** 20 - 17, 40_000],
  ] as const) {
    test(`${what}, with its length or in chunks`, async () => {
      const body = documentOf(bytes)
      await using upstream = await fakeUpstream(json(200, {}))
      await using gw = await gateway({ plugins, upstreams: upstreams(upstream.url) })
      const known = await send(gw.url, `content-length: ${body.length}\r\n`, cut(body, size))
      const unknown = await send(gw.url, 'transfer-encoding: chunked\r\n', chunked(body, size))
      for (const answer of [known, unknown]) assert.match(answer, /^HTTP\/1.1 200 /)
      assert.deepEqual(
        upstream.asked.map((asked) => asked.body.equals(body)),
        [true, true],
      )
    })
  }
})

describe('a body over the limit', () => {
  test('is refused by its announced length before any of it has come', async () => {
    await using gw = await gateway({ plugins, upstreams: [], limits: { body: '1KiB' } })
    assert.match(await send(gw.url, 'content-length: 1025\r\n', []), /^HTTP\/1.1 413 .*the limit is 1 KiB/s)
  })

  test('is refused as soon as more has come, where it announces none', async () => {
    await using gw = await gateway({ plugins, upstreams: [], limits: { body: '1KiB' } })
    const endless = chunked(documentOf(4000), 500).slice(0, -1)
    assert.match(await send(gw.url, 'transfer-encoding: chunked\r\n', endless), /^HTTP\/1.1 413 .*the limit is 1 KiB/s)
  })
})

test('a promise of 30 MiB that is not kept costs no more than the first room', async () => {
  await using gw = await gateway({ plugins, upstreams: [] })
  const before = process.memoryUsage().arrayBuffers
  const sockets = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const socket = connect(Number(new URL(gw.url).port), '127.0.0.1')
      socket.on('error', () => {})
      const head = `POST /v1/responses HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: ${30 * 2 ** 20}\r\n\r\n{`
      await new Promise<void>((written) => socket.write(head, () => written()))
      return socket
    }),
  )
  while (gw.sidecar.server.gateway.exchanges.length < 20) await new Promise((turn) => setImmediate(turn))
  const held = process.memoryUsage().arrayBuffers - before
  assert.ok(held < 40 * 2 ** 20, `${held} bytes are held for 20 bodies`)
  for (const socket of sockets) socket.destroy()
})

describe('a client that is gone before its body is read', () => {
  for (const [how, framing, rest] of [
    ['because it left', 'content-length: 100', '{'],
    ['because it left when it had sent everything', 'content-length: 2', '{}'],
    ['because it sent what is no chunk', 'transfer-encoding: chunked', 'zz\r\n'],
  ] as const) {
    test(`${how}, is not waited for`, async () => {
      // Who calls is found out meanwhile: a database may take its time.
      const going = Promise.withResolvers<void>()
      const slow = definePlugin({
        name: 'slow',
        config: { type: 'object', properties: {} },
        setup: () => ({ onRequest: () => going.promise }),
      })
      await using gw = await gateway({ plugins: [slow, ...plugins], upstreams: [] })
      const { exchanges } = gw.sidecar.server.gateway
      const isSo = async (claim: () => boolean) => {
        for (const end = performance.now() + 5000; !claim();) {
          assert.ok(performance.now() < end, `not so: ${String(claim)}`)
          await new Promise((turn) => setImmediate(turn))
        }
      }
      const socket = connect(Number(new URL(gw.url).port), '127.0.0.1')
      socket.on('error', () => {})
      const head = 'POST /v1/responses HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n'
      socket.write(`${head}${framing}\r\n\r\n${rest}`)
      await isSo(() => exchanges.length === 1)
      socket.destroy()
      await isSo(() => exchanges[0]!.request.destroyed)
      going.resolve()
      await isSo(() => exchanges.length === 0)
    })
  }
})

describe('a body that comes with its head', () => {
  /** Writes requests to one connection, so many at once; resolves with as many answers. */
  async function talk(url: string, bodies: readonly Buffer[], atOnce: number): Promise<number> {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let heard = ''
    socket.on('data', (chunk) => (heard += chunk.toString('latin1')))
    const answers = () => heard.split('HTTP/1.1 200 OK').length - 1
    for (let at = 0; at < bodies.length; at += atOnce) {
      const written = bodies.slice(at, at + atOnce).map((body) => {
        const head = `POST /v1/responses HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`
        return Buffer.concat([Buffer.from(head), body])
      })
      socket.write(Buffer.concat(written))
      while (answers() < at + written.length) await once(socket, 'data')
    }
    socket.destroy()
    return answers()
  }

  for (const [what, atOnce] of [
    ['one after the other', 1],
    ['several in one packet', 4],
  ] as const) {
    test(`is taken whole, and leaves the connection to the next: ${what}`, async () => {
      await using upstream = await fakeUpstream(json(200, {}))
      await using gw = await gateway({ plugins, upstreams: upstreams(upstream.url) })
      const bodies = Array.from({ length: 12 }, (_, at) => documentOf(100 + 300 * at))
      assert.equal(await talk(gw.url, bodies, atOnce), bodies.length)
      assert.deepEqual(
        upstream.asked.map(({ body }) => body.toString()),
        bodies.map((body) => body.toString()),
      )
    })
  }

  test('is refused by its length, or by what it is, and not held against the next connection', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({ plugins, upstreams: upstreams(upstream.url), limits: { body: '1KiB' } })
    const post = async (body: Buffer) =>
      (await fetch(`${gw.url}/v1/responses`, { method: 'POST', headers: { 'content-type': 'application/json' }, body }))
        .status
    assert.equal(await post(documentOf(5000)), 413)
    assert.equal(await post(Buffer.from('{"model":')), 400)
    assert.equal(await post(documentOf(500)), 200)
    assert.equal(upstream.asked.length, 1)
  })
})
