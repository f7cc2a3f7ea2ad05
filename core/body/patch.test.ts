import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isObject, objectText, parsed, type Parsed } from './json.fixture.ts'
import { applyPatch, deleteField, setField, type Edit } from './patch.ts'
import { isCalled, scanObject } from './scan.ts'
import { runs } from '../../test/runs.ts'

const patched = (text: string, ...edits: Edit[]) => applyPatch(Buffer.from(text), edits).toString()
const set = setField
const unset = deleteField

/** Each row: the object, the edits, the object after them. */
type Table = readonly (readonly [string, readonly Edit[], string])[]
function holds(table: Table): void {
  for (const [before, edits, wanted] of table) assert.equal(patched(before, ...edits), wanted, before)
}

describe('a patch', () => {
  test('replaces a value and leaves every other byte', () => {
    holds([
      ['{"a":1}', [set('a', 2)], '{"a":2}'],
      [
        ' { "z" : 1.0 , "a" : 1 ,\n"n":12345678901234567890} ',
        [set('a', 'x')],
        ' { "z" : 1.0 , "a" : "x" ,\n"n":12345678901234567890} ',
      ],
      ['{"d":1,"a":1,"d":2.50}', [set('a', { b: [null] })], '{"d":1,"a":{"b":[null]},"d":2.50}'],
      ['{"a":1,"b":2,"c":3}', [set('c', 4), set('a', 5)], '{"a":5,"b":2,"c":4}'],
      ['{"a":1}', [set('a', 2), set('a', 3)], '{"a":3}'],
      ['{"a":"\\ud800","b":"\\u0041"}', [set('a', '\udead')], '{"a":"\\udead","b":"\\u0041"}'],
      ['{"ключ":1}', [set('ключ', '😀')], '{"ключ":"😀"}'],
    ])
  })

  test('adds what is missing at the end', () => {
    holds([
      ['{}', [set('a', 1)], '{"a":1}'],
      [' { } ', [set('a', 1), set('b', 2)], ' {"a":1,"b":2 } '],
      ['{"a":1 }', [set('b"', 2)], '{"a":1,"b\\"":2 }'],
      ['{"a":1}', [unset('a'), set('b', 2)], '{"b":2}'],
      ['{"a":1,"b":2}', [unset('b'), set('c', 3)], '{"a":1,"c":3}'],
      ['{"a":1}', [unset('a'), set('a', 2)], '{"a":2}'],
      ['{}', [set('a', 1), unset('a')], '{}'],
    ])
  })

  test('deletes the first, the last, one between, several, all', () => {
    const text = '{ "a":1 , "b":2 , "c":3 , "d":4 }'
    holds([
      [text, [unset('a')], '{ "b":2 , "c":3 , "d":4 }'],
      [text, [unset('b')], '{ "a":1 , "c":3 , "d":4 }'],
      [text, [unset('d')], '{ "a":1 , "b":2 , "c":3 }'],
      [text, [unset('a'), unset('b')], '{ "c":3 , "d":4 }'],
      [text, [unset('c'), unset('d')], '{ "a":1 , "b":2 }'],
      [text, [unset('a'), unset('c')], '{ "b":2 , "d":4 }'],
      [text, ['a', 'b', 'c', 'd'].map(unset), '{  }'],
      [text, [unset('e'), unset('a.x'), unset('x.y')], text],
      ['{"a":1}', [set('a', undefined)], '{}'],
    ])
  })

  test('leaves one of several copies, the last, and knows a name in every spelling', () => {
    holds([
      ['{"a":1,"b":0,"a":2}', [set('a', 3)], '{"b":0,"a":3}'],
      ['{"a":1,"b":0,"a":2}', [unset('a')], '{"b":0}'],
      ['{"a":1,"a":2,"a":3}', [unset('a')], '{}'],
      ['{"\\u0061":1,"b":0}', [set('a', 2)], '{"\\u0061":2,"b":0}'],
      ['{"a":1,"\\u0061":2,"b":0}', [unset('a')], '{"b":0}'],
      ['{"a":{"x":1},"a":{"y":1.0}}', [set('a.z', 2)], '{"a":{"y":1.0,"z":2}}'],
      ['{"a":1,"a":{"x":1}}', [unset('a.x')], '{"a":{}}'],
    ])
  })

  test('reaches into objects, and makes those that are missing', () => {
    holds([
      ['{"r": { "x":1.0, "effort":"minimal" }}', [set('r.effort', 'none')], '{"r": { "x":1.0, "effort":"none" }}'],
      ['{"r":{"x":1}}', [unset('r.x'), set('r.y', 1), set('b', 2)], '{"r":{"y":1},"b":2}'],
      ['{}', [set('a.b.c', 1), set('a.d', 2)], '{"a":{"b":{"c":1},"d":2}}'],
      [
        '{"a":null,"b":5,"c":[1]}',
        ['a.x', 'b.x', 'c.0'].map((field) => set(field, 1)),
        '{"a":{"x":1},"b":{"x":1},"c":{"0":1}}',
      ],
      ['{"a":5}', [unset('a.b')], '{"a":5}'],
      ['{"a":5}', [set('a.b', 1), unset('a.b')], '{"a":{}}'],
      ['{"a":{"x":1}}', [set('a', { y: 1 }), set('a.z', 2)], '{"a":{"y":1,"z":2}}'],
      ['{"a":{"x":1}}', [unset('a'), set('a.z', 2)], '{"a":{"z":2}}'],
      ['{"a":{"x":1}}', [set('a.z', 2), unset('a')], '{}'],
      ['{"a":{"x":1}}', [unset('a'), unset('a.x')], '{}'],
      [
        '{"__proto__":{"x":1}}',
        [set('__proto__.y', 2), set('constructor', 3)],
        '{"__proto__":{"x":1,"y":2},"constructor":3}',
      ],
    ])
  })

  test('that changes nothing returns the very Buffer', () => {
    const bytes = Buffer.from('{"a":1}')
    assert.equal(applyPatch(bytes, []), bytes)
    assert.equal(applyPatch(bytes, [unset('b'), unset('a.b')]), bytes)
  })

  test('refuses bytes that are no object, and values that JSON cannot spell', () => {
    assert.throws(() => patched('[1]', set('a', 1)), /not one whole JSON object/)
    assert.throws(() => set('a', 1n), TypeError)
  })

  test('takes the value as it was when it was set', () => {
    const value = { b: 1 }
    const edit = set('a', value)
    value.b = 2
    assert.equal(patched('{}', edit), '{"a":{"b":1}}')
  })

  test('leaves invalid UTF-8 as it came', () => {
    const bytes = Buffer.from([...Buffer.from('{"x":"'), 0xff, 0xc3, ...Buffer.from('","a":1}')])
    const wanted = [...bytes]
    wanted[wanted.length - 2] = 0x32
    assert.deepEqual([...applyPatch(bytes, [set('a', 2)])], wanted)
  })

  test('works on 32 MiB, and a million brackets deep', () => {
    const long = 'x'.repeat(32 * 2 ** 20)
    const bytes = applyPatch(Buffer.from(`{"a":"${long}","b":1}`), [set('b', 2), set('c', long)])
    assert.ok(bytes.equals(Buffer.from(`{"a":"${long}","b":2,"c":"${long}"}`)))
    const nested = '['.repeat(1e6) + ']'.repeat(1e6)
    assert.equal(patched(`{"a":${nested},"b":1}`, unset('b')), `{"a":${nested}}`)
  })
})

const field = fc.constantFrom(
  'a',
  'b',
  'c',
  '',
  'aa',
  '__proto__',
  'ключ',
  '\ud800',
  'a.a',
  'a.b',
  'a.b.c',
  'b.a',
  'b.__proto__',
  'new.a',
)
const change = fc.oneof(
  fc.tuple(field, fc.jsonValue({ maxDepth: 2 })).map(([field, value]) => set(field, value)),
  fc.tuple(field, fc.constantFrom({}, { b: 1 }, { b: { c: 1 } })).map(([field, value]) => set(field, value)),
  field.map(unset),
)
const edits = fc.array(change, { maxLength: 6 })

describe('edits one after the other', () => {
  test('make what the same edits make of the parsed object, in one splice', () => {
    fc.assert(
      fc.property(objectText, edits, (text, edits) => {
        const patchedOnce = applyPatch(Buffer.from(text), edits)
        const object = parsed(Buffer.from(text))!
        for (const edit of edits) edited(object, edit)
        assert.deepEqual(parsed(patchedOnce), object)
      }),
      runs(4000),
    )
  })

  test('leave all that they do not name as it is spelt, and one copy at most of what they name', () => {
    fc.assert(
      fc.property(objectText, edits, (text, edits) => {
        const names = [...new Set(edits.map(({ field }) => field.split('.')[0]!))]
        const [before, after] = [Buffer.from(text), applyPatch(Buffer.from(text), edits)]
        assert.deepEqual(others(after, names), others(before, names))
        assert.equal(after.toString().split('{')[0], text.split('{')[0])
        assert.equal(after.toString().split('}').at(-1), text.split('}').at(-1))
        const members = scanObject(after)!
        for (const name of names) assert.ok(members.filter((member) => isCalled(after, member, name)).length <= 1)
      }),
      runs(2000),
    )
  })
})

/** The members, key to value, that have none of the names, as they are spelt. */
function others(bytes: Buffer, names: readonly string[]): string[] {
  const untouched = scanObject(bytes)!.filter((member) => !names.some((name) => isCalled(bytes, member, name)))
  return untouched.map(({ keyStart, end }) => bytes.toString('latin1', keyStart - 1, end))
}

/** The edit, made the naive way in a parsed object. */
function edited(object: Parsed, { field, json }: Edit): void {
  const path = field.split('.')
  const name = path.pop()!
  let at = object
  for (const step of path) {
    const next = Object.hasOwn(at, step) ? at[step] : undefined
    if (isObject(next)) at = next
    else if (json === null) return
    else {
      const made = {}
      define(at, step, made)
      at = made
    }
  }
  if (json === null) delete at[name]
  else define(at, name, JSON.parse(json))
}

/** Assignment would not make a member called __proto__. */
function define(object: Parsed, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
}
