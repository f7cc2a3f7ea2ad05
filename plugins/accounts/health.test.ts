import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Secret, type Result } from 'postern/plugin'
import { judgeByStatus } from 'postern/provider'
import { changeOf, merged, type Change } from './health.ts'
import type { Account } from './roster.ts'
import { readRules, ruleFor } from './rules.ts'
import { routerOf } from './routes.ts'

const now = 1_800_000_000_000
const options = { refused: [401, 402, 403], limit: 10_000, overload: 30_000, overload_longest: 600_000 }

const account = (more: Partial<Account> = {}, key: Secret | null = new Secret('k')): Account => ({
  id: 1,
  upstream: { name: 'account:1', provider: 'openai', url: null, key, models: null, priority: 1, slots: null },
  sealed: Buffer.from('sealed'),
  groups: null,
  expiresAt: Number.POSITIVE_INFINITY,
  rest: null,
  modelRests: null,
  rules: [],
  ...more,
})

function answer(status: number, text = '', headers = {}): Result {
  const body = Buffer.from(text)
  return {
    kind: 'response',
    status,
    headers,
    body,
    ms: 1,
    judgement: judgeByStatus({ kind: 'response', status, headers, body }),
  }
}
/** What is told, but for the moment. */
function change(result: Result, one = account(), model: string | null = 'm'): Omit<Change, 'sentAt'> | null {
  const whole = changeOf(result, one, model, options, now)
  if (whole === null) return null
  const { sentAt, ...told } = whole
  assert.equal(sentAt, now - 1)
  return told
}

describe('what an answer says of an account', () => {
  test('a refused credential sets it aside, with the words of the upstream but without any key in them', () => {
    for (const status of [401, 402, 403]) {
      const text = JSON.stringify({
        error: { message: 'Incorrect API key provided: sk-abcdefghijklmnopqrstuvwxyz012345' },
      })
      const { refused } = change(answer(status, text)) ?? {}
      assert.match(refused?.message ?? '', new RegExp(`^${status} Incorrect API key provided`))
      assert.doesNotMatch(refused?.message ?? '', /abcdefghijklmnop/)
      assert.deepEqual(refused?.sealed, Buffer.from('sealed'))
    }
    assert.match(change(answer(400, 'This organization has been disabled.'))?.refused?.message ?? '', /^400 This organ/)
    assert.ok((change(answer(401, 'x'.repeat(4000)))?.refused?.message.length ?? 0) <= 500)
  })

  test('what is not permitted to this request alone does not', () => {
    assert.equal(change(answer(403, '{"error":{"type":"permission_error","message":"no"}}')), null)
    assert.equal(change(answer(401, 'You have insufficient permissions. Missing scopes: model.request')), null)
    assert.equal(change(answer(400, 'bad')), null)
    assert.equal(change(answer(404)), null)
    assert.equal(change(answer(500)), null)
    assert.equal(change(answer(200)), null)
  })

  test('a limit lets it rest as long as the answer says, or a little where it says nothing', () => {
    assert.deepEqual(change(answer(429, '', { 'retry-after': '120' })), { limitedUntil: now + 120_000 })
    assert.deepEqual(change(answer(429)), { limitedUntil: now + 10_000 })
  })

  test('a limit on one model is one of that model', () => {
    const limited: Result = {
      kind: 'response',
      status: 429,
      headers: {},
      body: null,
      ms: 1,
      judgement: { rest: 60, scope: 'model' },
    }
    assert.deepEqual(change(limited), { modelLimits: new Map([['m', now + 60_000]]) })
    assert.deepEqual(change(limited, account(), null), { limitedUntil: now + 60_000 })
    for (const model of ['x'.repeat(201), 'a\0'])
      assert.deepEqual(change(limited, account(), model), { limitedUntil: now + 60_000 })
  })

  test('an overload lets it rest, not longer than is believed', () => {
    assert.deepEqual(change(answer(529)), { overloadedUntil: now + 30_000 })
    assert.deepEqual(change(answer(529, '', { 'retry-after': '9000' })), { overloadedUntil: now + 600_000 })
  })

  test('what became of the client’s own credential says nothing of it', () => {
    for (const status of [401, 403, 429]) assert.equal(change(answer(status), account({}, null)), null)
  })

  test('a failure of the network is not for the database', () => {
    const error = Object.assign(new Error('x'), { code: 'ECONNRESET' })
    assert.equal(change({ kind: 'failure', error, judgement: 'elsewhere', ms: 1 }), null)
  })

  test('its own rules come first, but for a refused credential', () => {
    const rules = readRules([{ error_code: 429, keywords: ['Daily'], duration_minutes: 60, description: 'spent' }])
    const one = account({ rules })
    assert.deepEqual(change(answer(429, 'DAILY limit'), one), {
      paused: { until: now + 3_600_000, reason: '429 spent' },
    })
    assert.deepEqual(change(answer(429, 'other'), one), { limitedUntil: now + 10_000 })
    const refused = readRules([{ error_code: 401, keywords: ['x'], duration_minutes: 1 }])
    assert.ok(change(answer(401, 'x'), account({ rules: refused }))?.refused)
  })

  test('of two changes that wait, each rest keeps its later end', () => {
    const one: Change = {
      sentAt: 1,
      limitedUntil: 5,
      paused: { until: 9, reason: 'long' },
      modelLimits: new Map([['a', 3]]),
    }
    const other: Change = {
      sentAt: 2,
      limitedUntil: 4,
      overloadedUntil: 7,
      paused: { until: 8, reason: 'short' },
      modelLimits: new Map([
        ['a', 2],
        ['b', 1],
      ]),
    }
    const both = {
      sentAt: 1,
      limitedUntil: 5,
      overloadedUntil: 7,
      paused: { until: 9, reason: 'long' },
      modelLimits: new Map([
        ['a', 3],
        ['b', 1],
      ]),
      refused: undefined,
    }
    assert.deepEqual(merged(one, other), both)
    assert.deepEqual(merged(other, one), both)
  })
})

test('of limits on very many models those that last longest are kept', () => {
  const limits = (from: number) => new Map(Array.from({ length: 150 }, (_, at) => [`m${from + at}`, from + at]))
  const { modelLimits } = merged({ sentAt: 1, modelLimits: limits(0) }, { sentAt: 1, modelLimits: limits(150) })
  assert.equal(modelLimits?.size, 200)
  assert.deepEqual([modelLimits?.has('m99'), modelLimits?.has('m100')], [false, true])
})

describe('an account’s rules', () => {
  test('are met by status and any of their words, however they are written', () => {
    const rules = readRules([
      { error_code: 503, keywords: ['at Capacity', 'busy'], duration_minutes: 5 },
      { error_code: 503, keywords: ['gone'], duration_minutes: 0.5, description: 'second' },
    ])
    assert.equal(ruleFor(rules, 503, Buffer.from('We are AT CAPACITY.'))?.duration, 300_000)
    assert.equal(ruleFor(rules, 503, Buffer.from('Gone'))?.description, 'second')
    assert.equal(ruleFor(rules, 500, Buffer.from('busy')), null)
    assert.equal(ruleFor(rules, 503, null), null)
    assert.equal(ruleFor(rules, 503, Buffer.from(`${' '.repeat(64 * 1024)}busy`)), null, 'beyond what is looked at')
  })

  test('that are none are left out', () => {
    const broken = [null, 1, {}, { error_code: '503', keywords: ['x'], duration_minutes: 1 }]
    const empty = [
      { error_code: 503, keywords: [], duration_minutes: 1 },
      { error_code: 503, keywords: ['x'], duration_minutes: 0 },
    ]
    assert.deepEqual(readRules([...broken, ...empty]), [])
    assert.deepEqual(readRules('x'), [])
    assert.equal(
      readRules(Array.from({ length: 60 }, () => ({ error_code: 1, keywords: ['x'], duration_minutes: 1e9 }))).length,
      50,
    )
  })
})

describe('routes', () => {
  test('that lead nowhere are none', () => {
    assert.equal(routerOf(undefined), null)
    assert.equal(routerOf({ 'a*': [], b: 'x' }), null)
    assert.deepEqual(routerOf({ '*': [1, 2, 'x'] })?.accountsFor('anything'), new Set([1, 2]))
    assert.equal(routerOf({ a: [1] })?.accountsFor('b'), null)
  })
})
