import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parse } from './load.fixture.ts'
import { closest, ConfigError, didYouMean, drawFrame, forTools, render, type Problem } from './problems.ts'

const problem: Problem = {
  code: 'CONFIG_UNKNOWN',
  file: 'gateway.yaml',
  line: 6,
  column: 7,
  message: 'ip-rules does not know "alow". Did you mean "allow"?',
  cure: 'It knows allow, deny',
  frame: '> 6 |   - ip-rules\n    |     ^',
}

describe('a problem', () => {
  test('is rendered as place and message, frame, cure', () => {
    assert.equal(
      render(problem),
      [
        'gateway.yaml:6:7 ip-rules does not know "alow". Did you mean "allow"?',
        '> 6 |   - ip-rules',
        '    |     ^',
        '  It knows allow, deny.',
      ].join('\n'),
    )
  })

  test('is rendered without what it lacks', () => {
    assert.equal(render({ ...problem, frame: '', cure: undefined }), `gateway.yaml:6:7 ${problem.message}`)
  })

  test('is the same for tools, as JSON', () => {
    const { cure, ...rest } = problem
    assert.deepEqual(forTools(problem), { ...rest, remedy: cure })
    assert.deepEqual(forTools({ ...problem, cure: undefined }), { ...rest, remedy: null })
  })

  test('makes an error with all its fellows', () => {
    const error = new ConfigError([problem, { ...problem, line: 9 }])
    assert.equal(error.name, 'ConfigError')
    assert.equal(error.problems.length, 2)
    assert.match(error.message, /gateway\.yaml:6:7 .*gateway\.yaml:9:7 /s)
  })

  test('comes with its line, the lines around it, a caret and a cure', async () => {
    const { problems } = await parse('listen: :1\nlimits: { drain: 30 }\nplugins: []\n')
    assert.deepEqual(
      problems.map((found) => render(found)),
      [
        [
          'gateway.yaml:2:18 limits.drain must be a duration such as 30s, not the number 30',
          '  1 | listen: :1',
          '> 2 | limits: { drain: 30 }',
          '    |                  ^',
          '  3 | plugins: []',
          '  Write 30s (the units are ms, s, m, h and d).',
        ].join('\n'),
      ],
    )
  })
})

describe('a frame', () => {
  test('has as many digits as its last line', () => {
    const lines = Array.from({ length: 12 }, (_, index) => `line ${index + 1}`)
    assert.equal(drawFrame(lines, 9, 1), '   8 | line 8\n>  9 | line 9\n     | ^\n  10 | line 10')
  })

  test('ends where the text ends', () => {
    assert.equal(drawFrame(['one', 'two'], 2, 4), '  1 | one\n> 2 | two\n    |    ^')
    assert.equal(drawFrame(['one'], 1, 2), '> 1 | one\n    |  ^')
  })

  test('is empty where the text is', () => {
    assert.equal(drawFrame([''], 1, 1), '')
  })

  test('shows a part of a line that is too long, with the caret where it belongs', () => {
    const line = `${'x'.repeat(5000)}!${'x'.repeat(5000)}`
    const [shown = '', caret = ''] = drawFrame([line], 1, 5001).split('\n')
    assert.ok(shown.length < 120)
    assert.equal(shown[caret.indexOf('^')], '!')
  })

  test('lets no control character through to the terminal, and moves the caret by none', () => {
    const [shown = '', caret = ''] = drawFrame(['\ta\u001b[31m!\r'], 1, 8).split('\n')
    assert.equal(shown, '> 1 |  a·[31m!')
    assert.equal(shown[caret.indexOf('^')], '!')
  })
})

describe('did you mean', () => {
  const names = ['allow', 'deny', 'trusted_proxies', 'concurrency', 'warn', 'info', 'failover']
  const rows = [
    ['alow', 'allow'],
    ['allwo', 'allow'],
    ['deney', 'deny'],
    ['DENY', 'deny'],
    ['trusted-proxies', 'trusted_proxies'],
    ['trustedProxy', 'trusted_proxies'],
    ['concurency', 'concurrency'],
    ['warning', 'warn'],
    ['inf', 'info'],
    ['failovr', 'failover'],
    ['allow', 'allow'],
    ['x', undefined],
    ['', undefined],
    ['-', undefined],
    ['something', undefined],
    ['y'.repeat(10_000), undefined],
  ] as const
  for (const [word, expected] of rows) {
    test(`${JSON.stringify(word.slice(0, 20))} → ${expected ?? 'nothing'}`, () =>
      assert.equal(closest(word, names), expected))
  }

  test('prefers the nearest', () => assert.equal(closest('modl', ['mole', 'model', 'moldy']), 'model'))

  test('is the end of a sentence, or nothing', () => {
    assert.equal(didYouMean('alow', names), '. Did you mean "allow"?')
    assert.equal(didYouMean('zzz', names), '')
  })
})
