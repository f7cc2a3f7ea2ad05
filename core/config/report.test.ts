import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { render } from './problems.ts'
import { Report } from './report.ts'

describe('a report', () => {
  test('turns offsets into lines and columns, at the edges as well', () => {
    const report = new Report('f', 'ab\n\ncd\r\ne')
    const places = [0, 1, 2, 3, 4, 6, 8, 9].map((offset) => report.position(offset))
    assert.deepEqual(
      places.map(({ line, column }) => `${line}:${column}`),
      ['1:1', '1:2', '1:3', '2:1', '3:1', '3:3', '4:1', '4:2'],
    )
  })

  test('is clean until something was added, and keeps what was added within the text', () => {
    const report = new Report('f', 'a\nb')
    assert.ok(report.clean)
    assert.deepEqual(report.problems(), [])
    report.add(99, 'too far')
    report.add(-1, 'too near')
    assert.ok(!report.clean)
    assert.deepEqual(
      report.problems().map(({ line, column, message }) => [line, column, message]),
      [
        [1, 1, 'too near'],
        [2, 2, 'too far'],
      ],
    )
  })

  test('says each thing once, but two things of one place in the order they were added', () => {
    const report = new Report('f', 'abc')
    for (const message of ['one', 'two', 'one']) report.add(1, message)
    assert.deepEqual(
      report.problems().map(({ message }) => message),
      ['one', 'two'],
    )
  })

  test('stars out what is hidden without moving anything, line ends included', () => {
    const report = new Report('f', 'key: |\n  one\n  two\r\nend: x')
    report.hide(5, 18)
    report.add(20, 'wrong')
    assert.equal(report.problems()[0]?.frame, '  3 | *****\n> 4 | end: x\n    | ^')
  })

  test('stars out users and passwords of URLs, wherever they are', () => {
    const report = new Report('f', 'url: https://me:hunter2@example.com/@x')
    report.add(5, 'not "https://me:hunter2@example.com"', 'Not https://me@example.com')
    const [told = ''] = report.problems().map((problem) => render(problem))
    assert.match(told, /not "https:\/\/\*\*\*@example\.com"/)
    assert.match(told, /url: https:\/\/\*{10}@example\.com\/@x/)
    assert.doesNotMatch(told, /hunter2|me@/)
  })

  test('stars out concealed values in messages and cures, unless they are too short to be secrets', () => {
    const report = new Report('f', 'x')
    report.conceal('hunter22')
    report.conceal('x')
    report.add(0, 'hunter22 and hunter22 next to x', 'no hunter22')
    const [problem] = report.problems()
    assert.equal(problem?.message, '*** and *** next to x')
    assert.equal(problem.cure, 'no ***')
  })
})
