/** Bytes: what the upstream says is what the client hears, piece for piece. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { demoServer } from '../../plugins/demo/server.ts'
import { fakeUpstream, json, stream } from '../fake-upstream.ts'
import { gateway } from '../harness.ts'

const dialects = {
  openai: {
    path: '/v1/chat/completions',
    body: { model: 'demo', stream: true, messages: [{ role: 'user', content: 'Grüße, 世界 😀' }] },
  },
  responses: { path: '/v1/responses', body: { model: 'demo', stream: true, input: 'Hello' } },
  anthropic: {
    path: '/v1/messages',
    body: { model: 'demo', stream: true, max_tokens: 99, messages: [{ role: 'user', content: 'Hello' }] },
  },
  gemini: {
    path: '/v1beta/models/demo:streamGenerateContent?alt=sse',
    body: { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] },
  },
}
const plugins = ['anthropic', 'openai', 'gemini', 'failover']
const upstreamsAt = (url: string) =>
  ['anthropic', 'openai', 'gemini'].map((provider) => ({ name: provider, provider, url, key: 'k' }))

/** The demo's answer, taken once and then replayed: what comes through can be compared byte for byte. */
async function recorded(path: string, body: unknown): Promise<Buffer> {
  const server = demoServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number } // TCP
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close' },
    body: JSON.stringify(body),
  })
  assert.equal(answer.status, 200)
  const bytes = Buffer.from(await answer.arrayBuffer())
  server.close()
  return bytes
}

describe('a stream of server-sent events', () => {
  const recordings = new Map<string, Buffer>()
  before(async () => {
    for (const [name, { path, body }] of Object.entries(dialects)) recordings.set(name, await recorded(path, body))
  })
  after(() => recordings.clear())

  for (const [name, { path, body }] of Object.entries(dialects)) {
    for (const size of [1, 16, 1 << 20]) {
      test(`of ${name} is identical to the upstream's, in writes of ${size} bytes`, async () => {
        const recording = recordings.get(name)!
        assert.ok(recording.length > 200)
        await using upstream = await fakeUpstream(stream(recording, size))
        await using gw = await gateway({ plugins, upstreams: upstreamsAt(upstream.url) })
        const answer = await fetch(gw.url + path, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        })
        assert.equal(answer.headers.get('content-type'), 'text/event-stream')
        assert.deepEqual(Buffer.from(await answer.arrayBuffer()), recording)
        assert.equal(upstream.asked[0]?.body.toString(), JSON.stringify(body), 'the request is identical too')
      })
    }
  }

  test('arrives write for write while the client keeps up: the gateway joins no two', async () => {
    const writes = Array.from({ length: 40 }, (_, at) => `data: {"n":${at}}\n\n`)
    let proceed = () => {}
    await using upstream = await fakeUpstream(async (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      for (const write of writes) {
        response.write(write)
        // The next write waits until the client has this one: whatever arrives together was joined by the gateway.
        await new Promise<void>((resolve) => (proceed = resolve))
      }
      response.end()
    })
    await using gw = await gateway({ plugins, upstreams: upstreamsAt(upstream.url) })
    const request = httpRequest(`${gw.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    })
    request.end('{"model":"x","stream":true}')
    const [response] = await once(request, 'response')
    const heard: string[] = []
    for await (const chunk of response) {
      heard.push(String(chunk))
      proceed()
    }
    assert.deepEqual(heard, writes)
  })

  test('begins with its headers, before the first event', async () => {
    let speak = () => {}
    await using upstream = await fakeUpstream(async (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.flushHeaders()
      await new Promise<void>((resolve) => (speak = resolve))
      response.end('data: 1\n\n')
    })
    await using gw = await gateway({ plugins, upstreams: upstreamsAt(upstream.url) })
    const answer = await fetch(`${gw.url}/v1/responses`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    })
    assert.equal(answer.status, 200)
    speak()
    assert.equal(await answer.text(), 'data: 1\n\n')
  })

  test('waits for a slow client, and holds little of it meanwhile', async () => {
    const megabytes = 64
    let written = 0
    await using upstream = await fakeUpstream(async (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      const piece = Buffer.alloc(2 ** 20, 0x61)
      for (; written < megabytes && !response.destroyed; written++) {
        if (!response.write(piece)) await Promise.race([once(response, 'drain'), once(response, 'close')])
      }
      response.end()
    })
    await using gw = await gateway({ plugins, upstreams: upstreamsAt(upstream.url) })
    const socket = connect(Number(new URL(gw.url).port), '127.0.0.1')
    socket.write(
      'POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
    )
    await once(socket, 'readable') // reads nothing of it
    let before = -1
    while (written !== before) {
      before = written
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    // What is under way fits into the sockets' buffers on four hops, a few MiB each at most.
    assert.ok(written < 32, `the upstream had written ${written} MiB before it was held back`)
    let heard = 0
    for await (const chunk of socket) {
      heard += (chunk as Buffer).length // no encoding is set
      if (heard > megabytes * 2 ** 20) break
    }
    assert.ok(heard > megabytes * 2 ** 20)
  })
})

describe('a JSON answer', () => {
  test('keeps its status, headers and bytes, whatever they spell', async () => {
    const body = '{ "a":1.0, "b" : 12345678901234567890,\n "c":"\\u00e9" }'
    await using upstream = await fakeUpstream((_asked, response) => {
      response.writeHead(
        203,
        [
          ['Content-Type', 'application/json'],
          ['X-Request-Id', 'req_upstream'],
          ['Set-Cookie', 'a=1'],
          ['Set-Cookie', 'b=2'],
          ['Connection', 'x-hop'],
          ['X-Hop', '1'],
        ].flat(),
      )
      response.end(body)
    })
    await using gw = await gateway({ plugins, upstreams: upstreamsAt(upstream.url) })
    const answer = await fetch(`${gw.url}/v1/models`, { headers: { 'x-request-id': 'mine-1' } })
    assert.equal(answer.status, 203)
    assert.equal(await answer.text(), body)
    assert.equal(answer.headers.get('x-request-id'), 'req_upstream')
    assert.equal(answer.headers.get('x-postern-exchange'), 'mine-1')
    assert.deepEqual(answer.headers.getSetCookie(), ['a=1', 'b=2'])
    assert.equal(answer.headers.get('x-hop'), null)
  })

  test('is passed on compressed where no plugin reads it', async () => {
    await using upstream = await fakeUpstream(json(200, { ok: true }))
    await using gw = await gateway({ plugins, upstreams: upstreamsAt(upstream.url) })
    await fetch(`${gw.url}/v1/models`, { headers: { 'accept-encoding': 'br' } })
    assert.equal(upstream.asked[0]?.headers['accept-encoding'], 'br')
  })

  test('to HEAD, 204 and 304 has no body', async () => {
    await using upstream = await fakeUpstream((asked, response) => {
      response.writeHead(
        asked.method === 'HEAD' ? 200 : Number(asked.url.slice(-3)),
        asked.method === 'HEAD' ? { 'content-length': '5' } : {},
      )
      response.end()
    })
    await using gw = await gateway({ plugins, upstreams: upstreamsAt(upstream.url) })
    const head = await fetch(`${gw.url}/v1/x`, { method: 'HEAD' })
    assert.equal(head.headers.get('content-length'), '5')
    assert.equal((await fetch(`${gw.url}/v1/204`)).status, 204)
    assert.equal((await fetch(`${gw.url}/v1/304`)).status, 304)
  })
})

describe('a request', () => {
  test('that is not JSON streams through as it comes', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({ plugins, upstreams: upstreamsAt(upstream.url) })
    const form = new FormData()
    form.set('file', new Blob([Buffer.alloc(3 * 2 ** 20, 1)]), 'big.bin')
    const answer = await fetch(`${gw.url}/v1/files`, { method: 'POST', body: form })
    assert.equal(answer.status, 200)
    assert.match(String(upstream.asked[0]?.headers['content-type']), /^multipart\/form-data; boundary=/)
    assert.ok(upstream.asked[0]!.body.length > 3 * 2 ** 20)
  })

  test('reaches the upstream with its own headers, the upstream’s key and host, and nothing of the hop', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({ plugins, upstreams: upstreamsAt(upstream.url) })
    await fetch(`${gw.url}/v1/messages`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-api-key': 'the client’s'.replace('’', ''),
        authorization: 'Bearer c',
        'x-own': 'y',
      },
      body: '{"model":"m"}',
    })
    const { headers } = upstream.asked[0]!
    assert.equal(headers['x-api-key'], 'k')
    assert.equal(headers.authorization, undefined)
    assert.equal(headers['x-own'], 'y')
    assert.equal(headers['anthropic-version'], '2023-06-01')
    assert.equal(headers.host, new URL(upstream.url).host)
    assert.equal(headers['x-forwarded-for'], undefined)
  })

  test("has its key moved out of the URL, and passes on the client's own where the upstream has none", async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({ plugins, upstreams: [{ name: 'g', provider: 'gemini', url: upstream.url }] })
    await fetch(`${gw.url}/v1beta/models/m:generateContent?key=se%2Bcret&alt=json`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    })
    assert.equal(upstream.asked[0]?.url, '/v1beta/models/m:generateContent?alt=json')
    assert.equal(upstream.asked[0]?.headers['x-goog-api-key'], 'se+cret')
    assert.doesNotMatch(JSON.stringify(gw.records), /se.{1,3}cret/)
  })

  test('under a prefix goes to the mount with that prefix', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: ['openai', { openai: { as: 'groq', prefix: '/groq', url: `${upstream.url}/openai/v1` } }],
      upstreams: [{ name: 'q', provider: 'groq', key: 'k' }],
    })
    await fetch(`${gw.url}/groq/v1/chat/completions?x=1`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    })
    await fetch(`${gw.url}/groq/chat/completions`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    })
    assert.deepEqual(
      upstream.asked.map(({ url }) => url),
      ['/openai/v1/chat/completions?x=1', '/openai/v1/chat/completions'],
    )
  })
})
