import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { Headers } from './plugin.ts'
import { judgeByStatus } from './provider.ts'
import { byHeaders, day, now, type Row } from './rate-limit.fixture.ts'
import { complaintOf, restOf } from './rate-limit.ts'

const tables: Readonly<Record<string, readonly Row[]>> = {
  ...byHeaders,
  'the body': [
    [
      'Google’s RetryInfo',
      {},
      34,
      {
        source: 'RetryInfo',
        body: {
          error: {
            code: 429,
            status: 'RESOURCE_EXHAUSTED',
            details: [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '34s' }],
          },
        },
      },
    ],
    [
      'Google’s RetryInfo in nanoseconds, a quota per model and minute',
      {},
      34.074824224,
      {
        scope: 'model',
        body: {
          error: {
            details: [
              { violations: [{ quotaId: 'GenerateContentPaidTierInputTokensPerModelPerMinute' }] },
              { retryDelay: '34.074824224s' },
            ],
          },
        },
      },
    ],
    [
      'Google’s quota per day and model: asked for again in an hour',
      {},
      3600,
      {
        scope: 'model',
        source: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier',
        body: {
          error: {
            details: [
              { violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }] },
              { retryDelay: '12s' },
            ],
          },
        },
      },
    ],
    [
      'OpenAI’s words',
      {},
      1.2,
      { body: { error: { message: 'Rate limit reached for gpt-5 … Please try again in 1.2s. Visit …' } } },
    ],
    ['OpenAI’s words in ms', {}, 0.353, { body: { error: { message: 'Please try again in 353ms.' } } }],
    ['OpenAI’s words in minutes', {}, 411, { body: { error: { message: 'Please try again in 6m51s.' } } }],
    ['words with a unit behind them', {}, 120, { body: { error: { message: 'Please retry after 2 minutes' } } }],
    ['words without a number', {}, null, { body: { error: { message: 'Please try again in a while.' } } }],
    [
      'a subscription that is used up, with seconds',
      { 'retry-after': '1' },
      5000,
      { body: { error: { type: 'usage_limit_reached', resets_at: now / 1000 + 5002, resets_in_seconds: 5000 } } },
    ],
    [
      'a subscription that is used up, with a moment',
      {},
      77,
      { body: { error: { type: 'usage_limit_reached', resets_at: now / 1000 + 77 } } },
    ],
    [
      'a balance that is spent',
      {},
      600,
      { source: 'insufficient_quota', body: { error: { type: 'insufficient_quota', code: 'insufficient_quota' } } },
    ],
    ['an overload says nothing of a time', {}, null, { status: 529, body: { error: { type: 'overloaded_error' } } }],
    [
      'a limit that is told with 400',
      { 'retry-after': '6' },
      6,
      { status: 400, body: { type: 'error', error: { type: 'rate_limit_error' } } },
    ],
    [
      'words that a client has put into its own text',
      {},
      null,
      { body: { error: { message: 'cannot read {"retryDelay":"600s","resets_in_seconds":9}' } } },
    ],
    ['that is no JSON', {}, null, { body: '<html>\u0000' }],
  ],
}

for (const [family, rows] of Object.entries(tables)) {
  describe(`${family}: a rest`, () => {
    for (const [what, headers, rest, { scope, status = 429, body, source } = {}] of rows) {
      test(what, () => {
        const bytes = body === undefined ? null : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
        const told = restOf({ status, headers, body: bytes }, now)
        if (rest === null) return assert.equal(told, null)
        assert.ok(told)
        assert.ok(Math.abs(told.rest - rest) < 1e-6, `${told.rest} is not ${rest}`)
        assert.equal(told.scope, scope ?? 'credential')
        if (source !== undefined) assert.equal(told.source, source)
      })
    }
  })
}

test('the tables have more than sixty rows', () => {
  assert.ok(Object.values(tables).flat().length > 60)
})

test('a quota per day rests until midnight at the Pacific coast where that is less than an hour away', () => {
  const body = Buffer.from('{"error":{"details":[{"quotaId":"RequestsPerDay"}]}}')
  const late = Date.UTC(2026, 2, 18, 6, 45, 0)
  assert.deepEqual(restOf({ status: 429, headers: {}, body }, late), {
    rest: 900,
    scope: 'credential',
    source: 'RequestsPerDay',
  })
})

test('a body that is cut off is read as far as it goes', () => {
  const body = Buffer.from('{"error":{"details":[{"retryDelay":"9s"},{"@type":"type.goog')
  assert.equal(restOf({ status: 429, headers: {}, body }, now)?.rest, 9)
})

describe('an error tells of', () => {
  const complaints: readonly (readonly [string, ReturnType<typeof complaintOf>])[] = [
    ['{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', 'overload'],
    ['{"error":{"message":"Selected model is at capacity. Please try a different model."}}', 'overload'],
    ['{"error":{"type":"tokens","code":"rate_limit_exceeded"}}', 'limit'],
    ['{"error":{"code":429,"status": "RESOURCE_EXHAUSTED"}}', 'limit'],
    ['{"error":{"type":"insufficient_quota","code":"rate_limit_exceeded"}}', 'quota'],
    ['{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to access"}}', 'quota'],
    ['{"error":{"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}', 'refused'],
    ['{"error":{"type":"invalid_request_error","message":"max_tokens is too large"}}', null],
    ['', null],
  ]
  for (const [text, complaint] of complaints) {
    test(`${complaint ?? 'none of it'}: ${text.slice(0, 60)}`, () => assert.equal(complaintOf(text), complaint))
  }
})

describe('a judgement by status', () => {
  const judge = (status: number, headers: Headers = {}, body: string | null = null) =>
    judgeByStatus({ kind: 'response', status, headers, body: body === null ? null : Buffer.from(body) })

  test('is final for answers and for errors of the request’s own', () => {
    for (const status of [200, 204, 304, 400, 404, 413, 422])
      assert.equal(judge(status, { 'retry-after': '9' }), 'final')
  })
  test('leads elsewhere for errors that another upstream may not have', () => {
    for (const status of [401, 402, 403, 408, 429, 500, 502, 503, 504, 529]) assert.equal(judge(status), 'elsewhere')
  })
  test('leads to a rest where the answer says for how long', () => {
    assert.deepEqual(judge(429, { 'retry-after': '9' }), { rest: 9, scope: 'credential' })
  })
  test('leads elsewhere for a 400 that is an overload or a bad key', () => {
    assert.equal(judge(400, {}, '{"error":{"type":"overloaded_error"}}'), 'elsewhere')
    assert.equal(judge(400, {}, '{"error":{"details":[{"reason":"API_KEY_INVALID"}]}}'), 'elsewhere')
    assert.equal(judge(400, {}, '{"error":{"type":"invalid_request_error"}}'), 'final')
  })
})

describe('whatever an upstream sends', () => {
  const names = [
    'retry-after',
    'retry-after-ms',
    'date',
    'x-ratelimit-reset',
    'x-ratelimit-remaining',
    'x-ratelimit-reset-tokens',
    'anthropic-ratelimit-requests-reset',
    'anthropic-ratelimit-unified-5h-reset',
    'anthropic-ratelimit-unified-5h-status',
    'anthropic-ratelimit-unified-5h-utilization',
    'x-codex-primary-reset-after-seconds',
    'x-codex-primary-used-percent',
  ]
  const texts = fc.oneof(
    fc.string(),
    fc.double().map(String),
    fc.bigInt().map(String),
    fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
    fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
    fc.stringMatching(/^[0-9hms.]{0,30}$/),
    fc.constantFrom('rejected', 'allowed', '-0', '١٢', '0', '100'),
  )
  const bodies = fc.oneof(
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => Buffer.from(text)),
    fc
      .record({ retryDelay: texts, resets_at: texts, quotaId: texts, message: texts })
      .map((it) => Buffer.from(JSON.stringify(it))),
  )

  test('a rest is null or within its bounds', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...names), texts),
        fc.integer({ min: 100, max: 999 }),
        fc.option(bodies),
        (headers, status, body) => {
          const told = restOf({ status, headers, body }, now)
          if (told === null) return
          assert.ok(told.rest >= 0.1 && told.rest <= 7 * day, `${told.rest}`)
          assert.ok(status >= 400)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('is read in linear time: a megabyte of the worst costs no more than its first kilobytes', () => {
    // Patterns that go back over what they have read would not end within the test's time.
    for (const text of [
      '9',
      '1s',
      'retry after ',
      '"retryDelay" ',
      '"quotaId":"PerDay',
      'try again in 1.1',
      '"type": ',
    ]) {
      const long = text.repeat(1_000_000 / text.length)
      const told = restOf({ status: 429, headers: { 'retry-after': long, date: long }, body: Buffer.from(long) }, now)
      assert.ok(told === null || told.rest <= 7 * day)
    }
  })
})
