import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { table } from './admin-print.ts'
import { Given, Misuse } from './admin-words.ts'

describe('a table', () => {
  test('has columns as wide as they need, and a dash for nothing', () => {
    const rows = [
      [1, 'a name', null, ['x', 'y'], new Date('2027-01-31T12:00:00.123Z')],
      [22, '', 'z', [], null],
    ]
    assert.deepEqual(table(['id', 'name', 'why', 'groups', 'when'], rows), [
      'id  name    why  groups  when',
      '1   a name  -    x,y     2027-01-31T12:00:00Z',
      '22  -       z    -       -',
    ])
    assert.deepEqual(table(['id'], []), ['None.'])
  })

  test('does not let what an upstream or a tenant has written steer the terminal', () => {
    const [, line] = table(['why'], [['\u001b]0;owned\u0007\r\n\u009b2Jred\u001b[31m']])
    assert.doesNotMatch(line ?? '', /\p{Cc}/u)
    assert.match(line ?? '', /owned.*red/)
  })
})

describe('what is given with a command', () => {
  const given = new Given({
    whole: '-3',
    far: '99999999999',
    money: '12.50',
    float: '1e3',
    list: ' a, b,,c ',
    nothing: 'none',
    day: '2027-01-31',
    no: 'tomorrow',
    ms: '2h',
    short: '0s',
    json: '{"a":1}',
    broken: '{',
  })
  test('is read as what it is', () => {
    assert.equal(given.whole('whole'), -3)
    assert.equal(given.decimal('money'), '12.50')
    assert.deepEqual(given.list('list'), ['a', 'b', 'c'])
    assert.deepEqual(given.list('nothing'), [])
    assert.equal(given.decimalOrNone('nothing'), null)
    assert.equal(given.dateOrNone('nothing'), null)
    assert.equal(given.dateOrNone('day')?.toISOString(), '2027-01-31T00:00:00.000Z')
    assert.equal(given.duration('ms'), 7_200_000)
    assert.deepEqual(given.json('json'), { a: 1 })
    for (const name of ['text', 'whole', 'decimal', 'list', 'dateOrNone', 'duration', 'json'] as const)
      assert.equal(given[name]('absent'), undefined)
  })

  test('is refused where it is something else', () => {
    assert.throws(() => given.whole('far'), Misuse)
    assert.throws(() => given.whole('money'), Misuse)
    assert.throws(() => given.decimal('float'), Misuse)
    assert.throws(() => given.dateOrNone('no'), Misuse)
    assert.throws(() => given.duration('short'), Misuse)
    assert.throws(() => given.duration('whole'), Misuse)
    assert.throws(() => given.json('broken'), Misuse)
    assert.throws(() => given.needed('absent'), /--absent is missing/)
  })
})
