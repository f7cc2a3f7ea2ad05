/** Bad input: a clear answer, and nothing crashes, hangs or leaks (the harness looks for what is left open). */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { definePlugin } from 'postern/plugin'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'

/** Sends bytes, says nothing more, and hears everything until the gateway closes or has answered once. */
function raw(gw: TestGateway, bytes: string | Buffer, { end = false } = {}): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(gw.url).port), '127.0.0.1')
    let heard = ''
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      heard += text
      if (/\r\n\r\n/.test(heard) && !/content-length: [1-9]/i.test(heard)) socket.end()
      if (/"message"/.test(heard)) socket.end()
    })
    socket.on('error', () => {})
    socket.on('close', () => resolve(heard))
    socket.write(bytes)
    if (end) socket.end()
  })
}

const request = (lines: string[], body = '') => `${lines.join('\r\n')}\r\n\r\n${body}`
const post = (headers: string[], body = '') =>
  request(['POST /v1/responses HTTP/1.1', 'host: x', 'content-type: application/json', ...headers], body)

describe('a request that two servers could read differently', () => {
  const refused: Record<string, [string, number]> = {
    'two Host headers': [request(['GET /v1/models HTTP/1.1', 'host: a', 'host: b']), 400],
    'Transfer-Encoding on HTTP/1.0': [
      request(['POST /v1/x HTTP/1.0', 'host: a', 'transfer-encoding: chunked'], '0\r\n\r\n'),
      400,
    ],
    'an absolute target for another host': [request(['GET http://other/v1/models HTTP/1.1', 'host: a']), 400],
    'Content-Length beside Transfer-Encoding': [
      post(['content-length: 5', 'transfer-encoding: chunked'], '0\r\n\r\n'),
      400,
    ],
    'two Content-Lengths': [post(['content-length: 5', 'content-length: 6'], '{"a":1}'), 400],
    'a dot segment': [request(['GET /v1/../admin HTTP/1.1', 'host: a']), 400],
    'an encoded dot segment': [request(['GET /v1/%2e%2e/admin HTTP/1.1', 'host: a']), 400],
    'a backslash': [request(['GET /v1\\models HTTP/1.1', 'host: a']), 400],
    TRACE: [request(['TRACE /v1/models HTTP/1.1', 'host: a']), 405],
    'a header line without a colon': [request(['GET /v1/models HTTP/1.1', 'host: a', 'nonsense']), 400],
    'a head that does not end': [request(['GET /v1/models HTTP/1.1', 'host: a', `x: ${'y'.repeat(40_000)}`]), 431],
    'what is no HTTP': ['hello\r\n\r\n', 400],
  }
  for (const [what, [bytes, status]] of Object.entries(refused)) {
    test(`is refused: ${what}, ${status}`, async () => {
      await using upstream = await fakeUpstream(json(200, {}))
      await using gw = await gateway({
        plugins: ['openai'],
        upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }],
      })
      assert.match(await raw(gw, bytes), new RegExp(`^HTTP/1.1 ${status} `))
      assert.equal(upstream.asked.length, 0)
      assert.equal((await fetch(`${gw.url}/v1/models`)).status, 200, 'the next one is served')
    })
  }

  test('is normal in absolute form, if it is for this host', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }],
    })
    assert.match(await raw(gw, request(['GET http://gate/v1/models?a=1 HTTP/1.1', 'host: gate'])), /^HTTP\/1.1 200 /)
    assert.equal(upstream.asked[0]?.url, '/v1/models?a=1')
  })
})

describe('a body that is broken', () => {
  const provider = (url: string) => ({
    plugins: ['openai'],
    upstreams: [{ name: 'o', provider: 'openai', url }],
    limits: { body: '1KiB', upload: '1KiB' },
  })
  const broken: Record<string, [string, RegExp]> = {
    'is no JSON': [post(['content-length: 5'], '{"a":'), /^HTTP\/1.1 400 [\s\S]*"invalid_json"/],
    'is JSON, but no object': [post(['content-length: 3'], '[1]'), /^HTTP\/1.1 400 [\s\S]*"invalid_json"/],
    'says it is too large': [post(['content-length: 5000']), /^HTTP\/1.1 413 [\s\S]*the limit is 1 KiB/],
    'is too large in chunks': [
      post(['transfer-encoding: chunked'], `500\r\n${'x'.repeat(0x500)}\r\n0\r\n\r\n`),
      /^HTTP\/1.1 413 /,
    ],
    'is too large as it streams through': [
      request(
        ['POST /v1/files HTTP/1.1', 'host: x', 'content-type: text/plain', 'transfer-encoding: chunked'],
        `500\r\n${'x'.repeat(0x500)}\r\n0\r\n\r\n`,
      ),
      /^HTTP\/1.1 413 /,
    ],
    'has a bad chunk size': [post(['transfer-encoding: chunked'], 'zz\r\n'), /^HTTP\/1.1 400 |^$/],
  }
  for (const [what, [bytes, answer]] of Object.entries(broken)) {
    test(`because it ${what}, is answered and forgotten`, async () => {
      await using upstream = await fakeUpstream(json(200, {}))
      await using gw = await gateway(provider(upstream.url))
      assert.match(await raw(gw, bytes), answer)
      assert.equal(upstream.asked.length, 0)
    })
  }

  test('because the client left in the middle, is forgotten', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway(provider(upstream.url))
    assert.equal(
      await raw(gw, post(['content-length: 100'], '{"a":'), { end: true }).then((heard) => heard.includes('200')),
      false,
    )
    while (gw.sidecar.server.gateway.exchanges.length > 0) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(upstream.asked.length, 0)
  })

  test('the client that still sends a refused body gets to read why', async () => {
    await using gw = await gateway({ ...provider('http://127.0.0.1:9'), limits: { body: '1MiB' } })
    const answer = await fetch(`${gw.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: 'x'.repeat(9 * 2 ** 20),
    })
    assert.equal(answer.status, 413)
    assert.match(await answer.text(), /the limit is 1 MiB/)
  })
})

describe('an upstream that misbehaves', () => {
  const answers: Record<string, [string, number]> = {
    'sends no HTTP': ['garbage\r\n\r\n', 502],
    'sends a header with a line break in it': ['HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n', 502],
    'sends an endless head': [`HTTP/1.1 200 OK\r\n${`x: ${'y'.repeat(1000)}\r\n`.repeat(100)}\r\n`, 502],
    'sends Content-Length twice': ['HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab', 502],
    'closes at once': ['', 502],
    'sends early hints and then its answer': [
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}',
      200,
    ],
  }
  for (const [what, [bytes, status]] of Object.entries(answers)) {
    test(`because it ${what}: the client is told ${status}`, async () => {
      await using upstream = await fakeUpstream((_asked, _response, incoming) => void incoming.socket.end(bytes))
      await using gw = await gateway({
        plugins: ['openai'],
        upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }],
      })
      const answer = await fetch(`${gw.url}/v1/responses`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
      })
      assert.equal(answer.status, status)
      await answer.text()
    })
  }

  test('because it promises more than it sends: the answer is cut, never whole', async () => {
    await using upstream = await fakeUpstream(
      (_asked, _response, incoming) => void incoming.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{"a"'),
    )
    await using gw = await gateway({
      plugins: ['openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }],
    })
    const answer = await fetch(`${gw.url}/v1/models`)
    await assert.rejects(answer.text())
    while (gw.sidecar.server.gateway.exchanges.length > 0) await new Promise((resolve) => setImmediate(resolve))
    const line = gw.records.find(({ message }) => message === 'exchange')
    assert.equal(line?.status, 200)
    assert.ok(line?.error)
  })
})

describe('a plugin that fails', () => {
  const headers = { 'x-gone': undefined, 'x-list': ['a', 'b'] }
  const impossible = { 'x-broken': 'a\nb' }
  const setting = (given: Record<string, string | string[] | undefined>) =>
    definePlugin({
      name: 'setting',
      config: { type: 'object', properties: {} },
      setup: () => ({ onResponse: (_exchange, head) => void Object.assign(head.headers, given) }),
    })

  test('to give a header a value gives none', async () => {
    await using gw = await gateway({ plugins: ['openai', setting(headers)] })
    const answer = await fetch(`${gw.url}/v1/models`)
    assert.equal(answer.status, 503)
    assert.deepEqual([answer.headers.get('x-gone'), answer.headers.get('x-list')], [null, 'a, b'])
  })

  test('to give a header a value that can be sent costs its exchanges, and nothing else', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: ['openai', setting(impossible)],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }],
    })
    await assert.rejects(fetch(`${gw.url}/v1/models`))
    await assert.rejects(fetch(`${gw.url}/v1/models`))
    assert.ok(gw.records.some(({ message }) => message === 'no answer could be sent'))
    assert.deepEqual(
      await gw.reload({ plugins: ['openai'], upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }] }),
      [],
    )
    assert.equal((await fetch(`${gw.url}/v1/models`)).status, 200)
  })

  for (const phase of [
    'onRequest',
    'onBody',
    'rankUpstreams',
    'onUpstreamRequest',
    'onUpstreamResult',
    'onResponse',
    'onEvent',
    'onEnd',
  ] as const) {
    test(`in ${phase} costs at most its exchange, and is named in the log`, async () => {
      await using upstream = await fakeUpstream(json(200, { ok: true }))
      const failing = definePlugin({
        name: 'failing',
        config: { type: 'object', properties: {} },
        setup: () => ({
          [phase]() {
            throw new Error('secret detail')
          },
        }),
      })
      await using gw = await gateway({
        plugins: ['openai', failing],
        upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }],
      })
      const ask = () =>
        fetch(`${gw.url}/v1/responses`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
      const observes = phase === 'onResponse' || phase === 'onEvent' || phase === 'onEnd'
      const answer = await ask()
      assert.equal(answer.status, observes ? 200 : 500)
      assert.doesNotMatch(await answer.text(), /secret detail/)
      assert.equal((await ask()).status, answer.status)
      assert.ok(
        gw.records.some(({ level, message }) => level === 'error' && message.startsWith(`failing failed in ${phase}`)),
      )
    })
  }

  for (const [what, type, parts] of [
    ['a document', 'application/json', ['{"ok":', 'true}']],
    ['a stream', 'text/event-stream', [': begins\n\n', 'data: 1\n\n']],
  ] as const) {
    test(`in editEvent, at ${what}, cuts the answer short: nothing hangs, and it is named in the log`, async () => {
      const failing = definePlugin({
        name: 'failing',
        config: { type: 'object', properties: {} },
        setup: () => ({
          editEvent() {
            throw new Error('secret detail')
          },
        }),
      })
      let finish = () => {}
      await using upstream = await fakeUpstream(async (_asked, response) => {
        response.writeHead(200, { 'content-type': type })
        response.write(parts[0])
        await new Promise<void>((resolve) => (finish = resolve))
        response.end(parts[1])
      })
      await using gw = await gateway({
        plugins: ['openai', failing],
        upstreams: [{ name: 'o', provider: 'openai', url: upstream.url }],
      })
      const answer = await fetch(`${gw.url}/v1/models`)
      finish()
      if (type === 'application/json') await assert.rejects(answer.text())
      else
        assert.match(
          await answer.text(),
          /^: begins\n\ndata: \{"error":\{"message":"Internal error of the gateway".*\}\n\n$/,
        )
      assert.ok(gw.records.some(({ message }) => message === 'failing failed in editEvent: secret detail'))
    })
  }
})
