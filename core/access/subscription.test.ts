import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Balance, Subscribed } from './standing.ts'
import { midnightBefore, validateAndCheckLimits, windows, type Subscription, type Window } from './subscription.ts'

const now = Date.parse('2026-03-10T12:00:00Z')
const hour = 3_600_000
const fresh = (usage: bigint, limit: bigint | null): Window => ({ start: now - hour, usage, limit })
const subscription = (more: Partial<Subscription> = {}): Subscription => ({
  id: 1,
  userId: 1,
  groupId: 1,
  status: 'active',
  expiresAt: now + hour,
  daily: fresh(5n, 10n),
  weekly: fresh(5n, null),
  monthly: fresh(5n, 0n),
  ...more,
})
const code = (more: Partial<Subscription>, spent = 0n) =>
  validateAndCheckLimits(subscription(more), now, spent).denial?.code ?? null

describe('a subscription', () => {
  const rows: [what: string, more: Partial<Subscription>, code: string | null, needsMaintenance: boolean][] = [
    ['within its limits', {}, null, false],
    ['just at its limit', { daily: fresh(10n, 10n) }, null, false],
    ['over its daily limit', { daily: fresh(11n, 10n) }, 'USAGE_LIMIT_EXCEEDED', false],
    ['over its weekly limit', { weekly: fresh(11n, 10n) }, 'USAGE_LIMIT_EXCEEDED', false],
    ['over its monthly limit', { monthly: fresh(11n, 10n) }, 'USAGE_LIMIT_EXCEEDED', false],
    [
      'over a limit in a window that is over',
      { daily: { start: now - windows.daily, usage: 99n, limit: 10n } },
      null,
      true,
    ],
    [
      'over a limit in a window that is nearly over',
      { daily: { start: now - windows.daily + 1, usage: 99n, limit: 10n } },
      'USAGE_LIMIT_EXCEEDED',
      false,
    ],
    [
      'never used',
      { daily: { start: null, usage: 0n, limit: 10n }, weekly: { start: null, usage: 0n, limit: null } },
      null,
      true,
    ],
    ['past its end', { expiresAt: now - 1 }, 'SUBSCRIPTION_INVALID', false],
    ['marked as expired', { status: 'expired' }, 'SUBSCRIPTION_INVALID', false],
    ['suspended', { status: 'suspended' }, 'SUBSCRIPTION_INVALID', false],
  ]
  for (const [what, more, expected, needsMaintenance] of rows)
    test(`${what} is ${expected ?? 'good'}`, () => {
      const validated = validateAndCheckLimits(subscription(more), now)
      assert.equal(validated.denial?.code ?? null, expected)
      assert.equal(validated.needsMaintenance, needsMaintenance)
    })

  test('counts what was spent and promised since it was read', () => {
    assert.equal(code({}, 5n), null)
    assert.equal(code({}, 6n), 'USAGE_LIMIT_EXCEEDED')
    const subscribed = new Subscribed(subscription(), () => {})
    subscribed.reserve(6n)
    assert.equal(subscribed.check(now)?.code, 'USAGE_LIMIT_EXCEEDED')
    subscribed.settle(6n, 2n)
    assert.equal(subscribed.check(now), null)
    subscribed.confirm(2n)
    subscribed.reserve(4n)
    assert.equal(subscribed.check(now)?.code, 'USAGE_LIMIT_EXCEEDED', 'what was confirmed is not in what was read')
  })

  test('tells once per reading that a window has to be begun', () => {
    let told = 0
    const subscribed = new Subscribed(subscription({ daily: { start: null, usage: 0n, limit: null } }), () => told++)
    subscribed.check(now)
    subscribed.check(now)
    assert.equal(told, 1)
    subscribed.read(subscription(), subscribed.version)
    subscribed.check(now)
    assert.equal(told, 1)
  })

  test('begins a window at midnight', () => {
    const midnight = new Date(midnightBefore(now))
    assert.deepEqual([midnight.getHours(), midnight.getMinutes(), midnight.getMilliseconds()], [0, 0, 0])
    assert.ok(now - midnight.getTime() < windows.daily)
  })
})

describe('a balance', () => {
  test('promises no more than there is, and gives back what was not needed', () => {
    const balance = new Balance(1, 10n)
    assert.ok(balance.reserve(6n))
    assert.ok(!balance.reserve(5n))
    assert.ok(balance.reserve(4n))
    assert.equal(balance.check()?.code, 'INSUFFICIENT_BALANCE')
    balance.settle(6n, 1n)
    assert.equal(balance.available, 5n)
    balance.settle(4n, 9n)
    assert.equal(balance.available, 0n)
  })

  test('is never blown up again by a reading that a debit has overtaken', () => {
    const balance = new Balance(1, 10n)
    const version = balance.version
    balance.settle(0n, 4n)
    balance.confirm(4n)
    // It was read before the debit and arrives after it.
    balance.read(10n, version)
    assert.equal(balance.available, 6n)
    balance.read(6n, balance.version)
    assert.equal(balance.available, 6n)
    balance.read(20n, balance.version)
    assert.equal(balance.available, 20n, 'somebody has paid in')
  })
})
