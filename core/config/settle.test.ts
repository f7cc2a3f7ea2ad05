import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { JSONSchema } from 'json-schema-to-ts'
import { Secret } from '../plugin.ts'
import { settle } from './settle.ts'

const duration = { type: 'string', format: 'duration' } as const

describe('a settled value', () => {
  const rows: readonly (readonly [string, JSONSchema, unknown, unknown])[] = [
    ['is a number where it was a duration', duration, '2s', 2000],
    ['stays what it is without a schema', true, { a: ['1s'] }, { a: ['1s'] }],
    ['is settled in lists', { items: duration }, ['1s', '2s'], [1000, 2000]],
    ['is settled in maps with any keys', { additionalProperties: duration }, { a: '1s' }, { a: 1000 }],
    [
      'is settled under keys of a pattern',
      { patternProperties: { '^t_': duration } },
      { t_a: '1s', b: '1s' },
      { t_a: 1000, b: '1s' },
    ],
    [
      'is settled by all of several schemas',
      { allOf: [{ properties: { a: duration } }, { properties: { b: duration } }] },
      { a: '1s', b: '2s' },
      { a: 1000, b: 2000 },
    ],
    ['is settled by the branch it fits', { anyOf: [{ type: 'number' }, duration] }, '1s', 1000],
    [
      'is settled by the schema around its branches as well',
      { properties: { a: duration }, anyOf: [{ required: ['a'] }, { required: ['b'] }] },
      { a: '1s' },
      { a: 1000 },
    ],
    [
      'is settled once where both know it',
      { properties: { a: duration }, anyOf: [{ properties: { a: duration } }] },
      { a: '1s' },
      { a: 1000 },
    ],
    ['has its defaults in the same form', { properties: { a: { ...duration, default: '3s' } } }, {}, { a: 3000 }],
    ['has no default in place of a value', { properties: { a: { default: 1 } } }, { a: null }, { a: null }],
    [
      'has the defaults of a map that is a default',
      { properties: { a: { default: {}, properties: { b: { default: 1 } } } } },
      {},
      { a: { b: 1 } },
    ],
    [
      'lacks a map that is not there, and the defaults in it',
      { properties: { a: { properties: { b: { default: 1 } } } } },
      {},
      {},
    ],
  ]
  for (const [title, schema, value, expected] of rows) {
    test(title, () => assert.deepEqual(settle(schema, value), expected))
  }

  test('is a secret where it was one', () => {
    const secret = settle({ type: 'string', format: 'secret' }, 'x')
    assert.ok(secret instanceof Secret && secret.reveal() === 'x')
  })

  test('is a new one, frozen, and the old one is as it was', () => {
    const value = { list: [{ a: 1 }] }
    const settled = settle(true, value)
    assert.deepEqual(settled, value)
    assert.notEqual(settled, value)
    assert.ok(Object.isFrozen(settled) && !Object.isFrozen(value) && !Object.isFrozen(value.list))
  })
})
