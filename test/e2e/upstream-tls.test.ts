/** The TLS of one upstream: what it is shown, what is asked of it, and that no change rides on connections of before. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { issuer, type Issuer } from '../certificates.ts'
import { until } from '../conformance/websocket-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'
import { tlsUpstream } from '../tls-upstream.ts'

const wait = { plugins: ['openai'] }

async function ask(gw: TestGateway): Promise<readonly [status: number, body: string]> {
  const answer = await fetch(`${gw.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"m"}',
  })
  return [answer.status, await answer.text()]
}

describe('an upstream with a certificate of the gateway', () => {
  const mutual = async (issuers: Issuer) => {
    const server = await issuers.issue({ names: ['IP:127.0.0.1'] })
    return tlsUpstream({ ...server, ca: issuers.ca, requestCert: true, rejectUnauthorized: true })
  }

  test('is shown it; without, nothing is asked', async () => {
    await using issuers = await issuer()
    await using upstream = await mutual(issuers)
    const own = await issuers.issue({ names: ['DNS:gateway.test'] })
    const url = `https://127.0.0.1:${upstream.port}`
    const of = (tls: object) => ({ ...wait, upstreams: [{ name: 'far', provider: 'openai', url, key: 'k', tls }] })
    await using gw = await gateway(of({ ca: issuers.ca }))
    // By TLS 1.3 the upstream says so after the handshake, so what is heard of it may be no more than the end.
    assert.equal((await ask(gw))[0], 502)
    assert.deepEqual(upstream.hosts, [])
    assert.deepEqual(await gw.reload(of({ ca: issuers.ca, cert: own.cert, key: own.key })), [])
    assert.equal((await ask(gw))[0], 200)
    assert.notEqual(upstream.shaken.at(-1)?.client, null)
    assert.equal(upstream.shaken.at(-1)?.serverName, false, 'an address is no server name')
  })

  test('and another one is never asked over connections that were opened with the first', async () => {
    await using issuers = await issuer()
    await using upstream = await mutual(issuers)
    const url = `https://127.0.0.1:${upstream.port}`
    const of = (tls: object) => ({ ...wait, upstreams: [{ name: 'far', provider: 'openai', url, key: 'k', tls }] })
    const [one, two] = [await issuers.issue({ names: ['DNS:one'] }), await issuers.issue({ names: ['DNS:two'] })]
    await using gw = await gateway(of({ ca: issuers.ca, cert: one.cert, key: one.key }))
    for (let times = 0; times < 3; times++) assert.equal((await ask(gw))[0], 200)
    assert.equal(upstream.shaken.length, 1, 'the connection is kept')
    // An exchange that goes on keeps the connections of before open, for as long as it lasts.
    const { promise, resolve } = Promise.withResolvers<void>()
    upstream.ready = promise
    const before = ask(gw)
    await until(() => upstream.hosts.length === 4)
    upstream.ready = Promise.resolve()
    assert.deepEqual(await gw.reload(of({ ca: issuers.ca, cert: two.cert, key: two.key })), [])
    assert.equal((await ask(gw))[0], 200)
    resolve()
    assert.equal((await before)[0], 200)
    assert.equal(upstream.shaken.length, 2)
    assert.notEqual(upstream.shaken[0]!.client, upstream.shaken[1]!.client)
    assert.equal(upstream.shaken[1]!.isResumed, false)
  })
})

describe('TLS with an upstream', () => {
  test('goes by another name where its certificate has one, and Host stays that of the url', async () => {
    await using issuers = await issuer()
    await using upstream = await tlsUpstream(await issuers.issue({ names: ['DNS:inner.test'] }))
    const url = `https://127.0.0.1:${upstream.port}`
    const tls = { ca: issuers.ca, server_name: 'inner.test' }
    await using gw = await gateway({ ...wait, upstreams: [{ name: 'far', provider: 'openai', url, key: 'k', tls }] })
    assert.equal((await ask(gw))[0], 200)
    assert.equal(upstream.shaken[0]?.serverName, 'inner.test')
    assert.equal(upstream.hosts[0], `127.0.0.1:${upstream.port}`)
  })

  test('takes a session up again on the next connection', async () => {
    await using issuers = await issuer()
    await using upstream = await tlsUpstream(await issuers.issue({ names: ['IP:127.0.0.1'] }))
    const url = `https://127.0.0.1:${upstream.port}`
    const tls = { ca: issuers.ca }
    await using gw = await gateway({ ...wait, upstreams: [{ name: 'far', provider: 'openai', url, key: 'k', tls }] })
    assert.equal((await ask(gw))[0], 200)
    upstream.cut()
    for (let times = 0; times < 5 && upstream.shaken.length < 2; times++) await ask(gw)
    assert.equal(upstream.shaken.at(-1)?.isResumed, true)
  })

  for (const [spoken, min_version, status] of [
    ['TLSv1.1', undefined, 502],
    ['TLSv1.2', undefined, 200],
    ['TLSv1.2', 'TLSv1.3', 502],
    ['TLSv1.3', 'TLSv1.3', 200],
  ] as const) {
    test(`with ${spoken} where ${min_version ?? 'nothing'} is asked for: ${status}`, async () => {
      await using issuers = await issuer()
      const pair = await issuers.issue({ names: ['IP:127.0.0.1'] })
      const ciphers = 'DEFAULT@SECLEVEL=0'
      await using upstream = await tlsUpstream({ ...pair, minVersion: 'TLSv1', maxVersion: spoken, ciphers })
      const url = `https://127.0.0.1:${upstream.port}`
      const tls = { ca: issuers.ca, ...(min_version ? { min_version } : {}) }
      await using gw = await gateway({ ...wait, upstreams: [{ name: 'far', provider: 'openai', url, key: 'k', tls }] })
      assert.equal((await ask(gw))[0], status)
    })
  }

  test('trusts the issuers of NODE_EXTRA_CA_CERTS as well', async () => {
    await using issuers = await issuer()
    await using upstream = await tlsUpstream(await issuers.issue({ names: ['IP:127.0.0.1'] }))
    const script = `
      import { dialer } from ${JSON.stringify(new URL('../../core/upstream/dial.ts', import.meta.url).href)}
      const dial = dialer(new URL('https://127.0.0.1:${upstream.port}'), { timeout: 5000, allowsPrivate: true })
      dial((error, socket) => { console.log(error?.code ?? 'connected'); socket?.destroy() })`
    const run = (env: object) =>
      promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env: { ...process.env, ...env } })
    assert.equal((await run({ NODE_EXTRA_CA_CERTS: issuers.caFile })).stdout, 'connected\n')
    assert.equal((await run({})).stdout, 'UPSTREAM_CERTIFICATE\n')
  })

  test('is not left unverified by an environment that would have it so', async () => {
    await using issuers = await issuer()
    await using upstream = await tlsUpstream(await issuers.issue({ names: ['IP:127.0.0.1'] }))
    const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
    try {
      const url = `https://127.0.0.1:${upstream.port}`
      await using gw = await gateway({ ...wait, upstreams: [{ name: 'far', provider: 'openai', url, key: 'k' }] })
      const [status, body] = await ask(gw)
      assert.equal(status, 502)
      assert.match(body, /issuer is not known/)
    } finally {
      if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
      else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
    }
  })
})
