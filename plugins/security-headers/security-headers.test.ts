import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { describe, mock, test } from 'node:test'
import { definePlugin, reply, type Headers } from 'postern/plugin'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'

/** Answers every request with a page. */
const pages = (headers: Headers = {}) =>
  definePlugin({
    name: 'pages',
    config: { type: 'object' },
    setup: () => ({ onRequest: () => reply(200, '<h1>Hello</h1>', { 'content-type': 'text/html', ...headers }) }),
  })

/** The same, but its page has a script of its own. */
const scripted = definePlugin({
  name: 'scripted',
  config: { type: 'object' },
  reads: ['csp_nonce'],
  setup: () => ({
    onRequest: ({ facts }) =>
      reply(200, `<script nonce="${facts.csp_nonce}">go()</script>`, { 'content-type': 'text/html' }),
  }),
})

/** The answer to a request for a path. */
async function ask(path: string, options: object = {}, plugins: GatewayOptions['plugins'] = [pages()]) {
  await using gw = await gateway({ plugins: [{ 'security-headers': options }, ...plugins] })
  const answer = await fetch(`${gw.url}${path}`)
  return { status: answer.status, headers: answer.headers, body: await answer.text(), records: gw.records }
}

/** Watches the calls of node:crypto's randomBytes until the end of the block. */
function watchRandomness({ isThere } = { isThere: true }) {
  const spy = mock.method(crypto, 'randomBytes')
  if (!isThere)
    spy.mock.mockImplementation(() => {
      throw new Error('no entropy')
    })
  // Only now do named imports see the change.
  syncBuiltinESMExports()
  return {
    get calls() {
      return spy.mock.callCount()
    },
    [Symbol.dispose]() {
      spy.mock.restore()
      syncBuiltinESMExports()
    },
  }
}

const nonceIn = (headers: globalThis.Headers) =>
  /script-src 'self' 'nonce-([A-Za-z0-9+/]{22}==)'/.exec(headers.get('content-security-policy') ?? '')?.[1]

const base = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'cross-origin-resource-policy': 'same-origin',
}

function assertHas(headers: globalThis.Headers, expected: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(expected)) assert.equal(headers.get(name), value, name)
}

describe('security-headers', () => {
  test('are on every answer, whoever gives it', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: ['security-headers', 'openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k', models: ['m'] }],
    })
    for (const [path, status] of [
      ['/v1/models', 200],
      ['/nowhere', 404],
    ] as const) {
      const answer = await fetch(gw.url + path)
      assert.equal(answer.status, status)
      assertHas(answer.headers, base)
    }
    await upstream[Symbol.asyncDispose]()
    const broken = await fetch(`${gw.url}/v1/models`)
    assert.equal(broken.status, 502)
    assertHas(broken.headers, base)
  })

  test('replace what an upstream has said', async () => {
    const said = { 'x-frame-options': 'ALLOWALL', 'cross-origin-resource-policy': 'cross-origin' }
    await using upstream = await fakeUpstream(json(200, {}, said))
    await using gw = await gateway({
      plugins: ['security-headers', 'openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
    })
    assertHas((await fetch(`${gw.url}/v1/models`)).headers, base)
  })

  test('can be told otherwise, or left out where they are empty', async () => {
    const { headers } = await ask('/', {
      hsts: 'max-age=63072000; includeSubDomains',
      permissions_policy: 'usb=()',
      cross_origin_opener_policy: '',
      cross_origin_resource_policy: 'cross-origin',
    })
    assertHas(headers, {
      'strict-transport-security': 'max-age=63072000; includeSubDomains',
      'permissions-policy': 'usb=()',
      'cross-origin-resource-policy': 'cross-origin',
    })
    assert.equal(headers.get('cross-origin-opener-policy'), null)
  })

  test('refuse a value that no header can have when they are loaded, not when they are sent', async () => {
    await using gw = await gateway({ plugins: ['security-headers'] })
    for (const option of ['hsts', 'content_security_policy']) {
      const problems = await gw.reload({ plugins: [{ 'security-headers': { [option]: 'img-src \u0001 \u2026' } }] })
      assert.match(problems[0]?.message ?? '', /security-headers cannot be set up: Invalid character in header/)
    }
  })
})

describe('a page', () => {
  test('is told the policy for pages, with a nonce that is never told twice', async () => {
    await using gw = await gateway({ plugins: ['security-headers', pages()] })
    const nonces = new Set<string>()
    for (const path of ['/', '/console', '/api/v1/keys', '/v1', '/V1/models']) {
      const { headers } = await fetch(gw.url + path)
      assertHas(headers, {
        ...base,
        'permissions-policy': 'camera=(), geolocation=(), microphone=()',
        'cross-origin-opener-policy': 'same-origin',
      })
      nonces.add(nonceIn(headers) ?? '')
      assert.match(headers.get('content-security-policy') ?? '', /^default-src 'self'; .*; object-src 'none'$/)
    }
    assert.equal(nonces.size, 5)
    assert.ok(!nonces.has(''))
  })

  test('that reads the nonce writes the one that its header tells', async () => {
    using randomness = watchRandomness()
    const { headers, body } = await ask('/console', {}, [scripted])
    assert.equal(body, `<script nonce="${nonceIn(headers)}">go()</script>`)
    assert.equal(randomness.calls, 1)
  })

  const marked = (type: string) =>
    definePlugin({
      name: 'marked',
      config: { type: 'object' },
      setup: () => ({
        onRequest: () => reply(200, 'é<script nonce="__CSP_NONCE__"></script>__CSP_NONCE__', { 'content-type': type }),
      }),
    })

  test('has its nonce wherever its markup wants it, and the length that goes with it', async () => {
    const { headers, body } = await ask('/', {}, [marked('text/html; charset=utf-8')])
    const nonce = nonceIn(headers)
    assert.equal(body, `é<script nonce="${nonce}"></script>${nonce}`)
    assert.equal(headers.get('content-length'), String(Buffer.byteLength(body)))
  })

  test('keeps its markup where that is not wanted, and so does what is no page', async () => {
    for (const [type, options] of [
      ['text/html', { nonce_in_pages: false }],
      ['text/plain', {}],
    ] as const)
      assert.match((await ask('/', options, [marked(type)])).body, /nonce="__CSP_NONCE__"/)
  })

  test('is told the policy of this plugin, not one of its own', async () => {
    const { headers } = await ask('/', {}, [pages({ 'content-security-policy': 'default-src *' })])
    assert.ok(nonceIn(headers))
  })

  test('has no policy and no nonce where the policy is empty', async () => {
    using randomness = watchRandomness()
    const { headers, body } = await ask('/', { content_security_policy: '' }, [scripted])
    assert.equal(headers.get('content-security-policy'), null)
    assert.equal(body, '<script nonce="null">go()</script>')
    assert.equal(randomness.calls, 0)
  })

  test('costs no randomness where the policy has no place for a nonce', async () => {
    using randomness = watchRandomness()
    const { headers } = await ask('/', { content_security_policy: "default-src 'self'; script-src 'none'" })
    assert.equal(headers.get('content-security-policy'), "default-src 'self'; script-src 'none'")
    assert.equal(randomness.calls, 0)
  })

  test('admits inline scripts where the system has no randomness, and the log says so once', async () => {
    using _ = watchRandomness({ isThere: false })
    const { headers, body, records } = await ask('/', {}, [scripted])
    assert.match(headers.get('content-security-policy') ?? '', /script-src 'self' 'unsafe-inline';/)
    assert.equal(body, '<script nonce="">go()</script>')
    const lines = records.filter(({ level, plugin }) => level === 'error' && plugin === 'security-headers')
    assert.equal(lines.length, 1)
    assert.match(lines[0]!.message, /no randomness/)
  })
})

describe('an API’s answer', () => {
  const paths = [
    '/v1/messages',
    '/v1beta/models',
    '/antigravity/v1/messages',
    '/sora/v1/videos',
    '/responses',
    '/responsesX',
  ]

  test('is told no policy and costs no randomness', async () => {
    using randomness = watchRandomness()
    for (const plugins of [[pages()], [scripted], []]) {
      await using gw = await gateway({ plugins: ['security-headers', ...plugins] })
      for (const path of paths) {
        const { headers } = await fetch(gw.url + path)
        assertHas(headers, base)
        for (const name of ['content-security-policy', 'permissions-policy', 'cross-origin-opener-policy'])
          assert.equal(headers.get(name), null, `${path} ${name}`)
      }
    }
    assert.equal(randomness.calls, 0)
  })

  test('is known by the provider that claims it, wherever it is mounted', async () => {
    using randomness = watchRandomness()
    const { status, headers } = await ask('/deepseek/v1/models', {}, [
      { openai: { as: 'deepseek', prefix: '/deepseek' } },
    ])
    assert.equal(status, 503)
    assertHas(headers, base)
    assert.equal(headers.get('content-security-policy'), null)
    assert.equal(randomness.calls, 0)
  })

  test('is known by the prefixes that are configured', async () => {
    const api_prefixes = ['/rpc/']
    assert.equal(nonceIn((await ask('/rpc/call', { api_prefixes })).headers), undefined)
    assert.ok(nonceIn((await ask('/v1/messages', { api_prefixes })).headers))
  })
})
