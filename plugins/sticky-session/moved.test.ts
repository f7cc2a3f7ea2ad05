import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { moved } from './moved.ts'

describe('a list in which one has moved up', () => {
  for (const length of [5, 32, 33, 1000]) {
    test(`is as a copy would be, of ${length}`, () => {
      const list = Object.freeze(Array.from({ length }, (_, at) => `u${at}`))
      for (const [from, to] of [
        [length - 1, 0],
        [3, 1],
        [4, 3],
        [2, 2],
        [0, 0],
      ] as const) {
        const copy = [...list]
        copy.splice(to, 0, ...copy.splice(from, 1))
        const found = moved(list, from, to)
        assert.equal(found.length, length)
        assert.deepEqual([...found], copy)
        assert.deepEqual(found, copy)
        assert.deepEqual(Object.entries(found), Object.entries(copy))
        assert.equal(JSON.stringify(found), JSON.stringify(copy))
        assert.deepEqual(found.toSorted(), copy.toSorted())
        assert.deepEqual(
          found.map((one) => one),
          copy,
        )
        assert.deepEqual(
          found.filter((one) => one.endsWith('3')),
          copy.filter((one) => one.endsWith('3')),
        )
        assert.deepEqual(found.slice(1, 4), copy.slice(1, 4))
        assert.deepEqual([list[0]!].concat(found), [list[0]!, ...copy])
        assert.deepEqual(
          [found.indexOf('u3'), found.includes('u4'), found.at(-1)],
          [copy.indexOf('u3'), true, copy.at(-1)],
        )
        assert.equal(
          found.find((one) => one === `u${length - 1}`),
          `u${length - 1}`,
        )
        assert.equal(found[length], undefined)
        assert.ok(Array.isArray(found))
      }
    })
  }
})
