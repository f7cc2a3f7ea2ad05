/** The rules for migrations that can be checked without a database, before anything runs. */
import { problem, type MigrationCode, type MigrationProblem } from './problems.ts'
import type { Statement, Token } from './statements.ts'

export interface Checked {
  readonly file: string
  readonly isOutsideTransaction: boolean
  readonly text: string
  readonly statements: readonly Statement[]
  /** Of the whole file, comments too. */
  readonly tokens: readonly Token[]
}

/** All that is wrong with a file, in the order of its lines. */
export function checkStatements(checked: Checked): MigrationProblem[] {
  const { file, isOutsideTransaction, statements, tokens } = checked
  const problems: MigrationProblem[] = []
  const refuse = (code: MigrationCode, line: number, detail = ''): void => {
    problems.push(problem(code, file, line, detail))
  }
  if (statements.length === 0) refuse('MIGRATION_EMPTY', 0)
  for (const token of tokens) {
    if (token.kind === 'comment' && marksWayDown(token.text)) refuse('MIGRATION_DOWN', token.line)
    if (token.kind === 'symbol' && token.text === '\\') refuse('MIGRATION_PSQL', token.line)
  }
  for (const statement of statements) checkAnywhere(statement, refuse)
  if (isOutsideTransaction) checkIndexes(checked, refuse)
  else for (const statement of statements) checkInTransaction(statement, refuse)
  return problems.toSorted((one, other) => one.line - other.line)
}

/** What a statement about an index says. */
export interface IndexStatement {
  readonly action: 'create' | 'drop'
  /** Of the schema before it and the dot in between, nothing is kept in `name`. */
  readonly name: string
  readonly schema: string | null
  readonly isUnique: boolean
  /** Offsets in the statement's tokens: the table's first token, and the one behind it. */
  readonly table: readonly [from: number, to: number]
}

/** Reads `CREATE [UNIQUE] INDEX CONCURRENTLY IF NOT EXISTS …` and `DROP INDEX CONCURRENTLY IF EXISTS …`; null for the rest. */
export function readIndexStatement({ tokens }: Statement): IndexStatement | null {
  const words = tokens.map((token) => (token.kind === 'word' ? token.value : ''))
  const isUnique = words[1] === 'unique'
  const action = words[0] === 'create' ? 'create' : words[0] === 'drop' ? 'drop' : null
  let at = isUnique ? 2 : 1
  if (action === null || words[at] !== 'index') return null
  at++
  if (words[at] === 'concurrently') at++
  if (words[at] === 'if') at += words[at + 1] === 'not' ? 3 : 2
  if (action === 'create' && words[at] === 'on') return { action, name: '', schema: null, isUnique, table: [at, at] }
  const isQualified = tokens[at + 1]?.value === '.'
  const schema = isQualified ? (tokens[at]?.value ?? null) : null
  if (isQualified) at += 2
  const name = tokens[at]?.value ?? ''
  let from = at + 2
  if (words[from] === 'only') from++
  const to = tokens[from + 1]?.value === '.' ? from + 3 : from + 1
  return { action, name, schema, isUnique, table: [from, to] }
}

type Refuse = (code: MigrationCode, line: number, detail?: string) => void

function checkAnywhere({ tokens, line }: Statement, refuse: Refuse): void {
  const [first, second, third] = words(tokens)
  if (transactionControl.has(first) && !(first === 'prepare' && second !== 'transaction')) {
    refuse('MIGRATION_TRANSACTION', line, first.toUpperCase())
  } else if (first === 'set' && (second === 'transaction' || (second === 'session' && third === 'characteristics'))) {
    refuse('MIGRATION_TRANSACTION', line, 'SET TRANSACTION')
  } else if ((first === 'set' && second !== 'local') || sessionWide.has(first)) {
    refuse('MIGRATION_SETTING', line, first.toUpperCase())
  }
  if (first === 'copy' && words(tokens).some((word, at, all) => word === 'from' && all[at + 1] === 'stdin')) {
    refuse('MIGRATION_COPY', line)
  }
}

const transactionControl: ReadonlySet<string> = new Set(
  'begin start commit end rollback abort savepoint release prepare'.split(' '),
)
const sessionWide: ReadonlySet<string> = new Set('reset discard listen unlisten load deallocate'.split(' '))

/** CONCURRENTLY is a reserved word: bare, it cannot be the name of anything. */
function checkInTransaction({ tokens, line }: Statement, refuse: Refuse): void {
  const word = tokens.find((token) => token.kind === 'word' && token.value === 'concurrently')
  if (word) refuse('TX_CONCURRENTLY', word.line)
  const [first, second] = words(tokens)
  if (outsideOnly.has(first) || outsideOnly.has(`${first} ${second}`)) {
    refuse('TX_OUTSIDE_ONLY', line, `${first} ${second}`.trim().toUpperCase())
  }
}

const outsideOnly: ReadonlySet<string> = new Set([
  'vacuum',
  'create database',
  'drop database',
  'create tablespace',
  'drop tablespace',
  'alter system',
  'create subscription',
  'drop subscription',
  'reindex database',
  'reindex system',
  'reindex schema',
])

function checkIndexes({ statements, tokens }: Checked, refuse: Refuse): void {
  const seen = new Set<string>()
  for (const [number, statement] of statements.entries()) {
    const index = readIndexStatement(statement)
    const { line } = statement
    if (!index) {
      // What ends a transaction has been refused under its own name already.
      if (!transactionControl.has(words(statement.tokens)[0])) refuse('NOTX_MIXED', line)
      continue
    }
    const behind = words(statement.tokens).slice(index.isUnique ? 3 : 2)
    const isConcurrent = behind[0] === 'concurrently'
    if (!isConcurrent) refuse('NOTX_BLOCKING', line)
    const [one, two, three] = isConcurrent ? behind.slice(1) : behind
    if (index.name === '') {
      refuse('NOTX_UNNAMED', line)
      continue
    }
    if (index.action === 'create') {
      if (!(one === 'if' && two === 'not' && three === 'exists')) refuse('NOTX_IF_NOT_EXISTS', line)
    } else {
      if (!(one === 'if' && two === 'exists')) refuse('NOTX_IF_EXISTS', line)
      checkDrop(statement, refuse)
      const previous = statements[number - 1]
      const from = previous ? previous.start + previous.text.length : 0
      const between = tokens.filter((token) => token.start >= from && token.start < statement.start)
      if (!between.some((token) => token.kind === 'comment' && wayBack.test(token.text))) refuse('NOTX_ROLLBACK', line)
    }
    if (seen.has(index.name)) refuse('NOTX_TWICE', line, index.name)
    seen.add(index.name)
  }
}

function checkDrop({ tokens, line }: Statement, refuse: Refuse): void {
  if (tokens.some((token) => token.kind === 'symbol' && token.value === ',')) refuse('NOTX_SEVERAL', line)
  if (words(tokens).at(-1) === 'cascade') refuse('NOTX_CASCADE', line)
}

/** Bare words in lower case; whatever else stands in between is an empty word. */
function words(tokens: readonly Token[]): [string, string, string, ...string[]] {
  const all = tokens.map((token) => (token.kind === 'word' ? token.value : ''))
  return [all[0] ?? '', all[1] ?? '', all[2] ?? '', ...all.slice(3)]
}

const wayBack = /rollback:\s*create\s+(unique\s+)?index\s+concurrently\s/i

/** The markers of node-pg-migrate, goose and dbmate; they would only be comments here, and the whole file would run. */
function marksWayDown(comment: string): boolean {
  return /^--[\s-]*(\+goose\s+down\b|migrate:\s*down\b|down\s+migration\b)/i.test(comment)
}
