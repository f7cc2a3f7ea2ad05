/** TLS towards clients and operators: who is shown what, and certificates that are renewed while streams go on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { copyFile, writeFile } from 'node:fs/promises'
import { request, type RequestOptions } from 'node:https'
import { connect as connectTcp, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { issuer, type Issuer, type Pair } from '../test/certificates.ts'
import { until } from '../test/conformance/websocket-upstream.ts'
import { connect } from '../test/e2e/websocket-client.fixture.ts'
import { responsesUpstream, upstreamOf } from '../test/e2e/websocket-client.fixture.ts'
import { fakeUpstream, json } from '../test/fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../test/harness.ts'

interface Told {
  readonly status: number
  readonly body: string
  /** The serial number of the certificate that was shown. */
  readonly serial: string
}

/** Asks over a connection of its own, unless an agent says otherwise. */
function ask(url: string, options: RequestOptions & { body?: string }): Promise<Told> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { agent: false, ...options }, (answer) => {
      const serial = (answer.socket as TLSSocket).getPeerCertificate().serialNumber // it came by TLS
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () =>
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString(), serial }),
      )
      answer.on('error', reject)
    })
    asking.on('error', reject)
    asking.end(options.body)
  })
}

const completion = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"model":"m"}' }

/** The files of a listener, in the issuer's folder; `put` renews them. */
async function files({ folder }: Issuer, pair: Pair) {
  const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  const put = async (next: Pair) => {
    await copyFile(next.keyFile, key)
    await copyFile(next.certFile, cert)
  }
  await put(pair)
  return { cert, key, put, tls: { cert: `file:${cert}`, key: `file:${key}` } }
}

const here = { names: ['IP:127.0.0.1'] }
const wait = (url: string, more: Partial<GatewayOptions> = {}): GatewayOptions => ({
  plugins: ['openai'],
  upstreams: [{ name: 'o', provider: 'openai', url, key: 'k' }],
  ...more,
})

const portOf = (gw: TestGateway) => Number(new URL(gw.url).port)

describe('a listener with a certificate', () => {
  test('serves requests and WebSockets by TLS, and nothing in the clear', async () => {
    await using issuers = await issuer()
    const { ca } = issuers
    const { tls } = await files(issuers, await issuers.issue(here))
    await using upstream = await responsesUpstream()
    await using gw = await gateway({ plugins: ['openai'], upstreams: [upstreamOf('o', upstream)], tls })
    assert.match(gw.url, /^https:/)
    assert.equal((await ask(`${gw.url}/nowhere`, { ca })).status, 404)
    using client = await connect(`${gw.url}/v1/responses`, { ca })
    client.send({ type: 'response.create', model: 'm', input: 'x' })
    assert.equal((await client.until('response.completed')).at(-1)?.type, 'response.completed')
    await assert.rejects(ask(gw.url, {}), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
    await assert.rejects(fetch(gw.url.replace('https', 'http')))
    await assert.rejects(ask(gw.url, { ca, maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0', minVersion: 'TLSv1' }))
  })

  test('speaks HTTP/1.1 alone, whatever is offered', async () => {
    await using issuers = await issuer()
    const { tls } = await files(issuers, await issuers.issue(here))
    await using gw = await gateway({ plugins: ['openai'], tls })
    const socket = connectTls({
      port: portOf(gw),
      host: '127.0.0.1',
      ca: issuers.ca,
      ALPNProtocols: ['h2', 'http/1.1'],
    })
    await once(socket, 'secureConnect')
    assert.equal(socket.alpnProtocol, 'http/1.1')
    socket.destroy()
  })

  test('lets in who shows a certificate of its issuers, where it asks for one', async () => {
    await using issuers = await issuer()
    await using strangers = await issuer()
    const { ca } = issuers
    const { tls } = await files(issuers, await issuers.issue(here))
    const [friend, stranger] = [await issuers.issue({ names: ['DNS:a'] }), await strangers.issue({ names: ['DNS:b'] })]
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway(wait(upstream.url, { tls: { ...tls, client_ca: `file:${issuers.caFile}` } }))
    const path = `${gw.url}/v1/chat/completions`
    assert.equal((await ask(path, { ...completion, ca, cert: friend.cert, key: friend.key })).status, 200)
    await assert.rejects(ask(path, { ...completion, ca }))
    await assert.rejects(ask(path, { ...completion, ca, cert: stranger.cert, key: stranger.key }))
    assert.equal(upstream.asked.length, 1)
  })

  test('holds the limits that it holds in the clear', async () => {
    await using issuers = await issuer()
    const { tls } = await files(issuers, await issuers.issue(here))
    await using upstream = await fakeUpstream(json(200, {}))
    const limits = { connections: 2, body_time: '100ms' }
    await using gw = await gateway(wait(upstream.url, { tls, limits }))
    const to = { port: portOf(gw), host: '127.0.0.1', ca: issuers.ca }
    const slow = connectTls(to)
    let heard = ''
    slow.on('data', (chunk: Buffer) => (heard += chunk.toString()))
    slow.write('POST /v1/x HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"a')
    await once(slow, 'close')
    assert.match(heard, /^HTTP\/1.1 408 /)
    const two = [connectTls(to), connectTls(to)]
    for (const socket of two) await once(socket, 'secureConnect')
    const third = connectTls(to)
    await assert.rejects(once(third, 'secureConnect'))
    for (const socket of two) socket.destroy()
    await until(() => two.every(({ closed }) => closed))
    // The server hears of it a moment after the client.
    for (let status = 0; status !== 404;) {
      status = await ask(`${gw.url}/nowhere`, { ca: issuers.ca }).then(
        (told) => told.status,
        () => 0,
      )
    }
  })

  test('stops although somebody never shakes hands', async () => {
    await using issuers = await issuer()
    const { tls } = await files(issuers, await issuers.issue(here))
    await using gw = await gateway({ plugins: ['openai'], tls, admin: { listen: '127.0.0.1:0', tls } })
    const sockets: Socket[] = [gw.url, gw.adminUrl].map((url) => connectTcp(Number(new URL(url).port), '127.0.0.1'))
    for (const socket of sockets) {
      socket.on('error', () => {})
      await once(socket, 'connect')
    }
    await gw.stop()
    await until(() => sockets.every(({ closed, destroyed }) => closed || destroyed))
  })
})

describe('a certificate that is renewed', () => {
  test('is shown to new connections at once, and cuts no stream', async () => {
    await using issuers = await issuer()
    const { ca } = issuers
    const { tls, put } = await files(issuers, await issuers.issue(here))
    let finish = () => {}
    await using upstream = await fakeUpstream(async (asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {"choices":[{"delta":{"content":"one"}}]}\n\n')
      if (asked.body.includes('long')) await new Promise<void>((resolve) => (finish = resolve))
      response.end('data: [DONE]\n\n')
    })
    await using gw = await gateway(wait(upstream.url, { tls, watch: true, admin: { listen: '127.0.0.1:0', tls } }))
    const before = await ask(`${gw.url}/v1/models`, { ca })
    const path = `${gw.url}/v1/chat/completions`
    const stream = ask(path, { ...completion, ca, body: '{"model":"long","stream":true}' })
    await until(() => upstream.asked.length === 2)
    await put(await issuers.issue(here))
    await until(() => gw.sidecar.reloads >= 1 && gw.sidecar.lastProblem === null)
    const after = await ask(`${gw.url}/v1/models`, { ca })
    assert.notEqual(after.serial, before.serial)
    assert.equal((await ask(`${gw.adminUrl}/healthz`, { ca })).serial, after.serial)
    finish()
    const told = await stream
    assert.equal(told.status, 200)
    assert.match(told.body, /\[DONE\]/)
    assert.equal(told.serial, before.serial)
    assert.ok(!gw.records.some(({ message }) => message.includes('next start')), 'it needs no restart')
  })

  test('and is none is refused: the one before is shown on, and /healthz and the log say why', async () => {
    await using issuers = await issuer()
    const { ca } = issuers
    const { tls, put, cert } = await files(issuers, await issuers.issue(here))
    await using gw = await gateway({ plugins: ['openai'], tls, watch: true })
    const before = await ask(`${gw.url}/nowhere`, { ca })
    for (const text of ['no certificate', await issuers.issue(here).then((other) => other.cert)]) {
      const refused = gw.sidecar.refusedReloads
      await writeFile(cert, text)
      await until(() => gw.sidecar.refusedReloads > refused)
      assert.equal((await ask(`${gw.url}/nowhere`, { ca })).serial, before.serial)
    }
    const health = await (await fetch(`${gw.adminUrl}/healthz`)).text()
    assert.match(health, /is not the key of file:/)
    assert.match(health, /tls\.crt/)
    assert.ok(gw.records.some(({ level, message }) => level === 'error' && message.includes('the old one runs on')))
    await put(await issuers.issue(here))
    await until(() => gw.sidecar.lastProblem === null)
    assert.notEqual((await ask(`${gw.url}/nowhere`, { ca })).serial, before.serial)
  })

  test('cannot make TLS of what began without, and says that it needs a restart', async () => {
    await using issuers = await issuer()
    const { tls } = await files(issuers, await issuers.issue(here))
    await using gw = await gateway({ plugins: ['openai'] })
    assert.deepEqual(await gw.reload({ plugins: ['openai'], tls }), [])
    assert.equal((await fetch(`${gw.url}/nowhere`)).status, 404)
    assert.ok(gw.records.some(({ message }) => message === 'tls has changed: it takes effect at the next start'))
  })
})

test('a key that gateway.yaml takes from a file is the one in the file, without a restart', async () => {
  await using issuers = await issuer()
  const file = join(issuers.folder, 'credential')
  await writeFile(file, 'first')
  await using upstream = await fakeUpstream(json(200, {}))
  const upstreams = [{ name: 'o', provider: 'openai', url: upstream.url, key: `file:${file}` }]
  await using gw = await gateway({ plugins: ['openai'], upstreams, watch: true })
  const asked = async () => {
    const { body, headers, method } = completion
    await fetch(`${gw.url}/v1/chat/completions`, { body, headers, method })
    return upstream.asked.at(-1)!.headers.authorization
  }
  assert.equal(await asked(), 'Bearer first')
  await writeFile(file, 'second')
  await until(() => gw.sidecar.reloads === 1)
  assert.equal(await asked(), 'Bearer second')
})
