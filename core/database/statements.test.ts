import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import pg from 'pg'
import { freshDatabase } from '../../test/postgres.ts'
import { splitStatements, tokenize, UnterminatedError } from './statements.ts'

const texts = (sql: string) => splitStatements(sql).map(({ text }) => text)
const kinds = (sql: string) => tokenize(sql).map(({ kind, text }) => `${kind} ${text}`)

describe('a text is split', () => {
  const cases: [what: string, sql: string, statements: string[]][] = [
    ['at semicolons', 'SELECT 1; SELECT 2', ['SELECT 1', 'SELECT 2']],
    ['into nothing where there is nothing', ' ;; -- a\n; /* b */', []],
    ['but not in a string', `SELECT ';'; SELECT 'it''s;'`, [`SELECT ';'`, `SELECT 'it''s;'`]],
    ['but not behind an escaped quote', `SELECT E'\\';'; SELECT 2`, [`SELECT E'\\';'`, 'SELECT 2']],
    ['where a backslash escapes nothing', `SELECT '\\'; SELECT 2`, [`SELECT '\\'`, 'SELECT 2']],
    ['but not in a string that goes on', `SELECT E'a'\n  '\\';b'; SELECT 2`, [`SELECT E'a'\n  '\\';b'`, 'SELECT 2']],
    ['but not in a quoted name', 'SELECT 1 AS "a;""b"; SELECT 2', ['SELECT 1 AS "a;""b"', 'SELECT 2']],
    [
      'but not between dollars',
      'DO $$ BEGIN; END $$; SELECT $x$ $$;$y$ $x$',
      ['DO $$ BEGIN; END $$', 'SELECT $x$ $$;$y$ $x$'],
    ],
    [
      'but not in comments',
      'SELECT 1 -- ; \n + /* ; /* ; */ ; */ 2; SELECT 3',
      ['SELECT 1 -- ; \n + /* ; /* ; */ ; */ 2', 'SELECT 3'],
    ],
    ['without the comments around', '-- a\nSELECT 1 -- b\n; -- c', ['SELECT 1']],
    [
      'but not in parentheses',
      'CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3',
      ['CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)', 'SELECT 3'],
    ],
    [
      'but not in the body of a function',
      'CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END; SELECT 3',
      [
        'CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END',
        'SELECT 3',
      ],
    ],
    ['where a name has a dollar in it', 'SELECT a$b$ FROM t; SELECT c$b$', ['SELECT a$b$ FROM t', 'SELECT c$b$']],
    ['where a parameter is none of a quote', 'SELECT $1; SELECT $2', ['SELECT $1', 'SELECT $2']],
    ['whatever alphabet names are in', 'SELECT 1 AS größe; SELECT 2 AS 数', ['SELECT 1 AS größe', 'SELECT 2 AS 数']],
  ]
  for (const [what, sql, statements] of cases) test(what, () => assert.deepEqual(texts(sql), statements))

  test('in linear time, however many dashes stand behind a string with escapes', () => {
    for (const tail of ['', '\n', "\n'b'"]) {
      const started = performance.now()
      assert.equal(splitStatements(`SELECT E'a'${'-- '.repeat(20_000)}${tail}; SELECT 2`).length, tail === '' ? 1 : 2)
      assert.ok(performance.now() - started < 5000, 'that is no linear time')
    }
  })

  test('with the line of each first token, whatever ends a line', () => {
    const sql = `-- one\nSELECT 1;\r\n\r\n/* two\n*/ SELECT 'a\nb'; SELECT\n2;`
    assert.deepEqual(
      splitStatements(sql).map(({ line }) => line),
      [2, 5, 6],
    )
  })
})

describe('a token', () => {
  test('is told apart by what it is', () => {
    assert.deepEqual(kinds(`select "A b" , 'x' E'\\'' $t$;$t$ 1.5e-3 $1 U&"d\\0061" -- end`), [
      'word select',
      'name "A b"',
      'symbol ,',
      `string 'x'`,
      `string E'\\''`,
      'string $t$;$t$',
      'number 1.5e-3',
      'parameter $1',
      'name U&"d\\0061"',
      'comment -- end',
    ])
  })

  test('that is a bare name is folded as PostgreSQL folds it, a quoted one is taken as it is', () => {
    assert.deepEqual(
      tokenize('IDX_Größe "IDX ""q"""').map(({ value }) => value),
      ['idx_größe', 'IDX "q"'],
    )
  })

  for (const [sql, line] of [
    [`SELECT 1;\n'`, 2],
    ['\n\n"a', 3],
    ['/* /* */', 1],
    ['SELECT\n$a$ $b$', 2],
    [`E'\\'`, 1],
    // Not E'' and what follows.
    [`E'''''''\\'""`, 1],
    [`"a""`, 1],
  ] as const) {
    test(`that never ends is refused with its line: ${JSON.stringify(sql)}`, () => {
      assert.throws(
        () => tokenize(sql),
        (error) => error instanceof UnterminatedError && error.line === line,
      )
    })
  }
})

/** Text that would mislead whoever looks for words and semicolons. */
const trap = fc
  .array(
    fc.constantFrom(';', `'`, '"', '$', '$$', '$a$', '--', '/*', '*/', '\\', '\n', ' ', 'BEGIN', 'a', 'é', '(', ')'),
    {
      maxLength: 8,
    },
  )
  .map((parts) => parts.join(''))

/** A value as SQL: every way to write a string, and expressions around it. */
const literal = trap.chain((text) =>
  fc.constantFrom(
    `'${text.replaceAll(`'`, `''`)}'`,
    `E'${text.replaceAll('\\', '\\\\').replaceAll(`'`, `\\'`)}'`,
    `E'${text.replaceAll('\\', '\\\\').replaceAll(`'`, `''`)}'\n -- gap ' \n '\\';'`,
    `$q7$${text}$q7$`,
    `('x' || ';')`,
    `CASE WHEN true THEN ';' END`,
  ),
)

const gap = fc.constantFrom(' ', '\n', ' -- ; $$ \' "\n', "/* ; ' */", '/* /* " */ ; */', '\t')
const alias = trap.filter((text) => text.length > 0).map((text) => `"${text.replaceAll('"', '""')}"`)

const statement = fc
  .tuple(gap, literal, gap, alias, gap)
  .map(([a, value, b, name, c]) => `SELECT${a} ${value} ${b}AS ${name}${c}`)

describe('for any text', () => {
  test('tokens and what lies between them are the text', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(statement, trap)).map((parts) => parts.join(';')),
        (sql) => {
          let tokens
          try {
            tokens = tokenize(sql)
          } catch (error) {
            return assert.ok(error instanceof UnterminatedError)
          }
          let at = 0
          for (const { text, start, line } of tokens) {
            assert.match(sql.slice(at, start), /^[ \t\n\r\f\v]*$/)
            assert.equal(sql.slice(start, start + text.length), text)
            assert.equal(line, sql.slice(0, start).split('\n').length)
            at = start + text.length
          }
          assert.match(sql.slice(at), /^[ \t\n\r\f\v]*$/)
        },
      ),
      { numRuns: 2000 },
    )
  })

  test('statements joined by semicolons come apart again', () => {
    fc.assert(
      fc.property(fc.array(statement, { maxLength: 6 }), (statements) => {
        const split = splitStatements(statements.join(';'))
        assert.equal(split.length, statements.length)
        for (const [number, { text }] of split.entries()) assert.ok(statements[number]!.startsWith(text))
      }),
      { numRuns: 1000 },
    )
  })

  test('PostgreSQL sees the same statements', async () => {
    await using db = await freshDatabase()
    const client = new pg.Client({ connectionString: db.url })
    await client.connect()
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(statement, { minLength: 1, maxLength: 5 }), async (statements) => {
          const sql = statements.join(';')
          const answer: unknown = await client.query({ text: sql, rowMode: 'array' })
          const whole = (Array.isArray(answer) ? answer : [answer]) as pg.QueryArrayResult<string[]>[] // one per statement
          const split = splitStatements(sql)
          assert.equal(split.length, whole.length)
          for (const [number, { text }] of split.entries()) {
            const alone = await client.query<string[]>({ text, rowMode: 'array' })
            assert.deepEqual(alone.rows, whole[number]?.rows)
            assert.equal(alone.fields[0]?.name, whole[number]?.fields[0]?.name)
          }
        }),
        { numRuns: 200 },
      )
    } finally {
      await client.end()
    }
  })
})
