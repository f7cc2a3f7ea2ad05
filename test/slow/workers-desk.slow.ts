/** Several workers, and what an operator sees of them: one log, one console, one listener. Run as workers.slow.ts is. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { until } from '../redis.ts'
import { GatewayProcess } from './gateway-process.fixture.ts'
import { chat, servedBy, settings, untilServed, workers } from './workers.fixture.ts'

describe('several workers, for an operator,', () => {
  test('write one log, in whole lines, which is opened anew for all of them', async () => {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'postern-workers-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const file = join(folder, 'postern.log')
    const upstream = stack.use(await fakeUpstream(json(200, { ok: true })))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    await gateway.reload(settings([upstream], { log: { file }, limits: { url: '24KiB' } }))
    const path = `/v1/${'long'.repeat(5000)}`
    const askMany = () => Promise.all(Array.from({ length: 100 }, async () => (await fetch(gateway.url + path)).text()))
    const lines = async (name: string) =>
      (await readFile(name, 'utf8').catch(() => ''))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as { msg: string; worker?: number }) // a line that is torn fails here
    const served = async (name: string) => (await lines(name)).filter(({ msg }) => msg === 'exchange')
    await askMany()
    await until(async () => (await served(file)).length === 100)
    await rename(file, `${file}.1`)
    gateway.signal('SIGUSR2')
    await until(async () => (await lines(file)).some(({ msg }) => msg === 'the log was opened anew'))
    await askMany()
    await until(async () => (await served(file)).length === 100)
    assert.equal((await served(`${file}.1`)).length, 100)
    assert.equal(new Set((await served(file)).map(({ worker }) => worker)).size, workers)

    const level = (to: string) =>
      fetch(`${gateway.adminUrl}/log/level?level=${to}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
      })
    assert.equal((await level('error')).status, 200)
    await askMany()
    assert.equal((await level('info')).status, 200)
    await askMany()
    await until(async () => (await served(file)).length === 200)
  })

  test('show operators what all know: an exchange is found wherever it was, an upstream is set aside in all', async () => {
    await using stack = new AsyncDisposableStack()
    const upstream = stack.use(await fakeUpstream(json(200, { ok: true })))
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream])))
    const show = (path: string) => fetch(gateway.adminUrl + path)
    for (let at = 0; at < 9; at++) await (await chat(gateway.url, undefined, { 'x-request-id': `id-${at}` })).text()
    const answeredBy = new Set<string | null>()
    for (let at = 0; at < 9; at++) {
      const answer = await show(`/explain/id-${at}`)
      assert.equal(answer.status, 200, `id-${at}`)
      answeredBy.add(answer.headers.get('x-postern-worker'))
      await answer.text()
    }
    assert.ok(answeredBy.size > 1, 'they were not all at one')
    assert.equal((await show('/explain/nobody')).status, 404)

    const act = async (what: string, body: object) => {
      const headers = { 'content-type': 'application/json' }
      return (
        await fetch(`${gateway.adminUrl}/console/data/${what}`, { method: 'POST', headers, body: JSON.stringify(body) })
      ).status
    }
    assert.equal(await act('rest', { upstream: 'nobody', minutes: 5 }), 404)
    assert.equal(await act('rest', { upstream: 'a', minutes: 5 }), 200)
    for (let worker = 1; worker <= workers; worker++) {
      const answer = await show(`/console/data/upstreams?worker=${worker}`)
      assert.equal(answer.headers.get('x-postern-worker'), String(worker))
      assert.equal(answer.headers.get('x-postern-workers'), '1 2 3')
      const told = (await answer.json()) as { upstreams: { name: string; aside_until: string | null }[] } // as the page tells
      assert.ok(told.upstreams.find(({ name }) => name === 'a')?.aside_until, `worker ${worker}`)
    }
    for (let at = 0; at < 6; at++) assert.equal((await chat(gateway.url)).status, 503)
    assert.equal(await act('unrest', { upstream: 'a' }), 200)
    for (let at = 0; at < 6; at++) assert.equal((await chat(gateway.url)).status, 200)
    assert.equal((await show('/console/data/upstreams?worker=9')).status, 404)
    assert.equal((await show('/console')).status, 200)
    const seen = new AbortController()
    const events = await fetch(`${gateway.adminUrl}/console/data/events?worker=2`, { signal: seen.signal })
    assert.equal(events.headers.get('x-postern-worker'), '2')
    for await (const piece of events.body!.pipeThrough(new TextDecoderStream())) {
      assert.match(piece, /^event: exchanges\n/)
      break
    }
    seen.abort()
  })

  test('listen on a socket of the file system as well', async () => {
    await using stack = new AsyncDisposableStack()
    const folder = await mkdtemp(join(tmpdir(), 'postern-workers-'))
    stack.defer(() => rm(folder, { recursive: true }))
    const upstream = stack.use(await fakeUpstream(json(200, { ok: true })))
    const socketPath = join(folder, 'postern.sock')
    const gateway = stack.use(await GatewayProcess.begin(settings([upstream], { listen: `unix:${socketPath}` })))
    const ask = () =>
      new Promise<number>((resolve, reject) => {
        const asking = request({ socketPath, path: '/v1/models', agent: false }, (answer) =>
          answer.resume().on('end', () => resolve(answer.statusCode ?? 0)),
        )
        asking.on('error', reject).end()
      })
    for (let at = 0; at < 9; at++) assert.equal(await ask(), 200)
    await untilServed(gateway, 9)
    for (const served of servedBy(gateway)) assert.ok(served > 0)
  })
})
