import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { RetryBudget } from './budget.ts'
import { Health } from './health.ts'
import { fnv1a, isFarWorse, rank, type Contender } from './rank.ts'

const contender = (upstream: string, known: Partial<Contender<string>> = {}): Contender<string> => ({
  upstream,
  id: upstream,
  priority: 0,
  load: 0,
  errors: 0,
  pace: null,
  usedAt: 0,
  illness: 0,
  score: 0,
  lot: 0,
  parts: null,
  ...known,
})
const choice = { session: null, entropy: 1, chooseFrom: 7, explains: false }

/** How often each is the first of a thousand draws. */
function shares(make: () => Contender<string>[], more: Partial<typeof choice> = {}): Map<string, number> {
  const counts = new Map<string, number>()
  for (let entropy = 0; entropy < 1000; entropy++) {
    const [first] = rank(make(), { ...choice, entropy: Math.imul(entropy, 0x9e3779b9), ...more })
    counts.set(first!.upstream, (counts.get(first!.upstream) ?? 0) + 1)
  }
  return counts
}

describe('the order', () => {
  test('is that of priority before everything that a score can say', () => {
    const ranked = rank(
      [contender('b', { priority: 2 }), contender('a', { priority: 1, errors: 1, pace: 9000 })],
      choice,
    )
    assert.deepEqual(
      ranked.map(({ upstream }) => upstream),
      ['a', 'b'],
    )
  })

  test('puts those that are not well behind the others, and the full ones last', () => {
    const ranked = rank(
      [
        contender('full', { load: 1.2 }),
        contender('sick', { illness: 2 }),
        contender('tried', { illness: 1 }),
        contender('late', { priority: 9 }),
      ],
      choice,
    )
    assert.deepEqual(
      ranked.map(({ upstream }) => upstream),
      ['late', 'tried', 'sick', 'full'],
    )
  })

  test('is among equals each one’s turn as often', () => {
    const counts = shares(() => ['a', 'b', 'c', 'd'].map((name) => contender(name)))
    for (const count of counts.values()) assert.ok(count > 200 && count < 300, `${count} of 1000`)
    assert.equal(counts.size, 4)
  })

  for (const [what, worse] of Object.entries({
    'is busy': { load: 0.9 },
    'fails often': { errors: 0.8 },
    'is slow to begin': { pace: 4000 },
  })) {
    test(`rarely begins with one that ${what}`, () => {
      const counts = shares(() => [contender('good', { pace: 400 }), contender('bad', { pace: 400, ...worse })])
      assert.ok(counts.get('good')! > 720, `${counts.get('good')} of 1000`)
      assert.ok(counts.get('bad')! > 10, 'but now and then, to see whether it is better')
    })
  }

  test('hardly tells 100 ms from 110 ms', () => {
    const counts = shares(() => [contender('a', { pace: 100 }), contender('b', { pace: 110 })])
    assert.ok(counts.get('b')! > 400)
  })

  test('prefers the one that was asked longest ago', () => {
    const counts = shares(() => [contender('old', { usedAt: 10 }), contender('new', { usedAt: 9000 })])
    assert.ok(counts.get('old')! > 580)
  })

  test('takes one of the best, however many there are', () => {
    const make = () => Array.from({ length: 50 }, (_, at) => contender(`u${at}`, { errors: at / 50 }))
    for (const name of shares(make, { chooseFrom: 3 }).keys()) assert.match(name, /^u[012]$/)
  })

  test('is told in parts if somebody asks', () => {
    const [only] = rank([contender('a', { load: 0.25, errors: 0.5 })], { ...choice, explains: true })
    assert.deepEqual(only?.parts, { load: 0.75, errors: 0.4, pace: 0.5, idle: 0 })
    assert.ok(Math.abs(only.score - 1.65) < 1e-9)
  })

  test('has everyone in it exactly once, whatever is known', () => {
    const known = fc.record({
      priority: fc.integer({ min: 0, max: 3 }),
      load: fc.double({ min: 0, max: 5, noNaN: true }),
      errors: fc.double({ min: 0, max: 1, noNaN: true }),
      pace: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true })),
      usedAt: fc.nat(),
      illness: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
    })
    const choices = fc.record({
      session: fc.option(fc.string()),
      entropy: fc.integer(),
      chooseFrom: fc.integer({ min: 1, max: 9 }),
      explains: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(known, { maxLength: 30 }), choices, (all, choice) => {
        const ranked = rank(
          all.map((one, at) => contender(`u${at}`, one)),
          choice,
        )
        assert.equal(new Set(ranked.map(({ upstream }) => upstream)).size, all.length)
        const group = ({ load, illness, priority }: Contender<string>) => (load >= 1 ? 3 : illness) * 10 + priority
        for (const [at, one] of ranked.entries()) if (at > 0) assert.ok(group(ranked[at - 1]!) <= group(one))
      }),
    )
  })
})

describe('a session', () => {
  const names = ['a', 'b', 'c', 'd', 'e']
  const firstFor = (session: string, among: readonly string[] = names) =>
    rank(
      among.map((name) => contender(name)),
      { ...choice, session, entropy: Math.floor(Math.random() * 2 ** 31) },
    )[0]!.upstream

  test('is drawn to the same upstream each time, and sessions are spread over all', () => {
    const counts = new Map<string, number>()
    for (let at = 0; at < 1000; at++) {
      const first = firstFor(`session-${at}`)
      assert.equal(firstFor(`session-${at}`), first)
      counts.set(first, (counts.get(first) ?? 0) + 1)
    }
    for (const name of names) assert.ok(counts.get(name)! > 140, `${name}: ${counts.get(name)} of 1000`)
  })

  test('moves only if its own upstream has gone', () => {
    for (let at = 0; at < 500; at++) {
      const first = firstFor(`session-${at}`)
      const without = names.filter((name) => name !== 'c')
      if (first !== 'c') assert.equal(firstFor(`session-${at}`, without), first)
    }
  })

  test('is hashed as FNV-1a says', () => {
    // http://www.isthe.com/chongo/tech/comp/fnv/ has these.
    assert.equal(fnv1a('', 0x811c9dc5), 0x811c9dc5)
    assert.equal(fnv1a('a', 0x811c9dc5), 0xe40c292c)
    assert.equal(fnv1a('foobar', 0x811c9dc5), 0xbf9cf968)
  })
})

describe('a session leaves its upstream', () => {
  const peer = contender('peer', { pace: 800 })
  const cases: readonly (readonly [string, Partial<Contender<string>>, Partial<Contender<string>>, boolean])[] = [
    ['that begins after four seconds, where a peer needs less than one', { pace: 4000 }, {}, true],
    ['that fails every other time, where a peer does not', { errors: 0.5 }, {}, true],
    ['not for one that is a little faster', { pace: 2000 }, {}, false],
    ['not where all are slow', { pace: 4000 }, { pace: 3000 }, false],
    ['not where all fail', { errors: 0.6 }, { errors: 0.5 }, false],
    ['not for a fast one that fails', { pace: 4000 }, { errors: 0.3 }, false],
    ['not for one that is full', { errors: 0.9 }, { load: 1 }, false],
    ['not for one that is not well', { errors: 0.9 }, { illness: 2 }, false],
    ['not where nothing is known', {}, { pace: null }, false],
  ]
  for (const [what, own, other, leaves] of cases) {
    test(what, () => {
      const home = contender('home', { pace: 900, ...own })
      assert.equal(isFarWorse(home, [home, { ...peer, ...other }]), leaves)
    })
  }
})

describe('an average', () => {
  test('moves a fifth of the way with each result', () => {
    const health = new Health()
    health.note(true, 1000)
    assert.ok(Math.abs(health.errors(1000) - 0.2) < 1e-9)
    health.note(true, 1000)
    assert.ok(Math.abs(health.errors(1000) - 0.36) < 1e-9)
    health.note(false, 1000)
    assert.ok(Math.abs(health.errors(1000) - 0.288) < 1e-9)
    assert.equal(health.results(1000), 3)
  })

  test('has lost half of its say after five minutes', () => {
    const health = new Health()
    health.note(true, 1000)
    assert.ok(Math.abs(health.errors(301_000) - 0.1) < 1e-9)
    assert.ok(Math.abs(health.results(301_000) - 0.5) < 1e-9)
  })

  test('of the pace begins with the first answer, tells streams from whole answers, and is forgotten', () => {
    const health = new Health()
    assert.equal(health.pace(true, 0), null)
    health.notePace(true, 1000, 0)
    health.notePace(true, 2000, 0)
    assert.equal(health.pace(true, 1), 1200)
    assert.equal(health.pace(false, 1), null)
    assert.equal(health.pace(true, 600_001), null)
  })
})

describe('a retry budget', () => {
  test('allows a share of the exchanges', () => {
    const budget = new RetryBudget(0.2, 0, 0)
    let taken = 0
    for (let at = 0; at < 1000; at++) {
      budget.deposit()
      if (budget.take(at)) taken++
    }
    assert.equal(taken, 200)
  })

  test('allows a few a second whatever the traffic, and saves up ten seconds of them', () => {
    const budget = new RetryBudget(0, 3, 0)
    const take = (now: number) => {
      let taken = 0
      while (budget.take(now)) taken++
      return taken
    }
    assert.equal(take(0), 30)
    assert.equal(take(0), 0)
    assert.equal(take(2000), 6)
    assert.equal(take(3_600_000), 30)
  })

  test('can be given other figures', () => {
    const budget = new RetryBudget(0, 3, 0)
    budget.limitTo(0, 0)
    assert.equal(budget.take(60_000), true, 'one that was saved up')
    assert.equal(budget.take(60_000), false)
  })
})
