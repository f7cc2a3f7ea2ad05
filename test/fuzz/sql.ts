/**
 * The tokenizer of migrations against PostgreSQL's own parser. A text is given to the server to parse, in a transaction that has
 * failed: it says how many statements it sees (none, one, several) or where the text breaks, and never runs any.
 */
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { splitStatements, tokenize, UnterminatedError, type Statement } from '../../core/database/statements.ts'
import { freshDatabase } from '../postgres.ts'
import type { Random } from './random.ts'
import { Fault, utf8, type FuzzTarget } from './target.ts'

const words =
  `' '' " "" $$ $a$ $1 -- /* */ ; ( ) , . :: \\ E'\\'' U&'\\0061' U&"a" N'x' B'01' X'1f' e'a' a$b$ _ é 1.5e-3 0x1f 1_000 + - / * = < > | & ! ~ @ # % ^ ` +
  'SELECT 1 BEGIN ATOMIC END CASE WHEN true THEN ELSE CREATE OR REPLACE FUNCTION PROCEDURE f() RETURNS int LANGUAGE sql AS RETURN ' +
  'UESCAPE INDEX CONCURRENTLY IF NOT EXISTS ON t (a) DROP RULE DO ALSO INSERT INTO VALUES NULL COMMIT ROLLBACK atomic end case begin'

const texts = [
  'SELECT 1; SELECT 2',
  `SELECT 'it''s;', E'\\';', $x$;$x$, "a;""b" /* ; /* ; */ */ -- ;\n; SELECT U&"d\\0061"`,
  `SELECT E'a'\n -- gap '\n '\\';b'; SELECT 2`,
  'CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END; SELECT 3',
  'CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3',
  'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a) WHERE b IS NULL; DROP INDEX CONCURRENTLY IF EXISTS j',
]

export const sql: FuzzTarget = {
  name: 'sql',
  about: "the tokenizer of migrations against PostgreSQL's own parser, which is given the same text and never runs it",
  covers: ['core/database/statements.ts'],
  starts: [
    ...utf8(...texts),
    readFileSync(new URL('../../core/database/statements.ts', import.meta.url)).subarray(0, 1500),
  ],
  words: utf8(...words.split(' '), ' ', '\n', '\r', '\t', '\f', '\v', '\u00a0', '-- \n', "'\n'", "e'\\''\n'"),
  longest: 1500,
  batch: 100,
  make,
  async open() {
    const database = await freshDatabase()
    const client = new pg.Client({ connectionString: database.url })
    client.on('error', () => {})
    await client.connect()
    await client.query('BEGIN')
    await client.query('SELECT 1/0').catch(() => {})
    return {
      run: (input) => run(client, input),
      async [Symbol.asyncDispose]() {
        await client.end()
        await database[Symbol.asyncDispose]()
      },
    }
  },
}

async function run(client: pg.Client, input: Buffer): Promise<string> {
  // The server's texts end at NUL, and are UTF-8.
  const text = input.toString().replaceAll('\0', ' ')
  const ours = split(text)
  const theirs = await parse(client, text)
  if (ours === null) {
    if (theirs !== 'broken' && theirs !== 'no end') throw new Fault('what PostgreSQL reads has an end', `${theirs}`)
    return 'no end'
  }
  checkTokens(text)
  if (hasLooseEnd(ours)) return 'END as a name'
  if (theirs === 'no end') throw new Fault('what never ends for PostgreSQL never ends')
  if (theirs === 'broken') return 'broken'
  if (theirs === 'at most 1' ? ours.length > 1 : Math.min(ours.length, 2) !== theirs)
    throw new Fault('the statements are as many as PostgreSQL counts', `${ours.length} and ${theirs}`)
  for (const one of ours) {
    const alone = await parse(client, one.text)
    if (alone !== 1 && alone !== 'at most 1')
      throw new Fault('each statement is one for PostgreSQL', JSON.stringify(one.text).slice(0, 200))
  }
  const kinds = [...new Set(ours.flatMap(({ tokens }) => tokens.map(({ kind }) => kind)))]
  return `${theirs} statements of ${kinds.toSorted().join(' ')}`
}

/**
 * In the body of a function END and CASE may be names (`SELECT 1 AS case`): whoever does not know the whole grammar, psql included, takes
 * them for what they look like. Where they do not pair up the statements are anybody's guess.
 */
function hasLooseEnd(statements: readonly Statement[]): boolean {
  const words = statements.flatMap(({ tokens }) => tokens.map(({ kind, value }) => (kind === 'word' ? value : '')))
  const count = (word: string) => words.filter((one) => one === word).length
  return count('atomic') > 0 && count('end') !== count('atomic') + count('case')
}

function split(text: string): Statement[] | null {
  try {
    return splitStatements(text)
  } catch (error) {
    if (error instanceof UnterminatedError) return null
    throw error
  }
}

function checkTokens(text: string): void {
  let at = 0
  for (const { text: token, start } of tokenize(text)) {
    if (text.slice(at, start).trim() !== '' || !text.startsWith(token, start)) throw new Fault('tokens are the text')
    at = start + token.length
  }
}

/** How many statements the server's parser sees (2: several), or why it sees none. */
type Seen = 'at most 1' | 1 | 2 | 'broken' | 'no end'

function parse(client: pg.Client, text: string): Promise<Seen> {
  return new Promise((resolve) => {
    client.query({
      submit(connection: pg.Connection) {
        connection.parse({ name: '', text, types: [] }, true)
        connection.sync()
      },
      handleError: (error: Error & { code?: string }) => resolve(seenBy(error)),
      // Nothing at all, or what would end the transaction; it is parsed and not run.
      handleReadyForQuery: () => resolve('at most 1'),
    } as pg.Submittable) // what the driver calls of it
  })
}

/** In a failed transaction a statement that is well-formed is refused with 25P02, after parsing and before anything else. */
function seenBy({ code, message }: Error & { code?: string }): Seen {
  if (code === '25P02') return 1
  if (message.includes('multiple commands')) return 2
  return message.startsWith('unterminated') ? 'no end' : 'broken'
}

/** Statements as people write them, with traps in all that is quoted. */
function make(random: Random): Buffer {
  const trap = () => Array.from({ length: random.below(4) }, () => random.pick(traps)).join('')
  const gap = () => random.pick([' ', '\n', ' -- ; $$ \' "\n', "/* ; ' */", '/* /* " */ ; */', '\t'])
  const literal = () =>
    random.pick([
      () => `'${trap().replaceAll("'", "''")}'`,
      () => `E'${trap().replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`,
      () => `E'a' \n '\\'${trap().replaceAll('\\', '\\\\').replaceAll("'", "''")}'`,
      () => `$q7$${trap()}$q7$`,
      () => "CASE WHEN true THEN ';' END",
      () => "U&'d!0061' UESCAPE '!'",
    ])()
  const select = () => `SELECT${gap()} ${literal()} ${gap()}AS "x${trap().replaceAll('"', '""')}"${gap()}`
  const statement = () => {
    const kind = random.below(8)
    if (kind === 0) return `CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC ${select()}; ${select()}; END`
    if (kind === 1) return `CREATE RULE r AS ON INSERT TO t DO ALSO (${select()}; ${select()})`
    if (kind === 2) return `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ${literal()}`
    return select()
  }
  return Buffer.from(Array.from({ length: random.below(4) }, statement).join(`${gap()};${gap()}`))
}

const traps = [
  ';',
  "'",
  '"',
  '$',
  '$$',
  '$a$',
  '--',
  '/*',
  '*/',
  '\\',
  '\n',
  ' ',
  'BEGIN',
  'a',
  'é',
  '(',
  ')',
  'END',
  'e',
]
