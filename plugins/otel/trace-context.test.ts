import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { contextOf, isChosen, newId, parse, traceparentOf } from './trace-context.ts'

const [trace, span] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
const rules = { follow_parent: true, sample_ratio: 1 }

describe('traceparent', () => {
  test('is read as the specification has it', () => {
    assert.deepEqual(parse(`00-${trace}-${span}-01`), { traceId: trace, spanId: span, flags: 1 })
    assert.deepEqual(parse(` 00-${trace}-${span}-01 `)?.flags, 1)
    // A later version may have more behind it.
    assert.deepEqual(parse(`cc-${trace}-${span}-01-what-will-be`)?.spanId, span)
  })

  test('is none where anything about it is wrong', () => {
    for (const wrong of [
      undefined,
      '',
      'x',
      `00-${trace}-${span}`,
      `00-${trace}-${span}-01-more`,
      `ff-${trace}-${span}-01`,
      `00-${trace.toUpperCase()}-${span}-01`,
      `00-${'0'.repeat(32)}-${span}-01`,
      `00-${trace}-${'0'.repeat(16)}-01`,
      `00-${trace}-${span}-1`,
      `00-${trace}-${span}-01, 00-${trace}-${span}-01`,
      [`00-${trace}-${span}-01`, `00-${trace}-${span}-01`],
    ])
      assert.equal(parse(wrong), null, String(wrong))
  })

  test('that is none begins a trace, and its state is dropped', () => {
    const context = contextOf('00-nonsense', 'a=1', rules)
    assert.deepEqual([context.parentId, context.state, context.isSampled], ['', null, true])
  })

  test('that is written can be read, whatever came', () => {
    fc.assert(
      fc.property(fc.option(fc.string(), { nil: undefined }), fc.boolean(), (header, follows) => {
        const context = contextOf(header, 'a=1', { follow_parent: follows, sample_ratio: 0.5 })
        const read = parse(traceparentOf(context, newId(8)))
        assert.equal(read?.traceId, context.traceId)
        assert.equal(((read?.flags ?? 0) & 1) === 1, context.isSampled)
      }),
    )
  })

  test('of a client keeps the flags that are known, and no others', () => {
    const context = contextOf(`00-${trace}-${span}-ff`, undefined, rules)
    assert.equal(traceparentOf(context, span), `00-${trace}-${span}-03`)
  })
})

describe('sampling', () => {
  test('decides by the random part of the id, as others do', () => {
    const with56 = (bits: string) => `0af7651916cd43dd84${bits}`
    assert.equal(isChosen(with56('00000000000000'), 0.5), false)
    assert.equal(isChosen(with56('7fffffffffffff'), 0.5), false)
    assert.equal(isChosen(with56('80000000000000'), 0.5), true)
    assert.equal(isChosen(with56('00000000000000'), 1), true)
    assert.equal(isChosen(with56('ffffffffffffff'), 0), false)
  })

  test('takes about the share that was asked for', () => {
    const chosen = Array.from({ length: 20_000 }, () => isChosen(newId(16), 0.25)).filter(Boolean).length
    // Ten standard deviations on either side.
    assert.ok(Math.abs(chosen - 5000) < 650, String(chosen))
  })
})

test('ids are never the same and never zero', () => {
  const ids = new Set(Array.from({ length: 10_000 }, () => newId(8)))
  assert.equal(ids.size, 10_000)
  for (const id of ids) assert.match(id, /^(?!0{16})[0-9a-f]{16}$/)
})
