import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'

/** The status a client on the loopback address is told, having sent these headers. */
async function statusWith(
  rules: object,
  headers: Record<string, string> = {},
  options: Partial<GatewayOptions> = {},
): Promise<number> {
  await using upstream = await fakeUpstream(json(200, {}))
  await using gw = await gateway({
    plugins: [{ 'ip-rules': rules }, 'openai'],
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
    ...options,
  })
  const { status } = await fetch(`${gw.url}/v1/models`, { headers })
  assert.equal(upstream.asked.length, status === 200 ? 1 : 0)
  return status
}

describe('ip-rules', () => {
  test('admits everyone where nothing is configured', async () => {
    assert.equal(await statusWith({}), 200)
  })

  test('refuses who is denied, and who is not among the allowed', async () => {
    assert.equal(await statusWith({ deny: ['127.0.0.0/8'] }), 403)
    assert.equal(await statusWith({ allow: ['10.0.0.0/8', '2001:db8::/32'] }), 403)
    assert.equal(await statusWith({ allow: ['127.0.0.1'] }), 200)
  })

  test('lets deny win over allow', async () => {
    assert.equal(await statusWith({ allow: ['127.0.0.0/8'], deny: ['127.0.0.1'] }), 403)
  })

  test('holds a route’s own lists for its paths, beside those for every path', async () => {
    const routes = [
      { path: '/v1/models', deny: ['127.0.0.0/8'] },
      { path: '/v1/batches*', allow: ['10.0.0.0/8'] },
    ]
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway({
      plugins: [{ 'ip-rules': { routes } }, 'openai'],
      upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
    })
    const status = async (path: string) => (await fetch(gw.url + path)).status
    assert.equal(await status('/v1/models'), 403)
    assert.equal(await status('/v1/%6dodels'), 403, 'however it is spelt')
    assert.equal(await status('/v1/models/m'), 200)
    assert.equal(await status('/v1/batches/b_1'), 403)
    assert.equal(await status('/v1/files'), 200)
    assert.equal(gw.records.filter(({ level }) => level === 'warn').at(-1)?.route, '/v1/batches*')
  })

  test('believes X-Forwarded-For only from a trusted proxy', async () => {
    const rules = { deny: ['203.0.113.0/24'] }
    const forwarded = { 'x-forwarded-for': '198.51.100.1, 203.0.113.7' }
    assert.equal(await statusWith(rules, forwarded), 200)
    assert.equal(await statusWith(rules, forwarded, { trusted_proxies: ['127.0.0.1'] }), 403)
    assert.equal(
      await statusWith(rules, { 'x-forwarded-for': '203.0.113.7, 198.51.100.1' }, { trusted_proxies: ['127.0.0.1'] }),
      200,
    )
  })

  test('tells the client little and the log all', async () => {
    await using gw = await gateway({ plugins: [{ 'ip-rules': { deny: ['127.0.0.1'] } }, 'anthropic'] })
    const answer = await fetch(`${gw.url}/v1/messages`, { method: 'POST', body: '{}' })
    assert.deepEqual(await answer.json(), {
      type: 'error',
      error: { type: 'permission_error', message: 'Access denied' },
    })
    const line = gw.records.find(({ level }) => level === 'warn')
    assert.equal(line?.plugin, 'ip-rules')
    assert.equal(line?.client, '127.0.0.1')
    assert.equal(line?.rule, 'deny')
  })

  test('refuses a configuration with a pattern that is none, and says where', async () => {
    await using gw = await gateway({ plugins: ['ip-rules'] })
    const problems = await gw.reload({ plugins: [{ 'ip-rules': { deny: ['10.0.0.0/8', '10.0.0.0/33'] } }] })
    assert.equal(problems.length, 1)
    assert.match(problems[0]!.message, /address/)
    assert.ok(problems[0]!.line > 1)
  })
})
