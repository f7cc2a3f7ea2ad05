import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { definePlugin, type Store } from 'postern/plugin'
import { fakeUpstream, json } from '../../test/fake-upstream.ts'
import { gateway, type GatewayOptions } from '../../test/harness.ts'
import { countKey } from './counts.ts'
import { fields, parse } from './fields.ts'

const options = (url: string, more: Partial<GatewayOptions> = {}): GatewayOptions => ({
  plugins: ['anthropic', 'metadata-bridge', 'failover'],
  upstreams: [{ name: 'one', provider: 'anthropic', url, key: 'k', priority: 1 }],
  ...more,
})
const ask = (url: string, body: object, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

/** The fields as an answer tells them. */
function told(answer: Response): Record<string, string> {
  const pairs = Object.entries(fields).flatMap(([field, { header }]) => {
    const value = answer.headers.get(header)
    return value === null ? [] : [[field, value]]
  })
  return Object.fromEntries(pairs) as Record<string, string> // pairs of texts
}

const none = {
  is_max_tokens_one_haiku_request: 'false',
  thinking_enabled: 'false',
  single_account_retry: 'false',
  account_switch_count: '0',
}

describe('the metadata bridge', () => {
  test('tells in headers what the gateway knows of a request', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway(options(upstream.url))
    const rows: [object, Partial<Record<keyof typeof fields, string>>][] = [
      [{ model: 'claude-sonnet', max_tokens: 1 }, {}],
      [{ model: 'claude-haiku-4', max_tokens: 1 }, { is_max_tokens_one_haiku_request: 'true' }],
      [{ model: 'claude-haiku-4', max_tokens: 1.0, stream: true }, {}],
      [{ model: 'claude-haiku-4', max_tokens: 2 }, {}],
      [{ model: 'm', thinking: { type: 'enabled', budget_tokens: 1024 } }, { thinking_enabled: 'true' }],
      [{ model: 'm', thinking: { type: 'adaptive' } }, { thinking_enabled: 'true' }],
      [{ model: 'm', thinking: { type: 'disabled' } }, {}],
    ]
    for (const [body, expected] of rows)
      assert.deepEqual(told(await ask(gw.url, body)), { ...none, ...expected }, JSON.stringify(body))
  })

  test('counts how often another upstream was asked', async () => {
    await using bad = await fakeUpstream(json(500, {}))
    await using good = await fakeUpstream(json(200, {}))
    const upstreams = [bad, bad, good].map(({ url }, at) => ({
      name: `u${at}`,
      provider: 'anthropic',
      url,
      key: 'k',
      priority: at,
    }))
    await using gw = await gateway(options('', { upstreams }))
    assert.equal(told(await ask(gw.url, { model: 'm' })).account_switch_count, '2')
  })

  test('reads what an old client sends only where the gateway does not know better, and counts that', async () => {
    let store: Store | null = null
    const spy = definePlugin({
      name: 'spy',
      config: { type: 'object', properties: {} },
      setup(context) {
        store = context.store
        return {}
      },
    })
    await using upstream = await fakeUpstream(json(200, {}))
    const gw = await gateway(options(upstream.url, { plugins: ['anthropic', 'metadata-bridge', spy] }))
    let answer: Response
    try {
      answer = await ask(
        gw.url,
        { model: 'm' },
        {
          'x-thinking-enabled': 'true',
          'x-prefetched-sticky-account-id': 'old-7',
          'x-prefetched-sticky-group-id': '3',
          'x-account-switch-count': 'many',
        },
      )
      assert.deepEqual(told(answer), {
        ...none,
        prefetched_sticky_account_id: 'old-7',
        prefetched_sticky_group_id: '3',
      })
      const sent = upstream.asked[0]?.headers ?? {}
      assert.deepEqual(
        Object.values(fields).filter(({ header }) => sent[header] !== undefined),
        [],
        'no upstream is told',
      )
      // A reload flushes nothing and loses nothing: the counts are shared by the gateways of a process.
      await gw.reload(
        options(upstream.url, { plugins: ['anthropic', 'metadata-bridge', spy], limits: { drain: '1s' } }),
      )
      await ask(gw.url, { model: 'm' }, { 'x-prefetched-sticky-account-id': 'old-7' })
      const day = new Date().toISOString().slice(0, 10)
      const keys = (
        [
          'metadata_reads',
          'metadata_fallback',
          'metadata_fallback_prefetched_sticky_account_id',
          'metadata_fallback_thinking_enabled',
        ] as const
      ).map((counter) => countKey(day, counter))
      const deadline = Date.now() + 10_000
      let counts: (string | null)[] = []
      while (counts[0] !== '2' && Date.now() < deadline) {
        counts = await store!.getMany(keys)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      assert.deepEqual(counts, ['2', '3', '2', null])
    } finally {
      await gw[Symbol.asyncDispose]()
    }
  })

  test('says nothing once it is switched off, and the next reload takes that over', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    await using gw = await gateway(options(upstream.url))
    assert.deepEqual(told(await ask(gw.url, { model: 'm' })), none)
    const off = { 'metadata-bridge': { metadata_bridge_enabled: false } }
    assert.deepEqual(await gw.reload(options(upstream.url, { plugins: ['anthropic', off, 'failover'] })), [])
    assert.deepEqual(told(await ask(gw.url, { model: 'm' })), {})
  })

  test('uses the names it is given', async () => {
    await using upstream = await fakeUpstream(json(200, {}))
    const named = { 'metadata-bridge': { headers: { account_switch_count: 'x-switches' } } }
    await using gw = await gateway(options(upstream.url, { plugins: ['anthropic', named] }))
    const answer = await ask(gw.url, { model: 'm' })
    assert.equal(answer.headers.get('x-switches'), '0')
    assert.equal(answer.headers.get('x-account-switch-count'), null)
  })

  test('is as good as absent where no provider claims the path', async () => {
    await using gw = await gateway({ plugins: ['anthropic', 'metadata-bridge'], upstreams: [] })
    const answer = await fetch(`${gw.url}/nowhere`)
    assert.equal(answer.status, 404)
    assert.deepEqual(told(answer), {})
  })
})

describe('a header of old', () => {
  const rows = [
    ['thinking_enabled', 'true', true],
    ['thinking_enabled', ' 0 ', false],
    ['thinking_enabled', 'yes', null],
    ['account_switch_count', '12', 12],
    ['account_switch_count', '-1', null],
    ['account_switch_count', '99999999999', null],
    ['prefetched_sticky_account_id', 'a-1', 'a-1'],
    ['prefetched_sticky_account_id', '', null],
    ['prefetched_sticky_account_id', 'x'.repeat(257), null],
    ['prefetched_sticky_account_id', 'two words', null],
  ] as const
  for (const [field, text, value] of rows)
    test(`that says ${field}: ${JSON.stringify(text.slice(0, 20))} is read as ${JSON.stringify(value)}`, () =>
      assert.equal(parse(field, text), value))
})
