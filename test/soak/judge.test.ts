/** The judges of these programs: what they must not let pass. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { judge } from './judge.ts'
import { unexpected } from './mix.ts'
import { answerOf, type Question } from './question.ts'
import { quantile, slopeOf } from './report.ts'

const origin = { from: 'well', name: 'req_1' }
const question: Question = {
  id: 'k1',
  api: 'chat',
  stream: true,
  model: 'well',
  pieces: 3,
  pause: 0,
  size: 5,
  input: 10,
  output: 20,
  fault: null,
}
const parts = answerOf(question, origin)
const whole = parts.join('')
const endOf = (text: string, status = 200, asked = question) => judge(asked, status, text).end

describe('an answer', () => {
  for (const api of ['chat', 'messages', 'gemini', 'upload', 'turn'] as const) {
    test(`of ${api} is whole as it was sent, and cut wherever it ends before`, () => {
      const stream = api === 'chat' || api === 'messages' || api === 'turn'
      const asked = { ...question, api, stream }
      const text = answerOf(asked, origin, 'hash').join(api === 'turn' ? '\n' : '')
      assert.equal(judge(asked, 200, text, 'hash').end, 'whole')
      for (let at = 0; at < text.length; at++)
        assert.equal(judge(asked, 200, text.slice(0, at), 'hash').end, 'cut', text.slice(0, at))
    })
  }

  test('is wrong with a piece of another one, a piece twice, a piece missing, or a byte changed', () => {
    const others = answerOf({ ...question, id: 'k2' }, origin)
    const another = answerOf(question, { ...origin, name: 'req_2' })
    for (const [what, text] of Object.entries({
      'of another question': parts.with(1, others[1]!).join(''),
      'of another answer': parts.with(1, another[1]!).join(''),
      twice: [parts[0], ...parts].join(''),
      missing: parts.toSpliced(1, 1).join(''),
      changed: whole.replace('yyyyy', 'yyzyy'),
      'nothing of it': 'data: hello\n',
      'after its end': `${whole}data: {}\n\n`,
    }))
      assert.equal(endOf(text), 'wrong', what)
    assert.equal(endOf(whole, 500), 'wrong', 'an error whose body is the answer')
    assert.equal(
      judge({ ...question, api: 'upload', stream: false }, 200, JSON.stringify({ soak: 'well req_1 k1 0' }), 'hash')
        .end,
      'wrong',
    )
  })

  test('may be broken off behind a whole event, and in no other place', () => {
    const error = 'event: error\ndata: {"error":{"message":"no more"}}\n\n'
    assert.equal(endOf(parts.slice(0, 2).join('') + error), 'broken off')
    assert.equal(endOf(parts.slice(0, 2).join('').slice(0, -9) + error), 'wrong')
  })

  test('may follow comments, and an error is a refusal', () => {
    assert.equal(endOf(`: waiting\n\n: waiting\n\n${whole}`), 'whole')
    assert.equal(endOf('{"error":{"code":"overloaded"}}', 503), 'refused')
    assert.equal(endOf('data: {"error":{"code":"overloaded"}}\n\n'), 'refused')
  })
})

describe('what clients of a soaked gateway have to live with', () => {
  const outcome = { question, origin, status: 200, code: '', text: '' }
  test('is what was planned, and nothing else', () => {
    const planned = { ...outcome, question: { ...question, fault: 'cut' } as const }
    assert.equal(unexpected('JSON', { ...outcome, end: 'whole' }), null)
    assert.equal(unexpected('abort', { ...outcome, end: 'left' }), null)
    assert.equal(unexpected('fault', { ...planned, end: 'cut' }), null)
    for (const end of ['cut', 'refused', 'unreachable', 'left', 'wrong', 'broken off'] as const)
      assert.match(unexpected('JSON', { ...outcome, end }) ?? '', new RegExp(`^JSON k1 .* ended ${end}`))
    for (const end of ['wrong', 'unreachable'] as const) assert.ok(unexpected('fault', { ...planned, end }), end)
  })
})

describe('what is printed', () => {
  test('a slope is that of a straight line, and nothing without two moments', () => {
    assert.equal(slopeOf([]), 0)
    assert.equal(slopeOf([{ minute: 1, value: 9 }]), 0)
    assert.equal(slopeOf([0, 1, 2, 3].map((minute) => ({ minute, value: 7 + 2.5 * minute }))), 2.5)
  })

  test('a quantile is one of the list', () => {
    assert.equal(quantile([], 0.5), 0)
    assert.equal(quantile([3, 1, 2], 0.5), 2)
    assert.equal(quantile([3, 1, 2], 1), 3)
  })
})
