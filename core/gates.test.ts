import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { describeGates } from './commands/gates.ts'
import { flushPrefix } from './commands/sticky.ts'
import { evaluateGates, gateCounters, gateKey, readGateHistory, switches, type GateDay } from './gates.ts'
import { openMemoryStore } from './store/memory.ts'

const [dualWrite, readFallback, bridge] = switches

/** Eight days, the last of which is today; `change` says what differs from a quiet day. */
function history(change: (day: number) => Partial<GateDay> = () => ({}), length = 8): GateDay[] {
  return Array.from({ length }, (_, at) => ({
    day: `2026-03-0${at + 1}`,
    sticky_reads: 5000,
    fallback_total: 3000,
    fallback_hit: 0,
    writes: 4000,
    dual_writes: 4000,
    moves: 3,
    alerts: 0,
    store_errors: 0,
    metadata_reads: 5000,
    metadata_fallback: 0,
    ...change(at),
  }))
}
const onlyOn = (day: number, change: Partial<GateDay>) => history((at) => (at === day ? change : {}))
const verdicts = (days: readonly GateDay[], options = {}) => evaluateGates(days, options).map(({ verdict }) => verdict)
const reasonOf = (days: readonly GateDay[], name: string = dualWrite, options = {}) =>
  evaluateGates(days, options).find((gate) => gate.switch === name)?.reason ?? ''

describe('the gate of the metadata bridge', () => {
  test('holds while headers of old are read, and passes where fewer than one of a thousand exchanges brings any', () => {
    const off = { settings: { session_hash_dual_write_old: false, session_hash_read_old_fallback: false } }
    const quiet = { fallback_total: 0, dual_writes: 0 }
    const old = history((at) => (at === 3 ? { ...quiet, metadata_fallback: 5 } : quiet))
    const older = history((at) => (at === 3 ? { ...quiet, metadata_fallback: 4 } : quiet))
    assert.equal(reasonOf(old, bridge, off), 'on 2026-03-04 5 fields were read from headers of old')
    assert.equal(reasonOf(older, bridge, off), '7 quiet days')
  })
})

describe('a gate', () => {
  test('opens after seven quiet days, for the first switch, and holds the others behind it', () => {
    const gates = evaluateGates(history())
    assert.deepEqual(
      gates.map((gate) => gate.switch),
      switches,
    )
    assert.deepEqual(
      gates.map(({ verdict }) => verdict),
      ['pass', 'hold', 'hold'],
    )
    assert.equal(gates[0]?.reason, '7 quiet days')
    assert.match(gates[1]?.reason ?? '', /session_hash_dual_write_old goes first, and was in use on 2026-03-01/)
    assert.equal(gates[0]?.history.length, 8)
  })

  test('opens for the second when nothing was written under old keys, for the third when none was looked for', () => {
    const written = history(() => ({ dual_writes: 0 }))
    assert.deepEqual(verdicts(written), ['pass', 'pass', 'hold'])
    assert.deepEqual(verdicts(history(() => ({ dual_writes: 0, fallback_total: 0 }))), ['pass', 'pass', 'pass'])
  })

  test('goes by what gateway.yaml says: what is off is done, what is on keeps the next', () => {
    const quiet = history(() => ({ dual_writes: 0, fallback_total: 0 }))
    assert.equal(reasonOf(history(), dualWrite, { settings: { [dualWrite]: false } }), 'it is off already')
    assert.match(reasonOf(quiet, readFallback, { settings: { [dualWrite]: true } }), /goes first, and is on/)
    assert.match(reasonOf(quiet, bridge, { settings: { [readFallback]: true } }), /goes first, and is on/)
    const off = { settings: { [dualWrite]: false, [readFallback]: false, [bridge]: false } }
    assert.deepEqual(verdicts(history(), off), ['pass', 'pass', 'pass'])
  })

  for (const [what, days, reason] of [
    [
      'one in a thousand look-ups finds an old key',
      onlyOn(3, { fallback_hit: 3 }),
      /on 2026-03-04 3 of 3000 .*\(0\.10 %\)/,
    ],
    ['more do', onlyOn(0, { fallback_hit: 1500 }), /\(50\.00 %\)/],
    [
      'old keys were found that were not looked for',
      onlyOn(6, { fallback_total: 0, fallback_hit: 1, dual_writes: 0 }),
      /1 of 0/,
    ],
    ['there was an alert', onlyOn(2, { alerts: 1 }), /2026-03-03 has 1 alert$/],
    ['there is an alert today', onlyOn(7, { alerts: 2 }), /2026-03-08 has 2 alerts/],
    ['a day was not counted', onlyOn(4, { sticky_reads: 0 }), /nothing was counted on 2026-03-05/],
    ['a day says too little', onlyOn(5, { sticky_reads: 99 }), /2026-03-06 has 99 look-ups only/],
    ['old keys were written and not looked for', onlyOn(1, { fallback_total: 0 }), /on 2026-03-02 .* not looked for/],
    ['fewer days are known', history(undefined, 7), /6 of 7 days are known/],
    ['only today is known', history(undefined, 1), /0 of 7 days are known/],
    ['days are no row', history(undefined, 9).toSpliced(4, 1), /the day before 2026-03-06 is not known/],
    ['nothing is known', [], /0 of 7 days are known/],
  ] as const) {
    test(`holds where ${what}`, () => {
      assert.equal(verdicts(days)[0], 'hold')
      assert.match(reasonOf(days), reason)
    })
  }

  test('does not hold for fewer than one in a thousand, nor for what today has not finished', () => {
    assert.equal(verdicts(onlyOn(3, { fallback_hit: 2 }))[0], 'pass')
    assert.equal(verdicts(onlyOn(7, { fallback_hit: 900, sticky_reads: 1 }))[0], 'pass')
  })

  test('looks at as many days and asks for as many look-ups as it is told', () => {
    const days = onlyOn(3, { sticky_reads: 10 })
    assert.equal(verdicts(days, { days: 3 })[0], 'pass')
    assert.equal(verdicts(days, { fewestReads: 10 })[0], 'pass')
  })
})

describe('the history of the gates', () => {
  const now = Date.parse('2026-03-01T00:30:00Z')

  test('is read in one round trip, oldest day first, today last, in UTC', async () => {
    const store = openMemoryStore()
    await store.increment(gateKey('2026-02-28', 'fallback_hit'), 2, 60_000)
    await store.increment(gateKey('2026-03-01', 'alerts'), 1, 60_000)
    await store.set({ key: gateKey('2026-02-27', 'writes'), value: 'not a number', ttl: 60_000 })
    let asked = 0
    const getMany = (keys: readonly string[]) => {
      asked++
      return store.getMany(keys)
    }
    const days = await readGateHistory({ getMany }, { days: 3, now })
    assert.equal(asked, 1)
    assert.deepEqual(
      days.map(({ day }) => day),
      ['2026-02-27', '2026-02-28', '2026-03-01'],
    )
    assert.deepEqual(
      days.map((day) => day.fallback_hit),
      [0, 2, 0],
    )
    assert.deepEqual(
      days.map(({ alerts }) => alerts),
      [0, 0, 1],
    )
    assert.equal(days[0]?.writes, 0)
    assert.deepEqual(Object.keys(days[0] ?? {}), ['day', ...gateCounters])
    await store.close()
  })

  test('is told as text: a line for each switch, a line for each day', () => {
    const lines = describeGates(evaluateGates(history())).split('\n')
    assert.match(lines[0] ?? '', /^session_hash_dual_write_old\s+pass {2}7 quiet days$/)
    assert.match(lines[4] ?? '', /^day\s+sticky_reads\s+fallback_total/)
    assert.match(lines[5] ?? '', /^2026-03-01\s+5000\s+3000\s+0\s+4000\s+0$/)
    assert.equal(lines.length, 3 + 1 + 1 + 8 + 1)
  })
})

describe('what a flush lets go', () => {
  for (const [what, named, prefix] of [
    ['every session', {}, 'sticky_session:'],
    ['a principal’s', { tenant: 'team:{1}' }, 'sticky_session:{team%3A%7B1%7D:'],
    ['an address’s', { tenant: 'address@127.0.0.1' }, 'sticky_session:{address@127.0.0.1:'],
    ['one of a principal’s', { tenant: 'u1', session: 'openai:00ff' }, 'sticky_session:{u1:openai:00ff}'],
    ['one, as the log names it', { session: 'u1:openai:00ff' }, 'sticky_session:{u1:openai:00ff}'],
  ] as const) {
    test(`is ${what}`, () => assert.equal(flushPrefix(named), prefix))
  }
})
