import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { itemsOf } from './items.ts'
import { runs } from '../../test/runs.ts'

const found = (text: string) => {
  const bytes = Buffer.from(text)
  return itemsOf(bytes).map(({ start, end }) => bytes.toString('utf8', start, end))
}
/** A list with these members beside what makes it one. */
const list = (members: string) => `{"object":"list",${members}}`

describe('the items of a list', () => {
  test('are its objects, byte for byte', () => {
    const data = '[ {"id":1.0} ,\n{ "a":{"b":[{}]}}, 7, [{}], "x", {} ]'
    const items = ['{"id":1.0}', '{ "a":{"b":[{}]}}', '{}']
    assert.deepEqual(found(list(` "data" : ${data} , "more":[{}] `)), items)
    assert.deepEqual(found(`{"more":[{}],"data":${data},"object":"list"}`), items)
  })

  test('are not looked for in strings, in other lists, or deeper down', () => {
    assert.deepEqual(found(list('"data":"[{}]","x":[{}]')), [])
    assert.deepEqual(found(list('"data":{"a":{}}')), [])
    assert.deepEqual(found(list('"x":{"data":[{}]},"y":[{"data":[{}]}]')), [])
    assert.deepEqual(found(list('"x":"data","y":[{}],"data":[{"a":"}{\\"\\\\"}]')), ['{"a":"}{\\"\\\\"}'])
  })

  test('are those of the last member of that name', () => {
    assert.deepEqual(found(list('"data":[{"a":1}],"data":[{"b":2}]')), ['{"b":2}'])
    assert.deepEqual(found(list('"data":[{"a":1}],"data":7,"x":[{}]')), [])
  })

  test('are none where the document is no list, or no document', () => {
    for (const text of ['', '[]', '{', '"', '{"data":[{}]}', '{"object":"video","data":[{}]}']) {
      assert.deepEqual(found(text), [], text)
    }
    for (const broken of [list('"data":[{}'), `${list('"data":[{}]')} x`, list('"data":[{"a]}')]) {
      assert.deepEqual(found(broken), [], broken)
    }
  })

  test('are what JSON.parse finds', () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue()),
        fc.jsonValue(),
        fc.jsonValue(),
        fc.nat(2),
        (data, before, after, indent) => {
          const text = JSON.stringify({ before, object: 'list', data, after }, null, indent)
          const objects = data.filter((one) => typeof one === 'object' && one !== null && !Array.isArray(one))
          assert.deepEqual(
            found(text).map((item) => JSON.parse(item) as unknown),
            JSON.parse(JSON.stringify(objects)),
          )
        },
      ),
      runs(1000),
    )
  })
})
