import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { readMigration, readMigrations, shippedMigrations } from './files.ts'
import { folderOf } from './migrations.fixture.ts'
import { render, rules, type MigrationCode } from './problems.ts'

/** `CODE:line` of every problem. */
const check = (file: string, sql: string) =>
  readMigration(file, file, sql).problems.map(({ code, line }) => `${code}:${line}`)

const build = 'CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON t (b);'
const drop = '-- rollback: CREATE INDEX CONCURRENTLY IF NOT EXISTS a ON t (b);\nDROP INDEX CONCURRENTLY IF EXISTS a;'

describe('a _notx file', () => {
  const refused: [what: string, sql: string, problems: string[]][] = [
    ['with a table', `${build}\nALTER TABLE t ADD c int;`, ['NOTX_MIXED:2']],
    ['with rows', `INSERT INTO t VALUES (1);\n${build}`, ['NOTX_MIXED:1']],
    ['with a function', `${build}\nDO $$ BEGIN END $$;`, ['NOTX_MIXED:2']],
    ['that rebuilds', 'REINDEX INDEX CONCURRENTLY a;', ['NOTX_MIXED:1']],
    ['that refreshes', 'REFRESH MATERIALIZED VIEW CONCURRENTLY v;', ['NOTX_MIXED:1']],
    ['that detaches', 'ALTER TABLE t DETACH PARTITION p CONCURRENTLY;', ['NOTX_MIXED:1']],
    ['that vacuums', 'VACUUM t;', ['NOTX_MIXED:1']],
    ['with BEGIN', `BEGIN;\n${build}`, ['MIGRATION_TRANSACTION:1']],
    ['with COMMIT', `${build}\nCOMMIT;`, ['MIGRATION_TRANSACTION:2']],
    ['with ROLLBACK', `${build}\n/* back */ rollback;`, ['MIGRATION_TRANSACTION:2']],
    ['with a setting', `SET lock_timeout = 1;\n${build}`, ['MIGRATION_SETTING:1', 'NOTX_MIXED:1']],
    ['that builds so that others wait', 'CREATE INDEX IF NOT EXISTS a ON t (b);', ['NOTX_BLOCKING:1']],
    ['that drops so that others wait', drop.replace('CONCURRENTLY IF EXISTS', 'IF EXISTS'), ['NOTX_BLOCKING:2']],
    ['without IF NOT EXISTS', build.replace('IF NOT EXISTS ', ''), ['NOTX_IF_NOT_EXISTS:1']],
    ['that is unique without IF NOT EXISTS', 'CREATE UNIQUE INDEX CONCURRENTLY a ON t (b)', ['NOTX_IF_NOT_EXISTS:1']],
    ['without IF EXISTS', drop.replace('IF EXISTS ', ''), ['NOTX_IF_EXISTS:2']],
    ['with an index without a name', 'CREATE INDEX CONCURRENTLY ON t (b);', ['NOTX_UNNAMED:1']],
    ['that drops two at once', drop.replace(' a;', ' a, c;'), ['NOTX_SEVERAL:2']],
    ['with CASCADE', drop.replace(' a;', ' a CASCADE;'), ['NOTX_CASCADE:2']],
    ['with the same index twice', `${build}\n${build}`, ['NOTX_TWICE:2']],
    ['that drops what it builds', `${build}\n${drop}`, ['NOTX_TWICE:3']],
    ['that drops without a way back', 'DROP INDEX CONCURRENTLY IF EXISTS a;', ['NOTX_ROLLBACK:1']],
    ['whose way back belongs to another', `${drop}\nDROP INDEX CONCURRENTLY IF EXISTS c;`, ['NOTX_ROLLBACK:3']],
    ['without a statement', '-- to do\n', ['MIGRATION_EMPTY:0']],
    ['that never ends', `${build}\n/* and then`, ['MIGRATION_UNTERMINATED:2']],
  ]
  for (const [what, sql, problems] of refused) {
    test(`${what} is refused`, () => assert.deepEqual(check('0001_a_notx.sql', sql), problems))
  }

  const accepted: [what: string, sql: string][] = [
    ['that builds', build],
    [
      'that builds a unique one in small letters',
      'create unique index concurrently if not exists a on only s.t using btree (b)',
    ],
    ['that drops', drop],
    [
      'whose way back is in a comment of many lines',
      drop.replace('-- rollback', '/* no more;\n rollback').replace(';\nDROP', '; */ DROP'),
    ],
    ['that only speaks of transactions', `-- BEGIN; ALTER TABLE t\n/* COMMIT; /* ROLLBACK */ */ ${build} -- VACUUM`],
    [
      'with forbidden words in names and strings',
      `CREATE INDEX CONCURRENTLY IF NOT EXISTS "commit" ON t (begin_at) WHERE s = 'ROLLBACK;'`,
    ],
    ['with names of a schema', drop.replace(' a;', ' s.a;')],
    ['with two of each', `${build}${build.replace(' a ', ' c ')}\n${drop.replaceAll(' a', ' d')}`],
    ['from Windows', `\uFEFF-- a\r\n${build}\r\n`],
  ]
  for (const [what, sql] of accepted) {
    test(`${what} is accepted`, () => assert.deepEqual(check('0001_a_notx.sql', sql), []))
  }
})

describe('a file in a transaction', () => {
  const refused: [what: string, sql: string, problems: string[]][] = [
    ['that builds CONCURRENTLY', `SELECT 1;\n${build}`, ['TX_CONCURRENTLY:2']],
    ['that drops concurrently', 'drop index\n  concurrently if exists a', ['TX_CONCURRENTLY:2']],
    ['that reindexes CONCURRENTLY', 'REINDEX TABLE CONCURRENTLY t', ['TX_CONCURRENTLY:1']],
    ['with BEGIN', 'BEGIN;\nSELECT 1;\nEND;', ['MIGRATION_TRANSACTION:1', 'MIGRATION_TRANSACTION:3']],
    ['with START TRANSACTION', 'START TRANSACTION', ['MIGRATION_TRANSACTION:1']],
    ['with SAVEPOINT', 'SAVEPOINT a; RELEASE a', ['MIGRATION_TRANSACTION:1', 'MIGRATION_TRANSACTION:1']],
    ['with PREPARE TRANSACTION', `PREPARE TRANSACTION 'x'`, ['MIGRATION_TRANSACTION:1']],
    ['with ABORT', 'ABORT', ['MIGRATION_TRANSACTION:1']],
    ['with SET TRANSACTION', 'SET TRANSACTION READ ONLY', ['MIGRATION_TRANSACTION:1']],
    ['that vacuums', 'VACUUM', ['TX_OUTSIDE_ONLY:1']],
    ['that makes a database', 'CREATE DATABASE d', ['TX_OUTSIDE_ONLY:1']],
    ['that configures the server', `ALTER SYSTEM SET a = 'b'`, ['TX_OUTSIDE_ONLY:1']],
    ['with a setting that stays on', 'SELECT 1;\nSET search_path = x', ['MIGRATION_SETTING:2']],
    ['that sets the session', 'SET SESSION AUTHORIZATION x', ['MIGRATION_SETTING:1']],
    ['with RESET', 'RESET ALL', ['MIGRATION_SETTING:1']],
    ['with a way down', 'SELECT 1;\n-- Down Migration\nSELECT 2', ['MIGRATION_DOWN:2']],
    ['with a way down for goose', '-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2', ['MIGRATION_DOWN:3']],
    ['with a way down for dbmate', 'SELECT 1;\n-- migrate:down', ['MIGRATION_DOWN:2']],
    ['for psql', '\\i other.sql', ['MIGRATION_PSQL:1']],
    ['that waits for input', 'COPY t FROM STDIN', ['MIGRATION_COPY:1']],
    ['that ends in a string', `SELECT 1;\nSELECT 'a`, ['MIGRATION_UNTERMINATED:2']],
    ['without a statement', ';', ['MIGRATION_EMPTY:0']],
  ]
  for (const [what, sql, problems] of refused) {
    test(`${what} is refused`, () => assert.deepEqual(check('0001_a.sql', sql), problems))
  }

  const accepted: [what: string, sql: string][] = [
    ['with forbidden words in comments', '-- CONCURRENTLY, BEGIN; COMMIT\nSELECT 1 /* VACUUM; */'],
    [
      'with forbidden words in strings',
      `INSERT INTO t VALUES ('CREATE INDEX CONCURRENTLY', E'\\'; COMMIT;', $$BEGIN; END$$)`,
    ],
    ['with forbidden words in names', 'ALTER TABLE t ADD begin_at timestamptz, ADD "concurrently" bool'],
    ['with a function that begins and ends', 'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END'],
    ['with SET LOCAL', `SET LOCAL statement_timeout = '1s'; SELECT 1`],
    ['with an update that sets', `UPDATE t SET a = 1`],
    ['with a prepared statement', 'PREPARE p AS SELECT 1'],
    ['that copies from a file', `COPY t FROM '/a'`],
  ]
  for (const [what, sql] of accepted) {
    test(`${what} is accepted`, () => assert.deepEqual(check('0001_a.sql', sql), []))
  }
})

describe('a folder', () => {
  test('is refused for names that do not say their place, and for two in one place', async () => {
    await using folder = await folderOf({
      '0001_a.sql': 'SELECT 1',
      '0002_b.sql': 'SELECT 1',
      '0002_c.sql': 'SELECT 1',
      '3_d.sql': 'SELECT 1',
      '0004_E.sql': 'SELECT 1',
      '0005_f.js': 'SELECT 1',
      'README.md': 'BEGIN;',
      '.hidden.sql': 'BEGIN;',
    })
    const { problems, files } = await readMigrations(folder.path)
    assert.deepEqual(
      problems.map(({ code, file }) => `${code} ${file}`),
      [
        'MIGRATION_NUMBER 0002_c.sql',
        'MIGRATION_NAME 0004_E.sql',
        'MIGRATION_NAME 0005_f.js',
        'MIGRATION_NAME 3_d.sql',
      ],
    )
    assert.equal(files.length, 6)
  })

  test('that is shipped follows every rule', async () => {
    const { files, problems } = await readMigrations(shippedMigrations)
    assert.deepEqual(problems, [])
    assert.ok(files.length >= 7)
    for (const { text, file } of files) {
      assert.doesNotMatch(text, /\b(real|double precision|float\d?|money)\b/i, `${file}: money is never a float`)
      assert.doesNotMatch(text, /\(deleted_at\)/, `${file}: deleted_at is never an index of its own`)
    }
  })

  test('is the same whatever its line ends are', () => {
    const one = readMigration('0001_a.sql', '', 'SELECT 1;\nSELECT 2;\n')
    const other = readMigration('0001_a.sql', '', '\uFEFFSELECT 1;\r\nSELECT 2;\r\n')
    assert.equal(one.file.sha256, other.file.sha256)
    assert.notEqual(one.file.sha256, readMigration('0001_a.sql', '', 'SELECT 1;\nSELECT 3;\n').file.sha256)
  })
})

test('a problem is one line: file, line, code, rule', () => {
  const [problem] = readMigration('0001_a_notx.sql', '', '\n\nVACUUM').problems
  assert.equal(render(problem!), `0001_a_notx.sql:3 NOTX_MIXED ${rules.NOTX_MIXED}`)
})

test('every rule that needs no database is shown above', async () => {
  const source = await readFile(new URL(import.meta.url), 'utf8')
  const codes = Object.keys(rules) as MigrationCode[] // an object literal has no other keys
  for (const code of codes.filter((code) => /^(NOTX|TX|MIGRATION_(NAME|NUMBER|EMPTY|DOWN|PSQL|COPY))/.test(code))) {
    assert.ok(source.includes(`'${code}`), code)
  }
})
