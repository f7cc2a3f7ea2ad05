import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, reply } from 'postern/plugin'
import { fakeUpstream, json, type Script } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'

const chatter = {
  date: 'Thu, 01 Jan 1970 00:00:00 GMT',
  server: 'cloudflare',
  'cf-ray': 'x',
  'alt-svc': 'h3=":443"',
  'set-cookie': '__cf_bm=secret; path=/; domain=.api.openai.com',
  'access-control-allow-origin': '*',
  'strict-transport-security': 'max-age=31536000',
  'x-internal-host': 'gpu-17',
}
const wanted = {
  'cache-control': 'no-cache',
  'retry-after': '7',
  'x-request-id': 'req_1',
  'x-should-retry': 'false',
  'x-ratelimit-remaining-tokens': '9',
  'anthropic-ratelimit-tokens-reset': '2026-01-01T00:00:00Z',
  'openai-processing-ms': '420',
}

/** The headers with which a client is answered, and those with which the upstream was asked. */
async function passedThrough(
  options: object,
  {
    script = json(200, {}, { ...chatter, ...wanted }),
    sent = {},
  }: { script?: Script; sent?: Record<string, string> } = {},
  plugins: GatewayOptions['plugins'] = [],
) {
  await using upstream = await fakeUpstream(script)
  await using gw = await gateway({
    plugins: [...plugins, { 'header-filter': options }, 'openai'],
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
  })
  const answer = await fetch(`${gw.url}/v1/models`, { headers: sent })
  return { answer, headers: answer.headers, body: await answer.text(), asked: upstream.asked[0]?.headers }
}

describe('header-filter passes on to the client', () => {
  test('what SDKs read, and nothing that the upstream says to browsers or of itself', async () => {
    const { headers, body } = await passedThrough({})
    for (const [name, value] of Object.entries(wanted)) assert.equal(headers.get(name), value, name)
    for (const [name, value] of Object.entries(chatter)) assert.notEqual(headers.get(name), value, name)
    assert.equal(headers.get('content-type'), 'application/json')
    assert.equal(body, '{}')
  })

  test('which exchange it was', async () => {
    const { headers } = await passedThrough({ defaults: false, remove: ['x-*'] })
    assert.match(headers.get('x-postern-exchange') ?? '', /^[\w-]{36}$/)
    assert.equal(headers.get('x-request-id'), null)
  })

  test('what else is allowed, by name or by its beginning, in whatever case', async () => {
    const { headers } = await passedThrough({ allow: ['Server', 'X-Internal-*'] })
    assert.equal(headers.get('server'), 'cloudflare')
    assert.equal(headers.get('x-internal-host'), 'gpu-17')
    assert.equal(headers.get('cf-ray'), null)
  })

  test('every value of an allowed name', async () => {
    const script: Script = (_asked, response) =>
      void response.writeHead(200, { 'set-cookie': ['a=1', 'b=2'], 'x-request-id': ['req_1', 'req_2'] }).end()
    const { headers } = await passedThrough({ allow: ['set-cookie'] }, { script })
    assert.deepEqual(headers.getSetCookie(), ['a=1', 'b=2'])
    assert.equal(headers.get('x-request-id'), 'req_1, req_2')
  })

  test('not what is removed, even if it is allowed', async () => {
    const { headers } = await passedThrough({ allow: ['server'], remove: ['Server', 'x-ratelimit-*'] })
    assert.equal(headers.get('server'), null)
    assert.equal(headers.get('x-ratelimit-remaining-tokens'), null)
    assert.equal(headers.get('retry-after'), '7')
  })

  test('only what is allowed where the defaults are off', async () => {
    const { headers } = await passedThrough({ defaults: false, allow: ['cf-ray'] })
    assert.equal(headers.get('cf-ray'), 'x')
    assert.equal(headers.get('retry-after'), null)
  })

  test('what the bytes are and how many, whatever the lists say', async () => {
    const script: Script = (_asked, response) => {
      const length = { 'content-length': '4', 'content-range': 'bytes 0-3/9' }
      response.writeHead(206, { 'content-type': 'text/plain', ...length }).end('half')
    }
    const { answer, headers, body } = await passedThrough({ defaults: false, remove: ['*'] }, { script })
    assert.equal(answer.status, 206)
    assert.equal(headers.get('content-type'), 'text/plain')
    assert.equal(headers.get('content-length'), '4')
    assert.equal(headers.get('content-range'), 'bytes 0-3/9')
    assert.equal(body, 'half')
  })

  test('an upstream’s error like any other answer', async () => {
    const script = json(429, {}, { ...chatter, ...wanted })
    for (const plugins of [[], ['failover']]) {
      const { answer, headers } = await passedThrough({}, { script }, plugins)
      assert.equal(answer.status, 429)
      assert.equal(headers.get('retry-after'), '7')
      assert.equal(headers.get('set-cookie'), null)
    }
  })

  test('what a plugin above it in the list has added', async () => {
    const above = definePlugin({
      name: 'above',
      config: { type: 'object' },
      setup: () => ({ onResponse: (_exchange, { headers }) => void (headers['x-above'] = 'yes') }),
    })
    const { headers } = await passedThrough({}, {}, [above])
    assert.equal(headers.get('x-above'), 'yes')
  })
})

describe('header-filter leaves alone', () => {
  test('what the gateway answers when it cannot reach the upstream', async () => {
    await using gw = await gateway({
      plugins: [{ 'header-filter': { defaults: false, remove: ['*'] } }, 'openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: 'http://127.0.0.1:9', key: 'k' }],
    })
    const { status, headers } = await fetch(`${gw.url}/v1/models`)
    assert.equal(status, 502)
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.equal(headers.get('x-request-id'), headers.get('x-postern-exchange'))
  })

  test('what a plugin answers, even after an upstream has answered an attempt before', async () => {
    const instead = definePlugin({
      name: 'instead',
      config: { type: 'object' },
      setup: () => ({
        onUpstreamRequest: ({ attempt }) => (attempt === 2 ? reply(200, 'mine', { 'x-mine': 'yes' }) : undefined),
      }),
    })
    await using upstream = await fakeUpstream(json(500, {}))
    await using gw = await gateway({
      plugins: ['header-filter', 'failover', instead, 'openai'],
      upstreams: [
        { name: 'a', provider: 'openai', url: upstream.url, key: 'k' },
        { name: 'b', provider: 'openai', url: upstream.url, key: 'k' },
      ],
    })
    const answer = await fetch(`${gw.url}/v1/models`)
    assert.equal(await answer.text(), 'mine')
    assert.equal(answer.headers.get('x-mine'), 'yes')
    assert.equal(upstream.asked.length, 1)
  })
})

describe('header-filter passes on to the upstream', () => {
  const sent = { 'x-stainless-os': 'Linux', 'x-app': 'crm', accept: 'text/plain' }

  test('everything, unless it is told otherwise', async () => {
    const { asked } = await passedThrough({}, { sent })
    for (const [name, value] of Object.entries(sent)) assert.equal(asked?.[name], value)
  })

  test('not what is removed', async () => {
    const { asked } = await passedThrough({ request: { remove: ['X-Stainless-*'] } }, { sent })
    assert.equal(asked?.['x-stainless-os'], undefined)
    assert.equal(asked?.['x-app'], 'crm')
  })

  test('only what is allowed, and what the provider below it adds', async () => {
    const { asked } = await passedThrough({ request: { allow: ['accept'] } }, { sent })
    assert.equal(asked?.accept, 'text/plain')
    assert.equal(asked?.['x-app'], undefined)
    assert.equal(asked?.authorization, 'Bearer k')
  })
})

describe('header-filter refuses a configuration', () => {
  test('that removes what always stays, and says so', async () => {
    await using gw = await gateway({ plugins: ['header-filter'] })
    for (const name of ['content-length', 'Content-Type', 'x-postern-exchange']) {
      const problems = await gw.reload({ plugins: [{ 'header-filter': { remove: [name] } }] })
      assert.match(problems[0]?.message ?? '', new RegExp(`${name} always stays`))
    }
  })

  test('with a name that no header can have', async () => {
    await using gw = await gateway({ plugins: ['header-filter'] })
    for (const allow of ['x y', 'x:', '*-id', '']) {
      const problems = await gw.reload({ plugins: [{ 'header-filter': { allow: [allow] } }] })
      assert.equal(problems.length, 1, JSON.stringify(allow))
    }
  })
})
