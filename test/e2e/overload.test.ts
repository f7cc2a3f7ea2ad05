/** Too much to do: who is turned away is told so in its own words, the others are served, and all is well again by itself. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { getHeapStatistics } from 'node:v8'
import Anthropic from '@anthropic-ai/sdk'
import { definePlugin } from 'postern/plugin'
import { fakeUpstream, json } from '../fake-upstream.ts'
import { gateway, type TestGateway } from '../harness.ts'
import { connect } from './websocket-client.fixture.ts'

const body = JSON.stringify({ model: 'm', messages: [] })

async function ask(gw: TestGateway, level: string): Promise<Response> {
  const headers = { 'content-type': 'application/json', 'x-level': level }
  return fetch(`${gw.url}/v1/chat/completions`, { method: 'POST', headers, body })
}

/** Which levels are served now. */
async function served(gw: TestGateway): Promise<string[]> {
  const levels: string[] = []
  for (const level of ['low', 'normal', 'high']) {
    const answer = await ask(gw, level)
    await answer.arrayBuffer()
    if (answer.status === 200) levels.push(level)
    else assert.equal(answer.status, 503)
  }
  return levels
}

/** Waits until these are. */
async function untilServed(gw: TestGateway, expected: readonly string[]): Promise<void> {
  let found: string[] = []
  for (let tries = 0; tries < 100; tries++) {
    found = await served(gw)
    if (found.join() === expected.join()) return
    await sleep(50)
  }
  assert.deepEqual(found, expected)
}

const priority = {
  priority: {
    rules: ['low', 'high'].map((level) => ({ level, header: { name: 'X-Level', value: level } })),
  },
}

const limit = 2 ** 31

/** Buffers, so that the process has this share of the limit in use; they are never written to, so no memory is behind them. */
class Ballast {
  #held = new ArrayBuffer(0)

  fillTo(share: number): void {
    this.drop()
    const { used_heap_size: heap, external_memory: external } = getHeapStatistics()
    this.#held = new ArrayBuffer(Math.round(share * limit) - heap - external)
  }

  drop(): void {
    // Given back at once, not when it is collected.
    this.#held.transfer(0)
  }
}

test('memory turns away the lowest priority first, and everybody is served again without a restart', async () => {
  await using upstream = await fakeUpstream(json(200, {}))
  await using gw = await gateway({
    plugins: [priority, 'openai'],
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
    limits: { memory: '2GiB', lag: '10m' },
  })
  const ballast = new Ballast()
  try {
    await untilServed(gw, ['low', 'normal', 'high'])
    ballast.fillTo(0.85)
    await untilServed(gw, ['normal', 'high'])
    ballast.fillTo(0.95)
    await untilServed(gw, ['high'])
    ballast.fillTo(1.05)
    await untilServed(gw, [])
  } finally {
    ballast.drop()
  }
  await untilServed(gw, ['low', 'normal', 'high'])
  const metrics = await (await fetch(`${gw.adminUrl}/metrics`)).text()
  assert.match(metrics, /postern_turned_away_total\{priority="low",cause="memory"\} [1-9]/)
  assert.match(metrics, /postern_pressure_ratio\{of="memory"\} 0\./)
  assert.ok(gw.records.some(({ cause, level }) => cause === 'memory' && level === 'warn'))
})

test('a refusal is one of the client’s own API, its body is not read, and no upstream is asked', async () => {
  await using upstream = await fakeUpstream(json(200, {}))
  await using gw = await gateway({
    plugins: ['anthropic'],
    upstreams: [{ name: 'a', provider: 'anthropic', url: upstream.url, key: 'k' }],
    limits: { memory: '1MiB' },
  })
  const client = new Anthropic({ baseURL: gw.url, apiKey: 'k', maxRetries: 0 })
  const asked = client.messages.create({ model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'x' }] })
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof Anthropic.APIError)
    assert.equal(error.status, 503)
    assert.match(error.message, /too much to do/)
    assert.ok(Number(error.headers?.get('retry-after')) >= 1)
    return true
  })
  assert.equal(upstream.asked.length, 0)
  assert.equal(gw.sidecar.server.gateway.exchanges.length, 0)
})

test('a loop that is always late turns away, and serves again when it is not', async () => {
  await using upstream = await fakeUpstream(json(200, {}))
  let isBusy = false
  const busy = definePlugin({
    name: 'busy',
    config: { type: 'object', properties: {} },
    setup(context) {
      context.every(1, () => {
        for (const end = performance.now() + 200; isBusy && performance.now() < end;);
      })
      return {}
    },
  })
  await using gw = await gateway({
    plugins: [priority, busy, 'openai'],
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
    limits: { lag: '50ms' },
  })
  isBusy = true
  try {
    await untilServed(gw, [])
    assert.match((await ask(gw, 'high')).headers.get('retry-after') ?? '', /^[123]$/)
  } finally {
    isBusy = false
  }
  await untilServed(gw, ['low', 'normal', 'high'])
})

test('a turn is turned away by an event, and its connection by a close frame that says to come again', async () => {
  await using upstream = await fakeUpstream(json(200, {}))
  await using gw = await gateway({
    plugins: ['openai'],
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k', websocket: false }],
  })
  using client = await connect(`${gw.url}/v1/responses`)
  const limits = { memory: '1MiB' }
  const upstreams = [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k', websocket: false }]
  assert.deepEqual(await gw.reload({ plugins: ['openai'], upstreams, limits }), [])
  client.send({ type: 'response.create', model: 'm', input: 'x' })
  assert.match(JSON.stringify(await client.until('error')), /too much to do/)
  const { code, reason } = await client.closed
  assert.equal(code, 1013)
  assert.match(reason, /too much to do/)
  assert.equal(upstream.asked.length, 0)
})

test('one connection more than all clients may have is told so', async () => {
  await using upstream = await fakeUpstream(json(200, {}))
  await using gw = await gateway({
    plugins: ['openai'],
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
    limits: { all_connections: 2 },
  })
  const { hostname, port } = new URL(gw.url)
  const sockets = [1, 2].map(() => connectTo(Number(port), hostname))
  try {
    for (const socket of sockets) await once(socket, 'connect')
    const third = connectTo(Number(port), hostname)
    const told: Buffer[] = []
    third.on('data', (chunk: Buffer) => told.push(chunk))
    await once(third, 'close')
    assert.match(String(Buffer.concat(told)), /^HTTP\/1\.1 503 .*retry-after: 1.*too many connections/is)
    sockets[0]!.destroy()
    let status = 0
    for (let tries = 0; tries < 100 && status !== 200; tries++) {
      status = await fetch(`${gw.url}/v1/models`, { headers: { connection: 'close' } }).then(
        (answer) => answer.status,
        () => 0,
      )
      if (status !== 200) await sleep(20)
    }
    assert.equal(status, 200)
  } finally {
    for (const socket of sockets) socket.destroy()
  }
})
