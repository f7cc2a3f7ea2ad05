import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import type { JSONSchema } from 'json-schema-to-ts'
import { runs } from '../../test/runs.ts'
import { pluginSource } from '../plugins.ts'
import { lenient, strict } from './ajv.ts'
import { accepts } from './mistakes.ts'
import { holds, isPlain } from './plain.ts'
import { coreSchema } from './schema.ts'

const whole: Readonly<Record<string, JSONSchema>> = { 'the gateway': coreSchema }
const shipped = Object.fromEntries(
  await Promise.all(
    pluginSource.names.map(async (name) => [name, (await pluginSource.load(name, '.')).config] as const),
  ),
)

describe('what ships', () => {
  for (const [name, schema] of Object.entries({ ...whole, ...shipped }))
    test(`has a plain schema, so that nobody waits for ajv: ${name}`, () => assert.ok(isPlain(schema)))
})

describe('a schema is plain', () => {
  const plain: readonly JSONSchema[] = [
    true,
    false,
    {},
    { type: 'integer', minimum: 1 },
    { type: ['string', 'null'], maxLength: 3, title: 'T', description: 'D', examples: ['a'], default: 'a' },
    { enum: ['a', 1, true, null] },
    { type: 'object', anyOf: [{ required: ['a'] }, { required: ['b'] }], properties: { a: {}, b: {} } },
    { anyOf: [{ type: 'number' }, { type: 'integer', maximum: 3 }] },
    { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } }, required: [] },
  ]
  for (const schema of plain)
    test(`and ajv takes it: ${JSON.stringify(schema)}`, () => {
      assert.ok(isPlain(schema))
      assert.doesNotThrow(() => strict(schema))
    })
})

describe('a schema is not plain', () => {
  // What ajv refuses has to reach it: its words are for the author.
  const wrong: readonly unknown[] = [
    { minimum: 1 },
    { type: 'string', minimum: 1 },
    { type: 'string', properties: {} },
    { type: 'text' },
    { type: [] },
    { type: ['string', 'string'] },
    { type: 'string', pattern: '(' },
    { type: 'string', format: 'duratoin' },
    { type: 'string', minLength: -1 },
    { type: 'array', items: ['string'] },
    { type: 'object', properties: { a: 3 } },
    { type: 'object', required: ['a', 'a'] },
    { type: 'object', propreties: {} },
    { type: 'object', properties: { a: { maximum: 3 } } },
    { type: 'string', anyOf: [{ type: 'number' }] },
    { anyOf: [] },
    { enum: [] },
    { description: 3 },
  ]
  for (const schema of wrong)
    test(`where ajv refuses it: ${JSON.stringify(schema)}`, () => {
      assert.ok(!isPlain(schema as JSONSchema)) // it is none, which is the point
      assert.throws(() => strict(schema as JSONSchema))
    })

  const more: readonly JSONSchema[] = [
    { type: 'object', patternProperties: { '^a': true } },
    { type: 'array', uniqueItems: true },
    { type: 'number', multipleOf: 5 },
    { enum: [{ a: 1 }] },
    { not: { type: 'string' } },
    { allOf: [{ type: 'string' }] },
    { type: 'object', properties: { valueOf: true } },
    { type: 'object', required: ['constructor'] },
    { if: { type: 'string' }, else: { const: 3 } },
    { type: 'object', properties: { a: { type: 'array', items: { type: 'array', uniqueItems: true } } } },
  ]
  for (const schema of more)
    test(`where it says more: ${JSON.stringify(schema)}`, () => {
      assert.ok(!isPlain(schema))
      assert.ok(!isPlain(schema, 'part'))
    })
})

test('a part is plain where its types are for the whole to say', () => {
  assert.ok(!isPlain({ required: ['a'] }))
  assert.ok(isPlain({ required: ['a'] }, 'part'))
  assert.ok(accepts({ required: ['a'] }, { a: 1 }))
  assert.ok(!accepts({ required: ['a'] }, { b: 1 }))
})

describe('a value satisfies a plain schema', () => {
  const key = fc.constantFrom('a', 'b', 'list', 'max', '__proto__', 'toString')
  const text = fc.constantFrom('', 'a', 'b', 'abc', '30s', '1MiB', '𝒳𝒴', 'https://a.example', '10.0.0.0/8', ':80')
  const scalar = fc.oneof(
    text,
    fc.constantFrom(0, -1, 1, 2.5, 3, 1e300, Infinity, Number.NaN, -0),
    fc.boolean(),
    fc.constant(null),
  )
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      scalar,
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
    ),
  }))
  const count = fc.integer({ min: 0, max: 3 })
  const limit = fc.constantFrom(-1, 0, 1, 2.5, 3)
  const some = <T>(item: fc.Arbitrary<T>) => fc.uniqueArray(item, { minLength: 1, maxLength: 3 })
  const type = fc.constantFrom('object', 'array', 'string', 'number', 'integer', 'boolean', 'null')
  const parts = { requiredKeys: [] }
  const { schema } = fc.letrec<{ schema: JSONSchema }>((tie) => ({
    schema: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.boolean(),
      fc.record({ type: fc.oneof(type, some(type)), description: text }, parts),
      fc.record(
        { enum: some(fc.constantFrom('a', 'b', 1, 3, true, null)), const: fc.constantFrom('a', 1, null) },
        parts,
      ),
      fc.record({
        type: fc.constant('string'),
        format: fc.constantFrom('duration', 'size', 'url', 'address', 'listen'),
      }),
      fc.record(
        {
          type: fc.constant('string'),
          pattern: fc.constantFrom('^a', 'b$', '^.$'),
          minLength: count,
          maxLength: count,
        },
        { requiredKeys: ['type'] },
      ),
      fc.record(
        {
          type: fc.constantFrom('number', 'integer'),
          minimum: limit,
          maximum: limit,
          exclusiveMinimum: limit,
          exclusiveMaximum: limit,
        },
        { requiredKeys: ['type'] },
      ),
      fc.record(
        { type: fc.constant('array'), items: tie('schema'), minItems: count, maxItems: count },
        { requiredKeys: ['type'] },
      ),
      fc.record(
        {
          type: fc.constant('object'),
          properties: fc.dictionary(fc.constantFrom('a', 'b', 'list'), tie('schema'), { noNullPrototype: true }),
          additionalProperties: tie('schema'),
          required: fc.uniqueArray(fc.constantFrom('a', 'b', 'max')),
          minProperties: count,
        },
        { requiredKeys: ['type'] },
      ),
      fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
      fc.record({ oneOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
    ),
  }))

  test('exactly where ajv says so, and ajv takes every plain schema', () => {
    fc.assert(
      fc.property(schema, fc.array(value, { minLength: 8, maxLength: 8 }), (schema, values) => {
        fc.pre(isPlain(schema))
        const judge = strict(schema)
        for (const value of values) assert.equal(holds(schema, value), judge(value), JSON.stringify(value))
      }),
      runs(300),
    )
  })

  test('exactly where ajv says so, of a part', () => {
    fc.assert(
      fc.property(schema, value, (schema, value) => {
        fc.pre(isPlain(schema, 'part'))
        assert.equal(holds(schema, value), lenient(schema)(value))
      }),
      runs(300),
    )
  })

  const names = Object.keys({ ...whole, ...shipped })
  test('exactly where ajv says so, of the schemas that ship', () => {
    const keys = (schema: JSONSchema) => Object.keys((typeof schema === 'object' && schema.properties) || {})
    for (const name of names) {
      const schema = { ...whole, ...shipped }[name]!
      const judge = strict(schema)
      const options = fc.dictionary(fc.constantFrom('other', ...keys(schema)), value, {
        maxKeys: 3,
        noNullPrototype: true,
      })
      fc.assert(
        fc.property(options, (given) => assert.equal(holds(schema, given), judge(given))),
        runs(50),
      )
    }
  })
})
