import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse, plugin, sourceOf } from './load.fixture.ts'

describe('a schema of a plugin', () => {
  const check = async (config: Parameters<typeof plugin>[1], options: string) => {
    const { problems } = await parse(`plugins:\n  - x: ${options}\n`, {}, sourceOf([plugin('x', config)]))
    return problems.map(({ line, column, message }) => `${line}:${column} ${message}`)
  }

  test('can ask for one key or another', async () => {
    const schema = {
      type: 'object',
      properties: { keys: { type: 'array' }, database: { type: 'string' } },
      anyOf: [{ required: ['keys'] }, { required: ['database'] }],
    } as const
    assert.deepEqual(await check(schema, '{}'), ['2:8 x needs "keys" or "database"'])
    assert.deepEqual(await check(schema, '{ keys: [] }'), [])
  })

  test('can have branches that are told apart by a constant', async () => {
    const branch = <const U extends string, const K extends string>(use: U, key: K) =>
      ({
        type: 'object',
        additionalProperties: false,
        required: ['use', key],
        properties: { use: { const: use }, [key]: { type: 'string', format: 'duration' } },
      }) as const
    const list = { type: 'array', items: { oneOf: [branch('wait', 'time'), branch('rest', 'pause')] } } as const
    const schema = { type: 'object', properties: { list } } as const
    assert.deepEqual(await check(schema, '{ list: [{ use: rest, pause: 5 }] }'), [
      '2:37 x.list[0].pause must be a duration such as 30s, not the number 5',
    ])
    assert.deepEqual(await check(schema, '{ list: [{ use: wait, tim: 5s }] }'), [
      '2:17 x.list[0] needs "time"',
      '2:30 x.list[0] does not know "tim". Did you mean "time"?',
    ])
    assert.deepEqual(await check(schema, '{ list: [3] }'), ['2:17 x.list[0] must be a map, not the number 3'])
  })

  test('can limit lengths, counts, names and multiples', async () => {
    const schema = {
      type: 'object',
      properties: {
        text: { type: 'string', minLength: 1, maxLength: 3 },
        list: { type: 'array', minItems: 1, maxItems: 2, items: { type: 'integer', multipleOf: 5 } },
        map: { type: 'object', minProperties: 2, propertyNames: { pattern: '^[a-z]$' } },
        gone: false,
        many: { type: ['integer', 'string', 'null'] },
      },
    } as const
    assert.deepEqual(await check(schema, '{ text: "" }'), ['2:16 x.text must not be empty'])
    assert.deepEqual(await check(schema, '{ text: long }'), ['2:16 x.text must have at most 3 characters'])
    assert.deepEqual(await check(schema, '{ list: [] }'), ['2:16 x.list must not be empty'])
    assert.deepEqual(await check(schema, '{ list: [5, 10, 15] }'), ['2:16 x.list must have at most 2 items'])
    assert.deepEqual(await check(schema, '{ list: [7] }'), ['2:17 x.list[0] must be a multiple of 5, not the number 7'])
    assert.deepEqual(await check(schema, '{ map: { a: 1 } }'), ['2:15 x.map must have at least 2 keys'])
    assert.deepEqual(await check(schema, '{ map: { a: 1, B: 2 } }'), ['2:23 x.map cannot have the key "B"'])
    assert.deepEqual(await check(schema, '{ gone: 1 }'), ['2:16 x.gone cannot be given here'])
    assert.deepEqual(await check(schema, '{ many: true }'), [
      '2:16 x.many must be a whole number or a text or nothing, not true',
    ])
  })

  test('can make one key depend on another, and on a condition', async () => {
    const schema = {
      type: 'object',
      properties: { tls: { type: 'boolean' }, cert: { type: 'string' } },
      if: { properties: { tls: { const: true } }, required: ['tls'] },
      // oxlint-disable-next-line unicorn/no-thenable -- a keyword of JSON Schema
      then: { required: ['cert'] },
    } as const
    assert.deepEqual(await check(schema, '{ tls: true }'), ['2:8 x needs "cert"'])
  })

  test('may not have a default that its own format refuses', async () => {
    const wait = { type: 'string', format: 'duration', default: '30 s' } as const
    assert.deepEqual(await check({ type: 'object', properties: { wait } }, '{}'), [
      '2:5 x has a schema that cannot be used: the default "30 s" is not a duration such as 30s',
    ])
  })

  test('is closed at its top level unless it says otherwise', async () => {
    assert.deepEqual(await check({ type: 'object' }, '{ a: 1 }'), ['2:10 x does not know "a"'])
    assert.deepEqual(await check({ type: 'object', additionalProperties: true }, '{ a: 1 }'), [])
    assert.deepEqual(await check(true, '{ a: 1 }'), [])
  })
})
