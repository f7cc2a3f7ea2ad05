/** Several workers, and what they know together: sessions and slots in Redis, and one certificate. Run as workers.slow.ts is. */
import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { issuer } from '../certificates.ts'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { freshRedis, until } from '../redis.ts'
import { GatewayProcess } from './gateway-process.fixture.ts'
import { chat, health, servedBy, settings, untilServed, workers } from './workers.fixture.ts'

/** Each request on a connection of its own: a worker has it that is free. */
const apart = { connection: 'close' }

describe('several workers with one store', () => {
  test('keep a session where one of them has begun it', async () => {
    await using stack = new AsyncDisposableStack()
    const redis = stack.use(await freshRedis())
    const a = stack.use(await fakeUpstream(json(200, { id: 'a' })))
    const b = stack.use(await fakeUpstream(json(200, { id: 'b' })))
    const gateway = stack.use(
      await GatewayProcess.begin(
        settings([a, b], { store: redis.url, plugins: ['openai', 'sticky-session', 'failover'] }),
      ),
    )
    const sessions = 12
    const begun: string[] = []
    for (let at = 0; at < sessions; at++) {
      const told = await (await chat(gateway.url, undefined, { ...apart, session_id: `s${at}` })).text()
      begun.push(told)
    }
    assert.equal(new Set(begun).size, 2, 'both have some of them')
    for (let round = 0; round < workers; round++)
      for (let at = 0; at < sessions; at++)
        assert.equal(await (await chat(gateway.url, undefined, { ...apart, session_id: `s${at}` })).text(), begun[at])
    await untilServed(gateway, sessions * (workers + 1))
    for (const served of servedBy(gateway)) assert.ok(served > 0)
  })

  test('have the slots of an upstream together, and give back those of one that is killed', async () => {
    await using stack = new AsyncDisposableStack()
    const redis = stack.use(await freshRedis())
    const held: (() => void)[] = []
    const upstream = stack.use(
      await fakeUpstream((_asked, response) => void held.push(() => response.writeHead(200).end('{}'))),
    )
    const more = { store: redis.url, plugins: ['openai', { concurrency: { ttl: '3s', wait: { upstream: '1s' } } }] }
    const one = { name: 'a', provider: 'openai', url: upstream.url, key: 'k', slots: 4 }
    const gateway = stack.use(await GatewayProcess.begin(settings([], { ...more, upstreams: [one] })))
    const answers = Array.from({ length: 9 }, () => chat(gateway.url, undefined, apart))
    // Four are asked, whichever workers have them; the others wait as long as they may.
    const statuses: number[] = []
    for (const answer of answers)
      void answer.then(
        ({ status }) => statuses.push(status),
        () => statuses.push(0),
      )
    await until(() => statuses.length === 5)
    assert.deepEqual([held.length, statuses], [4, [429, 429, 429, 429, 429]])
    // What one had that is killed is free when its lease is over.
    const busy = (await health(gateway)).workers.find(({ exchanges }) => exchanges !== null && exchanges > 0)
    process.kill(busy!.pid, 'SIGKILL')
    await until(() => statuses.length === 5 + busy!.exchanges!)
    for (const finish of held.splice(0)) finish()
    await Promise.allSettled(answers)
    await until(async () => {
      let refused = 0
      const asked = Array.from({ length: 4 }, async () => {
        const { status } = await chat(gateway.url, undefined, apart)
        if (status !== 200) refused++
      })
      await until(() => held.length + refused === 4)
      for (const finish of held.splice(0)) finish()
      await Promise.all(asked)
      return refused === 0
    })
  })
})

test('several workers speak TLS, and all of them show a certificate that was renewed', async () => {
  await using stack = new AsyncDisposableStack()
  const issuers = stack.use(await issuer())
  const upstream = stack.use(await fakeUpstream(json(200, { ok: true })))
  const [cert, key] = [join(issuers.folder, 'tls.crt'), join(issuers.folder, 'tls.key')]
  const put = async () => {
    const pair = await issuers.issue({ names: ['IP:127.0.0.1'] })
    await copyFile(pair.keyFile, key)
    await copyFile(pair.certFile, cert)
  }
  await put()
  const tls = { cert: `file:${cert}`, key: `file:${key}` }
  const gateway = stack.use(await GatewayProcess.begin(settings([upstream], { tls })))
  assert.match(gateway.url, /^https:/)
  /** The serial number of the certificate that it was shown. */
  const ask = () =>
    new Promise<string>((resolve, reject) => {
      const asking = request(`${gateway.url}/v1/models`, { ca: issuers.ca, agent: false }, (answer) => {
        const { serialNumber } = (answer.socket as TLSSocket).getPeerCertificate() // it came by TLS
        answer.resume().on('end', () => resolve(serialNumber))
      })
      asking.on('error', reject).end()
    })
  const shown = async () => new Set(await Promise.all(Array.from({ length: 4 * workers }, ask)))
  const before = await shown()
  assert.equal(before.size, 1)
  await untilServed(gateway, 4 * workers)
  for (const served of servedBy(gateway)) assert.ok(served > 0)
  await put()
  gateway.signal('SIGHUP')
  await until(async () => {
    const now = await shown()
    return now.size === 1 && !before.has([...now][0] ?? '')
  })
})
