import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, type Priority } from 'postern/plugin'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'

/** The priority of a request with these headers, under these options. */
async function priorityOf(
  options: object | null,
  { headers = {}, path = '/v1/models', more = {} }: Asked = {},
): Promise<Priority | null> {
  const seen: (Priority | null)[] = []
  const witness = definePlugin({
    name: 'witness',
    config: { type: 'object', properties: {} },
    mayRead: ['priority'],
    setup: () => ({ onEnd: ({ facts }) => void seen.push(facts.priority) }),
  })
  await using upstream = await fakeUpstream(json(200, {}))
  await using gw = await gateway({
    plugins: ['api-key-auth', options === null ? 'priority' : { priority: options }, witness, 'openai'],
    upstreams: [{ name: 'o', provider: 'openai', url: upstream.url, key: 'k' }],
    keys: [
      { name: 'checkout', key: 'key-of-the-checkout' },
      { name: 'nightly', key: 'key-of-the-night-job' },
    ],
    ...more,
  })
  const answer = await fetch(gw.url + path, { headers: { authorization: 'Bearer key-of-the-checkout', ...headers } })
  await answer.arrayBuffer()
  assert.equal(answer.status, 200)
  await gw.stop()
  assert.equal(seen.length, 1)
  return seen[0] ?? null
}

interface Asked {
  headers?: Record<string, string>
  path?: string
  more?: Partial<GatewayOptions>
}

describe('priority', () => {
  test('is normal where nothing is said, or what default says', async () => {
    assert.equal(await priorityOf(null), 'normal')
    assert.equal(await priorityOf({ default: 'low' }), 'low')
  })

  test('goes by a header, its name in any case, with any value or one', async () => {
    const rules = [
      { level: 'low', header: { name: 'X-Batch' } },
      { level: 'high', header: { name: 'x-hurry', value: 'yes' } },
    ]
    assert.equal(await priorityOf({ rules }, { headers: { 'x-batch': '' } }), 'low')
    assert.equal(await priorityOf({ rules }, { headers: { 'x-hurry': 'yes' } }), 'high')
    assert.equal(await priorityOf({ rules }, { headers: { 'x-hurry': 'no' } }), 'normal')
    assert.equal(
      await priorityOf({ rules }, { headers: { 'x-hurry': 'yes', 'x-batch': '1' } }),
      'low',
      'the first counts',
    )
  })

  test('goes by the key that was verified', async () => {
    const rules = [{ level: 'low', keys: ['nightly', 'weekly'] }]
    assert.equal(await priorityOf({ rules }), 'normal')
    assert.equal(await priorityOf({ rules }, { headers: { authorization: 'Bearer key-of-the-night-job' } }), 'low')
    assert.equal(await priorityOf({ rules: [{ level: 'low', groups: ['team'] }] }), 'normal', 'it has no group')
  })

  test('goes by path, and by the beginning of one', async () => {
    const rules = [{ level: 'low', paths: ['/v1/models', '/v1/batches*'] }]
    assert.equal(await priorityOf({ rules }), 'low')
    assert.equal(await priorityOf({ rules }, { path: '/v1/models/m' }), 'normal')
    assert.equal(await priorityOf({ rules }, { path: '/v1/batches/b_1' }), 'low')
  })

  test('wants every condition of a rule', async () => {
    const rules = [{ level: 'high', keys: ['checkout'], paths: ['/v1/models'], header: { name: 'x-a' } }]
    assert.equal(await priorityOf({ rules }, { headers: { 'x-a': '1' } }), 'high')
    assert.equal(await priorityOf({ rules }), 'normal')
    assert.equal(await priorityOf({ rules }, { headers: { 'x-a': '1' }, path: '/v1/files' }), 'normal')
  })

  test('refuses a rule without a condition, and a level that is none', async () => {
    await using gw = await gateway({ plugins: ['priority'] })
    const problemsOf = async (rules: object[]) =>
      (await gw.reload({ plugins: [{ priority: { rules } }] })).map(({ message }) => message)
    assert.equal((await problemsOf([{ level: 'low' }])).length, 1)
    assert.match(String(await problemsOf([{ level: 'urgent', keys: ['a'] }])), /high/)
    assert.match(String(await problemsOf([{ level: 'low', path: ['/v1'] }])), /Did you mean|does not know/)
  })
})
