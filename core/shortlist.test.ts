import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Upstream } from './result.ts'
import { shortlist } from './shortlist.ts'

const many = (count: number, priorityOf: (at: number) => number = () => 1) =>
  Array.from({ length: count }, (_, at) => ({ name: `u${at}`, priority: priorityOf(at) }) as Upstream) // nobody looks at more
const seeds = Array.from({ length: 2000 }, (_, at) => `exchange-${at}`)
const names = (list: readonly Upstream[]) => list.map(({ name }) => name)

describe('a shortlist', () => {
  test('of few is the list itself', () => {
    for (const count of [0, 1, 2, 31, 32]) {
      const all = many(count)
      assert.equal(shortlist(all, 'seed'), all)
    }
  })

  test('of many has 32 of them, each once, the first one always', () => {
    for (const count of [33, 34, 63, 64, 100, 10_000]) {
      const all = many(count)
      for (const seed of seeds.slice(0, 50)) {
        const some = shortlist(all, seed)
        assert.equal(some.length, 32)
        assert.equal(new Set(some).size, 32)
        assert.equal(some[0], all[0])
        assert.ok(some.every((one) => all.includes(one)))
      }
    }
  })

  test('leaves nobody out for ever', () => {
    const found = new Set(seeds.flatMap((seed) => names(shortlist(many(1000), seed))))
    assert.equal(found.size, 1000)
  })

  test('is spread evenly', () => {
    const times = new Map<string, number>()
    for (const seed of seeds)
      for (const name of names(shortlist(many(200), seed)).slice(1)) times.set(name, (times.get(name) ?? 0) + 1)
    const counts = [...times.values()]
    // 31 places for 199, two thousand times: 312 each on the average.
    assert.ok(
      Math.min(...counts) > 200 && Math.max(...counts) < 450,
      `${Math.min(...counts)} to ${Math.max(...counts)}`,
    )
  })

  test('has none of a worse priority where there are enough of a better one', () => {
    const all = many(1000, (at) => (at < 100 ? 1 : 2))
    for (const seed of seeds.slice(0, 100)) assert.ok(shortlist(all, seed).every(({ priority }) => priority === 1))
  })

  test('has all of the best priority where these are few, and others of the next, not always the same', () => {
    const all = many(1000, (at) => (at < 10 ? 1 : 2))
    const lists = seeds.slice(0, 100).map((seed) => shortlist(all, seed))
    for (const some of lists) assert.deepEqual(some.slice(0, 10), all.slice(0, 10))
    assert.ok(new Set(lists.map((some) => some[10])).size > 50)
  })

  test('keeps the one that was put first, though its priority is worse', () => {
    const all = many(100, (at) => (at === 0 ? 9 : 1))
    const [first, ...others] = shortlist(all, 'seed')
    assert.equal(first?.priority, 9)
    assert.ok(others.every(({ priority }) => priority === 1))
  })

  test('is the same for the same seed, and nearly the same when a candidate has come', () => {
    const before = many(1000)
    const after = before.toSpliced(500, 0, { name: 'new', priority: 1 } as Upstream) // as above
    for (const seed of seeds.slice(0, 200)) {
      assert.deepEqual(shortlist(before, seed), shortlist(before, seed))
      const known = new Set(names(shortlist(before, seed)))
      const strangers = names(shortlist(after, seed)).filter((name) => !known.has(name))
      assert.ok(strangers.length <= 2, `${strangers.length} others`)
    }
  })

  test('ends where the list is in no order', () => {
    const all = many(500, (at) => at % 7)
    for (const seed of seeds.slice(0, 50)) assert.equal(new Set(shortlist(all, seed)).size, 32)
  })
})
