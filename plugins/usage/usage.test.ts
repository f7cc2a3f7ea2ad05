import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { json } from '../../test/fake-upstream.ts'
import { chat, model, scene, until, wallet } from './usage.fixture.ts'

describe('usage', () => {
  test('writes a row for a served exchange, and debits its payer once', async () => {
    await using it = await scene(
      json(200, chat(1000, 50, { model: 'gpt-test-2026-01-01' }), { 'x-request-id': 'req_0123456789abcdef' }),
    )
    const answer = await it.ask(wallet(1, { rateMultiplier: '1.5000' }), undefined, {
      headers: { 'user-agent': 'x'.repeat(600) },
    })
    assert.equal(answer.status, 200)
    await answer.text()
    await until('a row', async () => (await it.rows()).length === 1)
    const [{ id, created_at, duration_ms, ...row } = assert.fail()] = await it.rows()
    assert.ok(typeof duration_ms === 'number' && id !== null && created_at instanceof Date)
    assert.deepEqual(row, {
      request_id: 'req_0123456789abcdef',
      user_id: 1,
      api_key_id: 1,
      account_id: null,
      group_id: null,
      subscription_id: null,
      key_name: 'key 1',
      upstream: 'openai',
      provider: 'openai',
      model,
      input_tokens: 1000,
      output_tokens: 50,
      cache_creation_tokens: 0,
      cache_read_tokens: 0,
      cache_creation_5m_tokens: 0,
      cache_creation_1h_tokens: 0,
      input_cost: '0.0010000000',
      output_cost: '0.0005000000',
      cache_creation_cost: '0.0000000000',
      cache_read_cost: '0.0000000000',
      total_cost: '0.0015000000',
      actual_cost: '0.0022500000',
      rate_multiplier: '1.5000',
      account_rate_multiplier: null,
      billing_type: 0,
      request_type: 1,
      outcome: 'completed',
      usage_source: 'final',
      priced_as: 'gpt-test',
      served_model: 'gpt-test-2026-01-01',
      status_code: 200,
      first_token_ms: null,
      reasoning_effort: null,
      user_agent: 'x'.repeat(512),
      ip_address: '127.0.0.1',
    })
    assert.equal(await it.balanceOf(1), '9.9977500000')
    assert.equal(await it.balanceOf(2), '10.0000000000')
  })
})
