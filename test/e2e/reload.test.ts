/** A reload drops nothing, and a bad file changes nothing. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { definePlugin, reply } from 'postern/plugin'
import { fakeUpstream, json, type FakeUpstream } from '../fake-upstream.ts'
import { gateway, type GatewayOptions, type TestGateway } from '../harness.ts'

const provider = (upstream: FakeUpstream): Pick<GatewayOptions, 'upstreams'> => ({
  upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
})
const options = (upstream: FakeUpstream, attempts = 3): GatewayOptions => ({
  plugins: ['openai', { failover: { attempts } }],
  ...provider(upstream),
})
const ask = (gw: TestGateway, signal?: AbortSignal) =>
  fetch(`${gw.url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"model":"m","stream":true}',
    signal,
  })

describe('a reload', () => {
  test(
    '200 times under 50 streams and a steady flow of requests: none is dropped, and nothing grows',
    { timeout: 120_000 },
    async () => {
      let finish = () => {}
      const finished = new Promise<void>((resolve) => (finish = resolve))
      await using upstream = await fakeUpstream(async (asked, response) => {
        if (asked.method === 'GET') return json(200, { ok: true })(asked, response, response.req)
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const timer = setInterval(() => response.write('data: {"n":1}\n\n'), 20)
        await Promise.race([finished, once(response, 'close')])
        clearInterval(timer)
        response.end('data: [DONE]\n\n')
      })
      await using gw = await gateway(options(upstream))
      const streams = await Promise.all(Array.from({ length: 50 }, () => ask(gw)))
      assert.ok(streams.every(({ status }) => status === 200))
      const texts = streams.map((stream) => stream.text())

      let failed = 0
      let done = 0
      let flows = true
      const flow = (async () => {
        while (flows) {
          const answer = await fetch(`${gw.url}/v1/models`).catch(() => null)
          if (answer?.status === 200) await answer.text()
          else failed++
          done++
        }
      })()
      const handlesAfter: number[] = []
      for (let times = 1; times <= 200; times++) {
        assert.deepEqual(await gw.reload(options(upstream, 1 + (times % 8))), [])
        if (times % 50 === 0) handlesAfter.push(process.getActiveResourcesInfo().length)
      }
      flows = false
      await flow
      assert.equal(gw.sidecar.server.gateway.config.plugins.length, 2)
      assert.ok(done > 0)
      assert.equal(failed, 0)
      finish()
      for (const text of await Promise.all(texts))
        assert.ok(text.endsWith('data: [DONE]\n\n') && text.startsWith('data: {"n":1}'))
      // A handful of requests of the flow may be under way at one count and not at another; 150 reloads may not.
      assert.ok(handlesAfter.at(-1)! - handlesAfter[0]! < 20, `open handles: ${handlesAfter.join(', ')}`)
      while (gw.sidecar.retiring.size > 0) await new Promise((resolve) => setImmediate(resolve))
      assert.ok(gw.sidecar.shared.size <= 3, 'the store, what failover knows, and one origin at most')
    },
  )

  test('keeps connections to upstreams warm', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway(options(upstream))
    for (let times = 0; times < 5; times++) {
      await (await ask(gw)).text()
      await gw.reload(options(upstream, 1 + times))
    }
    assert.equal(await upstream.connections(), 1)
  })

  test('takes what has changed', async () => {
    await using one = await fakeUpstream(json(200, { upstream: 1 }))
    await using two = await fakeUpstream(json(200, { upstream: 2 }))
    await using gw = await gateway(options(one))
    assert.deepEqual(await (await ask(gw)).json(), { upstream: 1 })
    await gw.reload(options(two))
    assert.deepEqual(await (await ask(gw)).json(), { upstream: 2 })
  })

  test('happens when the file is saved', async () => {
    await using one = await fakeUpstream(json(200, { upstream: 1 }))
    await using two = await fakeUpstream(json(200, { upstream: 2 }))
    await using gw = await gateway({ ...options(one), watch: true })
    const text = await readFile(gw.file, 'utf8')
    await writeFile(gw.file, text.replace(one.url, two.url))
    while ((gw.sidecar.server.gateway.config.upstreams[0]?.url?.origin ?? '') !== two.url) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    assert.deepEqual(await (await ask(gw)).json(), { upstream: 2 })
  })

  test('says what takes effect at the next start only', async () => {
    await using gw = await gateway({ plugins: ['openai'] })
    await gw.reload({ plugins: ['openai'], listen: '127.0.0.1:1' })
    assert.ok(gw.records.some(({ message }) => message === 'listen has changed: it takes effect at the next start'))
  })
})

describe('a file with a mistake', () => {
  const mistakes: [string, string, string][] = [
    ['- openai', '- opnai', 'Did you mean "openai"'],
    ['attempts: 3', 'atempts: 3', 'Did you mean "attempts"'],
    ['attempts: 3', 'attempts: three', 'attempts'],
    ['attempts: 3', 'attempts: 99', 'attempts'],
    ['provider: openai', 'provider: opena', 'Did you mean "openai"'],
    ['upstreams:', 'upstream:', 'Did you mean "upstreams"'],
    ['key: k', 'key: ${NOT_SET_ANYWHERE}', 'NOT_SET_ANYWHERE'],
    ['key: k', 'kye: k', 'Did you mean "key"'],
    ['name: o', 'nme: o', 'Did you mean "name"'],
    ['plugins:', 'plugins: {', ''],
    ['attempts: 3', 'attempts: 0', 'attempts'],
    ['attempts: 3', 'attempts: 2.5', 'attempts'],
    ['- openai', '- [openai]', ''],
    ['- openai', '- ./nowhere', 'nowhere'],
    ['- openai', '- failover', ''],
    ['url: http', 'url: ftp', 'url'],
    ['name: o', 'name: "a b"', 'name'],
    ['name: o', 'name: o\n    name: o', ''],
    ['key: k', 'key: file:nowhere.txt', 'nowhere.txt'],
    ['listen: 127.0.0.1:0', 'listen: 127.0.0.1:99999', 'listen'],
    ['listen: 127.0.0.1:0', 'listen: 8787', 'listen'],
    ['admin:', 'admin: 1\nadmin:', ''],
    ['plugins:', '\tplugins:', ''],
  ]
  test('is refused with its line, and the old one serves on', async () => {
    await using upstream = await fakeUpstream(json(200, { ok: true }))
    await using gw = await gateway(options(upstream))
    const good = await readFile(gw.file, 'utf8')
    const version = gw.sidecar.server.gateway.config.version
    for (const [right, wrong, hint] of mistakes) {
      const bad = good.replace(right, wrong)
      assert.notEqual(bad, good, right)
      await writeFile(gw.file, bad)
      const problems = await gw.sidecar.reload()
      const line = bad.slice(0, bad.indexOf(wrong)).split('\n').length
      const told = problems.map((problem) => `${problem.line} ${problem.message} ${problem.cure ?? ''}`)
      assert.ok(problems.length > 0, wrong)
      if (hint !== '')
        assert.ok(
          told.some((text) => text.startsWith(`${line} `) && text.includes(hint)),
          `${wrong} on line ${line}: ${told.join('; ')}`,
        )
      assert.equal((await ask(gw)).status, 200)
      const health = (await (await fetch(`${gw.adminUrl}/healthz`)).json()) as {
        last_problem: { problems: unknown[] } | null
        configuration: { version: string }
      } // admin.ts
      assert.equal(health.last_problem?.problems.length, problems.length)
      assert.equal(health.configuration.version, version)
    }
    await writeFile(gw.file, good)
    assert.deepEqual(await gw.sidecar.reload(), [])
    const health = (await (await fetch(`${gw.adminUrl}/healthz`)).json()) as { last_problem: unknown } // admin.ts
    assert.equal(health.last_problem, null)
  })

  test('or a plugin that cannot be set up, is refused after those before it were taken down', async () => {
    await using gw = await gateway({ plugins: ['openai', 'demo'] })
    const failing = definePlugin({
      name: 'failing',
      config: { type: 'object', properties: {} },
      setup() {
        throw new Error('no such table')
      },
    })
    const problems = await gw.reload({ plugins: ['openai', 'demo', failing] })
    assert.match(problems[0]!.message, /failing cannot be set up: no such table/)
    assert.ok(problems[0]!.line > 1)
    const misspelt = definePlugin({
      name: 'misspelt',
      config: { type: 'object', properties: {} },
      setup: () => ({ onRequst: () => reply(200) }) as object,
    })
    const others = await gw.reload({ plugins: ['openai', misspelt] })
    assert.match(others[0]!.message, /"onRequst" is no hook. Did you mean "onRequest"\?/)
  })
})

describe('a shutdown', () => {
  test('lets finish what can, and ends the rest at the deadline', async () => {
    let finish = () => {}
    await using upstream = await fakeUpstream(async (asked, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: 1\n\n')
      if (asked.headers['x-ends'] === 'yes') {
        await new Promise<void>((resolve) => (finish = resolve))
        response.end('data: 2\n\n')
      }
    })
    await using gw = await gateway({ ...options(upstream), limits: { drain: '500ms' } })
    const post = (ends: string) =>
      fetch(`${gw.url}/v1/responses`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-ends': ends },
        body: '{}',
      })
    const ending = await post('yes')
    const endless = await post('no')
    const stopped = gw.stop()
    await assert.rejects(fetch(`${gw.url}/v1/models`), 'no new connection is taken')
    assert.equal((await fetch(`${gw.adminUrl}/readyz`)).status, 503)
    finish()
    assert.equal(await ending.text(), 'data: 1\n\ndata: 2\n\n')
    assert.match(await endless.text(), /^data: 1\n\nevent: error\ndata: .*"message":"The gateway is shutting down"/)
    await stopped
  })
})
