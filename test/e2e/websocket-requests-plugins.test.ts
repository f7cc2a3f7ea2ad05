/** Plugins on requests by HTTP that are asked over an upstream's WebSocket: none of them can tell the difference. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { until } from '../conformance/websocket-upstream.ts'
import { gateway, type GatewayOptions } from '../harness.ts'
import { answered, responsesUpstream, upstreamOf, type Turn } from './websocket-client.fixture.ts'

const always = (name: string, upstream: { url: URL }) => ({ ...upstreamOf(name, upstream), websocket: 'always' })

const post = (url: string, body: object, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'gpt-5', ...body }),
  })

/** What a plugin writes into a file of its own while requests are answered. */
async function written(
  plugin: (file: string) => GatewayOptions['plugins'][number],
  turn: Turn,
  ask: (url: string) => Promise<void>,
): Promise<Record<string, unknown>[]> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-requests-'))
  try {
    const file = join(folder, 'lines.jsonl')
    await using upstream = await responsesUpstream(turn)
    {
      const options = { plugins: ['openai', plugin(file)], upstreams: [always('o', upstream)] }
      await using gw = await gateway(options)
      await ask(gw.url)
    }
    const lines = (await readFile(file, 'utf8')).trim().split('\n')
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>) // a record
  } finally {
    await rm(folder, { recursive: true })
  }
}

describe('on a request that is asked as a turn', () => {
  test('usage is written down once, streamed or not', async () => {
    const rows = await written(
      (file) => ({ usage: { file } }),
      answered,
      async (url) => {
        for (const stream of [true, false, true]) await (await post(url, { stream })).text()
      },
    )
    assert.deepEqual(
      rows.map(({ output_tokens: tokens }) => tokens),
      [3, 3, 3],
    )
  })

  test('ops-capture keeps what one that failed has asked and was told', async () => {
    const error = { type: 'invalid_request_error', code: 'bad', message: 'it is wrong' }
    const lines = await written(
      (file) => ({ 'ops-capture': { file } }),
      (say) => say({ type: 'error', status: 400, error }),
      async (url) => {
        for (const stream of [true, false]) assert.equal((await post(url, { stream })).status, 400)
      },
    )
    assert.deepEqual(
      lines.map(({ message, model, upstream, method }) => [message, model, upstream, method]),
      Array.from({ length: 2 }, () => ['it is wrong', 'gpt-5', 'o', 'POST']),
    )
  })

  test('concurrency holds its slot until the answer has ended', async () => {
    const waiting: (() => void)[] = []
    await using upstream = await responsesUpstream((say) => {
      say({ type: 'response.output_text.delta', delta: 'a' })
      waiting.push(() => say({ type: 'response.completed', response: {} }))
    })
    await using gw = await gateway({
      plugins: ['openai', { concurrency: { per_client: 1, waiters: { principal: 0 }, wait: { principal: '50ms' } } }],
      upstreams: [always('o', upstream)],
    })
    const first = await post(gw.url, { stream: true })
    assert.equal((await post(gw.url, { stream: true })).status, 429)
    waiting[0]!()
    await first.text()
    await until(() => gw.sidecar.server.gateway.exchanges.length === 0)
    const next = post(gw.url, {})
    await until(() => waiting.length === 2)
    waiting[1]!()
    assert.equal((await next).status, 200)
  })

  test('a key is asked for, and never reaches the upstream', async () => {
    await using upstream = await responsesUpstream()
    await using gw = await gateway({
      plugins: ['api-key-auth', 'openai', 'security-headers'],
      keys: [{ name: 'me', key: 'a-key-of-16-characters' }],
      upstreams: [always('o', upstream)],
    })
    assert.equal((await post(gw.url, {})).status, 401)
    const answer = await post(gw.url, {}, { authorization: 'Bearer a-key-of-16-characters' })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    assert.deepEqual(
      upstream.requests.map(({ headers }) => headers.authorization),
      ['Bearer sk-o'],
    )
  })
})
