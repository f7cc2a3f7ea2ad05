import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { readObject } from '../../test/fuzz/json-reference.ts'
import { runs } from '../../test/runs.ts'
import { JsonBody } from './body.ts'
import { objectText } from './json.fixture.ts'
import { parseJson } from './value.ts'

/** Keys that V8 mistakes escaped ones for, behind beginnings that the tests below use. */
function poison(): void {
  for (const text of ['{"x":0,"\\\\":0}', '{"x":0,"a\\\\":0}', '{"\\\\":0}', '{"x":0,"\\\\":0,"\\\\u":0}'])
    JSON.parse(text)
}

describe('JSON of one client after that of another', () => {
  test('has its own keys, however they are spelt', () => {
    poison()
    const cases = [
      ['{"x":1,"\\u0061":2}', { x: 1, a: 2 }],
      ['{"x":1,"\\u0061":2,"\\u0062":3}', { x: 1, a: 2, b: 3 }],
      ['{"x":1,"\\u0061":2,"a":3}', { x: 1, a: 3 }],
      ['{"x":1,"a":2,"\\u0061":3}', { x: 1, a: 3 }],
      ['{"x":1,"a\\n":2}', { x: 1, 'a\n': 2 }],
      ['[{"x":1,"\\"":[{"\\u540d":0}]}]', [{ x: 1, '"': [{ 名: 0 }] }]],
      ['{"x":1,"\\\\":2}', { x: 1, '\\': 2 }],
      ['{"\\\\":":\\"","x" : "\\u0061"}', { '\\': ':"', x: 'a' }],
      ['{"x":{"\\\\":1},"1":2,"0":3}', { x: { '\\': 1 }, 0: 3, 1: 2 }],
    ] as const
    for (const [text, wanted] of cases) {
      assert.deepEqual(parseJson(text), wanted, text)
      poison()
    }
  })

  test('has a member called __proto__ where it says so', () => {
    const value = parseJson('{"\\\\":1,"__proto__":{"a":1}}')
    assert.deepEqual(Object.keys(value as object), ['\\', '__proto__']) // as the text says
    assert.equal(Object.getPrototypeOf(value), Object.prototype)
  })

  test('is told to plugins with its own keys', () => {
    poison()
    const body = new JsonBody(Buffer.from('{"tools":{"x":1,"\\u0061":2}}'))
    assert.deepEqual(body.get('tools'), { x: 1, a: 2 })
    body.set('more', { x: 1, 'a\n': 2 })
    assert.deepEqual(body.get('more'), { x: 1, 'a\n': 2 })
  })

  test('says what a parser without memory says, whatever came before', () => {
    poison()
    fc.assert(
      fc.property(objectText, (text) => assert.deepEqual(parseJson(text), readObject(text))),
      runs(3000),
    )
  })

  test('is deep, or none', () => {
    const deep = `${'['.repeat(1e5)}{"\\\\":1}${']'.repeat(1e5)}`
    let value = parseJson(deep)
    for (let depth = 0; depth < 1e5; depth++) value = (value as unknown[])[0] // as deep as the text
    assert.deepEqual(value, { '\\': 1 })
    assert.throws(() => parseJson('{"\\\\":1'), SyntaxError)
  })
})
