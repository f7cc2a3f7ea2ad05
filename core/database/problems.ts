/** What can be wrong with migrations, as data and as an error. */

/** Every way in which a migration file, or the state of a database, is refused. The text is the rule that was broken. */
export const rules = {
  MIGRATION_NAME:
    'a migration is called NNNN_what_it_does.sql, or NNNN_what_it_does_notx.sql: four digits, then a-z, 0-9 and _',
  MIGRATION_NUMBER: 'two migrations have the same number, so their order is not certain',
  MIGRATION_EMPTY: 'the file has no statement',
  MIGRATION_UNTERMINATED: 'the SQL cannot be read to its end',
  MIGRATION_DOWN: 'a file has no way down: a rollback is a new file with a higher number',
  MIGRATION_PSQL: 'commands of psql are not SQL and cannot run here',
  MIGRATION_COPY: 'COPY FROM STDIN has no input here: write an INSERT',
  MIGRATION_TRANSACTION: 'a migration must not begin or end transactions: the runner does',
  MIGRATION_SETTING: 'a setting of the session would stay on for the next files: write SET LOCAL',
  TX_CONCURRENTLY:
    'CONCURRENTLY cannot run in a transaction: put the statement into a file of its own, NNNN_…_notx.sql',
  TX_OUTSIDE_ONLY:
    'PostgreSQL refuses this statement in a transaction, and a _notx file takes indexes only: run it by hand',
  NOTX_MIXED: 'a _notx file holds CREATE INDEX CONCURRENTLY and DROP INDEX CONCURRENTLY and nothing else',
  NOTX_BLOCKING: 'an index in a _notx file is built or dropped CONCURRENTLY, so that nobody waits for it',
  NOTX_IF_NOT_EXISTS: 'CREATE INDEX CONCURRENTLY needs IF NOT EXISTS: a _notx file may have to run again',
  NOTX_IF_EXISTS: 'DROP INDEX CONCURRENTLY needs IF EXISTS: a _notx file may have to run again',
  NOTX_UNNAMED: 'the index needs a name, or a second run could not recognise it',
  NOTX_SEVERAL: 'DROP INDEX CONCURRENTLY takes one index at a time',
  NOTX_CASCADE: 'DROP INDEX CONCURRENTLY does not know CASCADE',
  NOTX_TWICE: 'the same index twice in one file: a second run would undo the first',
  NOTX_ROLLBACK: 'above a DROP INDEX stands its way back, in a comment: -- rollback: CREATE INDEX CONCURRENTLY …',
  MIGRATION_EDITED:
    'the file was changed after it had run: put it back as it was, and write the change into a new file',
  MIGRATION_MISSING:
    'the database has run a migration that is not in the folder: this version of the folder is too old, or incomplete',
  MIGRATION_ORDER: 'the file has not run, but later ones have: give it a number behind theirs',
  MIGRATION_UNVERIFIED: 'the database says that this has run, but not with which content: another tool has run it',
  MIGRATION_FAILED: 'PostgreSQL refused the statement',
  MIGRATION_LOCKED: 'another runner is at work, and did not end in time',
  INDEX_DIFFERS: 'an index of this name exists already, with another definition: drop it, or choose another name',
  INDEX_INVALID: 'PostgreSQL has built the index but does not trust it',
  INDEX_BUSY: 'another connection is building this index, and did not end in time',
  INDEX_GATE: 'the index may not be dropped yet',
} as const

export type MigrationCode = keyof typeof rules

export interface MigrationProblem {
  readonly code: MigrationCode
  /** The file, without its folder; empty where the problem is the database's. */
  readonly file: string
  /** Counted from 1; 0 means the file as a whole. */
  readonly line: number
  readonly message: string
}

/** A problem under its rule's own words, and what makes this case special. */
export function problem(code: MigrationCode, file: string, line: number, detail = ''): MigrationProblem {
  return { code, file, line, message: detail ? `${rules[code]} (${detail})` : rules[code] }
}

/** `0004_x_notx.sql:3 NOTX_MIXED a _notx file holds …` */
export function render({ code, file, line, message }: MigrationProblem): string {
  return [file && (line > 0 ? `${file}:${line}` : file), code, message].filter(Boolean).join(' ')
}

/** Migrations that were refused or have failed. Nothing after the first of its problems has run. */
export class MigrationError extends Error {
  readonly problems: readonly MigrationProblem[]
  constructor(problems: readonly MigrationProblem[], options?: ErrorOptions) {
    super(problems.map(render).join('\n'), options)
    this.name = 'MigrationError'
    this.problems = problems
  }

  get code(): MigrationCode | undefined {
    return this.problems[0]?.code
  }
}
