/** Every way out of the gateway is made by the same dialer: what is checked is what is dialled, and whom it shows. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { issuer } from '../certificates.ts'
import { until } from '../conformance/websocket-upstream.ts'
import { nameServer } from '../dns-server.ts'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'
import { tlsUpstream } from '../tls-upstream.ts'
import { connect, refusedUpgrade } from './websocket-client.fixture.ts'

/** What a client hears where its exchange came to nothing. */
type Heard = readonly [status: number, body: string]

const ways: Readonly<Record<string, (gw: TestGateway) => Promise<Heard>>> = {
  'a request': async (gw) => {
    const answer = await fetch(`${gw.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"model":"m"}',
      redirect: 'manual',
    })
    return [answer.status, await answer.text()]
  },
  'a tunnel': async (gw) => {
    const { status, body } = await refusedUpgrade(`${gw.url}/v1/listen`)
    return [status, body]
  },
  'a session': async (gw) => {
    const { status, body } = await refusedUpgrade(`${gw.url}/v1/realtime?model=m`)
    return [status, body]
  },
  'a turn': async (gw) => {
    using client = await connect(`${gw.url}/v1/responses`)
    client.send({ type: 'response.create', model: 'm', input: 'x' })
    const event = await client.next()
    assert.equal(event.type, 'error')
    return [Number(event['status']), JSON.stringify(event)]
  },
}

const wait = { plugins: ['openai'] }
const named = (port: number, more: object = {}) => [
  { name: 'far', provider: 'openai', url: `http://api.test:${port}`, key: 'k', ...more },
]

/** Metrics and logs are no place for what a client must not know: an address of the network behind. */
function assertRefused([status, body]: Heard, code: string, what: RegExp): void {
  assert.equal(status, 502, body)
  assert.match(body, what)
  assert.doesNotMatch(body, /127\.0\.0\.1|169\.254|api\.test/)
  assert.ok(code)
}

for (const [way, ask] of Object.entries(ways)) {
  describe(`${way} to a name`, () => {
    test('that leads to this machine is refused without permission, and the log says why and what to do', async () => {
      await using upstream = await fakeUpstream(json(200, {}))
      await using names = await nameServer(() => ['127.0.0.1'])
      const upstreams = named(Number(new URL(upstream.url).port))
      await using gw = await gateway({ ...wait, upstreams, resolve: names.resolve })
      assertRefused(await ask(gw), 'UPSTREAM_ADDRESS', /does not dial: it is loopback/)
      assert.equal(await upstream.connections(), 0)
      const line = gw.records.find(({ level, upstream }) => level === 'warn' && upstream === 'far')
      assert.match(
        line?.message ?? '',
        /^far: api\.test leads to 127\.0\.0\.1, which is loopback.*allow_private: true$/,
      )
    })

    test('that leads to a metadata service is refused in spite of any permission', async () => {
      await using names = await nameServer(() => ['169.254.169.254'])
      await using gw = await gateway({ ...wait, upstreams: named(80, { allow_private: true }), resolve: names.resolve })
      assertRefused(await ask(gw), 'UPSTREAM_ADDRESS', /does not dial: it is link-local/)
    })

    test('is looked up once: what it says afterwards is asked by nobody', async () => {
      await using upstream = await fakeUpstream(json(418, {}))
      let turn = 0
      await using names = await nameServer(() => (turn++ < 2 ? ['127.0.0.1'] : ['169.254.169.254']))
      const upstreams = named(Number(new URL(upstream.url).port), { allow_private: true })
      await using gw = await gateway({ ...wait, upstreams, resolve: names.resolve })
      const [status] = await ask(gw)
      assert.ok(status === 418 || status === 400, String(status))
      assert.equal(upstream.asked.length, 1)
      assert.equal(upstream.asked[0]!.headers.host, new URL(upstreams[0]!.url).host)
      assert.equal(names.asked.length, 2, 'once per family')
    })
  })

  describe(`${way} by TLS`, () => {
    const secure = (port: number, tls: object, url = `https://api.test:${port}`) => ({
      ...wait,
      upstreams: [{ name: 'far', provider: 'openai', url, key: 'k', allow_private: true, tls }],
    })
    const here = async () => nameServer(() => ['127.0.0.1'])

    test('is refused where nobody here knows the issuer, and served where its issuer is named', async () => {
      await using issuers = await issuer()
      const { cert, key } = await issuers.issue({ names: ['DNS:api.test'] })
      await using upstream = await tlsUpstream({ cert, key })
      await using names = await here()
      await using gw = await gateway({ ...secure(upstream.port, {}), resolve: names.resolve })
      assertRefused(await ask(gw), 'UPSTREAM_CERTIFICATE', /certificate .*refused: its issuer is not known here/)
      const line = gw.records.find(({ level, upstream }) => level === 'warn' && upstream === 'far')
      assert.match(
        line?.message ?? '',
        /^far: the certificate of api\.test:\d+ is refused: .*tls\.ca.*NODE_EXTRA_CA_CERTS/,
      )
      const known = { ...secure(upstream.port, { ca: issuers.ca }), resolve: names.resolve }
      assert.deepEqual(await gw.reload(known), [])
      assert.ok(await served(way, gw))
      assert.equal(upstream.shaken.at(-1)?.serverName, 'api.test')
      assert.equal(upstream.hosts.at(-1), `api.test:${upstream.port}`)
    })

    for (const [names, days, what] of [
      [['DNS:other.test'], 2, /it is for another name/],
      [['DNS:api.test'], -1, /it has expired/],
    ] as const) {
      test(`is refused where the certificate is wrong: ${what.source}`, async () => {
        await using issuers = await issuer()
        await using upstream = await tlsUpstream(await issuers.issue({ names, days }))
        await using here_ = await here()
        await using gw = await gateway({ ...secure(upstream.port, { ca: issuers.ca }), resolve: here_.resolve })
        assertRefused(await ask(gw), 'UPSTREAM_CERTIFICATE', what)
        assert.deepEqual(upstream.hosts, [], 'no request has left')
      })
    }
  })
}

describe('a client that leaves while its upstream is dialled', () => {
  for (const [way, path] of [
    ['a request', ''],
    ['a tunnel', '/v1/listen'],
    ['a session', '/v1/realtime?model=m'],
    ['a turn', '/v1/responses'],
  ] as const) {
    test(`leaves nothing open: ${way}`, async () => {
      let asked = 0
      const resolve = () => void asked++
      // Of a socket that waits to be switched nothing is read, so its end is seen when the dial has ended.
      const timeouts = way === 'a tunnel' || way === 'a session' ? { connect: '200ms' } : {}
      await using gw = await gateway({ ...wait, upstreams: named(80), timeouts, resolve })
      if (path === '') {
        const left = new AbortController()
        const { signal } = left
        const asking = fetch(`${gw.url}/v1/models`, { signal }).catch(() => {})
        await until(() => asked === 1)
        left.abort()
        await asking
      } else if (way === 'a turn') {
        using client = await connect(gw.url + path)
        client.send({ type: 'response.create', model: 'm', input: 'x' })
        await until(() => asked === 1)
      } else {
        const ws = new WebSocket(gw.url.replace('http', 'ws') + path)
        ws.on('error', () => {})
        await until(() => asked === 1)
        ws.terminate()
      }
      await until(() => gw.sidecar.server.gateway.exchanges.length === 0)
    })
  }
})

/** Whether the upstream has served it: a completion, or an echo. */
async function served(way: string, gw: TestGateway): Promise<boolean> {
  const path = { 'a tunnel': '/v1/listen', 'a session': '/v1/realtime?model=m', 'a turn': '/v1/responses' }[way]
  if (path === undefined) return (await ways['a request']!(gw))[0] === 200
  using client = await connect(gw.url + path)
  client.send({ type: 'response.create', model: 'm', input: 'x' })
  return (await client.next()).type === 'response.create'
}

describe('an upstream that is refused', () => {
  test('is passed over by failover for one that is not', async () => {
    await using upstream = await fakeUpstream(json(200, { id: 'x' }))
    await using names = await nameServer(() => ['10.0.0.1'])
    const other = { name: 'near', provider: 'openai', url: upstream.url, key: 'k', priority: 200 }
    const upstreams = [...named(80), other]
    await using gw = await gateway({ plugins: ['openai', 'failover'], upstreams, resolve: names.resolve })
    assert.equal((await ways['a request']!(gw))[0], 200)
    assert.equal(upstream.asked.length, 1)
  })
})

test('a redirect is told to the client and followed by nobody', async () => {
  await using elsewhere = await fakeUpstream(json(200, {}))
  for (const status of [301, 302, 303, 307, 308]) {
    await using upstream = await fakeUpstream(json(status, {}, { location: `${elsewhere.url}/latest/meta-data` }))
    const url = upstream.url
    await using gw = await gateway({ ...wait, upstreams: [{ name: 'o', provider: 'openai', url, key: 'k' }] })
    assert.equal((await ways['a request']!(gw))[0], status)
    for (const way of ['a tunnel', 'a session']) await ways[way]!(gw)
  }
  assert.equal(elsewhere.asked.length, 0)
})
