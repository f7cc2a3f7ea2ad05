import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { jsonBytes, jsonElements, jsonField } from './field.ts'

const texts = (parts: readonly Buffer[]) => parts.map(String)

describe('the bytes of a field', () => {
  test('are those that stand in the document, however it is spelt', () => {
    const document = Buffer.from('{ "a" : 1.0 , "b":{"c": [1, 2 ] ,"d":"x"}, "b":{"c":"é\\""} }')
    assert.equal(String(jsonBytes(document, 'a')), '1.0')
    assert.equal(String(jsonBytes(document, 'b.c')), '"é\\""', 'of several the last, as JSON.parse reads it')
    assert.equal(jsonField(document, 'b.c'), 'é"')
    for (const absent of ['b.d', 'c', 'a.b', 'b.c.d']) assert.equal(jsonBytes(document, absent), null, absent)
    assert.equal(jsonBytes(Buffer.from('no document'), 'a'), null)
  })

  test('are a part of the document, and no copy', () => {
    const document = Buffer.from('{"a":[1,2]}')
    const found = jsonBytes(document, 'a')!
    assert.equal(found.buffer, document.buffer)
    assert.equal(found.byteOffset, document.byteOffset + 5)
  })
})

describe('the elements of an array', () => {
  test('are cut where the array has its own commas', () => {
    const spelt = String.raw`[ {"a":"],[\\"} , [1,[2,3]],"x,\\\"y" ,null, "\\" ]`
    assert.deepEqual(texts(jsonElements(Buffer.from(spelt))), [
      String.raw`{"a":"],[\\"}`,
      '[1,[2,3]]',
      String.raw`"x,\\\"y"`,
      'null',
      String.raw`"\\"`,
    ])
  })

  test('are none where there is none, or no array', () => {
    for (const none of ['[]', '[ ]', '{}', '"[]"', 'null', ''])
      assert.deepEqual(jsonElements(Buffer.from(none)), [], none)
  })

  test('are what JSON.parse reads, whatever stands in it', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(0, 1, 2), (values, indent) => {
        const read = jsonElements(Buffer.from(JSON.stringify(values, null, indent)))
        assert.deepEqual(
          read.map((element) => JSON.parse(element.toString()) as unknown),
          JSON.parse(JSON.stringify(values)),
        )
      }),
      { numRuns: 300 },
    )
  })
})
