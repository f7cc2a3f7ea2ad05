/** Rows of usage for tests that bill without a gateway. */
import { ownName, type UsageRow } from './row.ts'

/** A row of user 1, who pays from a wallet. The total is what is charged, unless the test says otherwise. */
export function rowFor(more: Partial<UsageRow> = {}): UsageRow {
  const id = ownName()
  return {
    id,
    request_id: id,
    at: Date.now(),
    user_id: 1,
    api_key_id: 1,
    group_id: null,
    account_id: null,
    key_name: 'key 1',
    upstream: 'o',
    provider: 'openai',
    model: 'gpt-test',
    served_model: null,
    priced_as: 'gpt-test',
    input_tokens: 10,
    output_tokens: 5,
    cache_read_tokens: 3,
    cache_creation_5m_tokens: 2,
    cache_creation_1h_tokens: 1,
    input_cost: '0',
    output_cost: '0',
    cache_read_cost: '0',
    cache_creation_cost: '0',
    total_cost: more.actual_cost ?? '0',
    actual_cost: '0',
    rate_multiplier: '1.0000',
    billing: 'balance',
    stream: false,
    outcome: 'completed',
    usage_source: 'final',
    status_code: 200,
    duration_ms: 10,
    first_token_ms: null,
    user_agent: null,
    ip_address: '192.0.2.1',
    ...more,
  }
}
