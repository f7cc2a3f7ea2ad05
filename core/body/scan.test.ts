import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { JsonBody, unreadBody } from './body.ts'
import { findMember, scanObject } from './scan.ts'

const field = (text: string, name: string) => new JsonBody(Buffer.from(text)).get(name)

describe('a field of a JSON body', () => {
  test('is found at the top and, with dots, below', () => {
    const text = '{"a": {"b": {"c": [1, 2]}}, "model" : "x", "n":1e3, "t":true, "z":null }'
    assert.equal(field(text, 'model'), 'x')
    assert.deepEqual(field(text, 'a.b.c'), [1, 2])
    assert.equal(field(text, 'n'), 1000)
    assert.equal(field(text, 't'), true)
    assert.equal(field(text, 'z'), null)
    for (const absent of ['b', 'a.c', 'model.x', 'a.b.c.0', '']) assert.equal(field(text, absent), undefined, absent)
  })

  test('is the last of several, and found under an escaped spelling of its name', () => {
    assert.equal(field('{"model":"a","model":"b"}', 'model'), 'b')
    assert.equal(field('{"m\\u006fdel":"a"}', 'model'), 'a')
    assert.equal(field('{"model":"a","m\\u006fdel":"b"}', 'model'), 'b')
  })

  test('is not mistaken for one inside a string or deeper down', () => {
    assert.equal(field('{"x":"\\"model\\":\\"no\\"","y":{"model":"no"},"model":"yes"}', 'model'), 'yes')
    assert.equal(field('{"x":"\\\\","model":"yes"}', 'model'), 'yes')
  })

  test('is what JSON.parse finds, for any object', () => {
    const value = fc.jsonValue({ maxDepth: 4 })
    const name = fc.oneof(fc.string(), fc.constantFrom('model', 'a"b', 'back\\slash', 'ключ', '😀'))
    fc.assert(
      fc.property(fc.dictionary(name, value), fc.nat(3), (object, indent) => {
        const text = JSON.stringify(object, null, indent)
        const bytes = Buffer.from(text)
        const members = scanObject(bytes)
        assert.ok(members)
        assert.equal(members.length, Object.keys(object).length)
        for (const key of Object.keys(object)) {
          const member = findMember(bytes, members, key)
          assert.ok(member)
          assert.deepEqual(
            JSON.parse(bytes.toString('utf8', member.start, member.end)),
            JSON.parse(JSON.stringify(object[key])),
          )
        }
      }),
      { numRuns: 2000 },
    )
  })
})

describe('a body that is not one whole JSON object', () => {
  test('is told apart', () => {
    const broken = [
      '',
      ' ',
      '{',
      '{"a":1',
      '{"a"}',
      '{"a":}',
      '{a:1}',
      '{"a":1,}',
      '{"a":1}x',
      '[1]',
      '"x"',
      '{"a":"x}',
      '{"a":{}',
      '{"a":[1}',
      'null',
      '{"a" "b"}',
      '{,}',
    ]
    for (const text of broken.filter((text) => text !== '{"a":[1}')) {
      assert.equal(new JsonBody(Buffer.from(text)).isObject, false, text)
    }
  })

  test('is never a reason to throw or to hang, whatever its bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        new JsonBody(Buffer.concat([Buffer.from('{"model":'), noise])).get('model')
      }),
      { numRuns: 2000 },
    )
  })
})

test('a body that is not here yet says so', () => {
  assert.throws(() => unreadBody.get('model'), /onBody and later/)
  assert.throws(() => unreadBody.bytes, /onBody and later/)
})
