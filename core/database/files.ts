/** The folder of migrations, read and checked. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkStatements } from './check.ts'
import { problem, type MigrationProblem } from './problems.ts'
import { splitStatements, tokenize, UnterminatedError, type Statement } from './statements.ts'

export interface MigrationFile {
  /** Without `.sql`: the name under which the database remembers it. */
  readonly name: string
  readonly file: string
  readonly path: string
  /** Its statements run one by one, each on its own, outside a transaction. */
  readonly isOutsideTransaction: boolean
  /** Of the text with line ends as Unix writes them, so that a checkout on Windows is the same file. */
  readonly sha256: string
  readonly text: string
  readonly statements: readonly Statement[]
}

export interface MigrationFolder {
  readonly path: string
  /** In the order in which they run. */
  readonly files: readonly MigrationFile[]
  /** What is wrong with them; nothing may run as long as there is anything. */
  readonly problems: readonly MigrationProblem[]
}

/** The folder of the migrations that Postern comes with: seen from what was built, or from this file. */
export const shippedMigrations = ['../migrations', '../../migrations']
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .reduce((built, source) => (existsSync(built) ? built : source))

/** Reads every `.sql` file of a folder. A file that cannot be read as SQL is a problem, not an exception. */
export async function readMigrations(folder: string): Promise<MigrationFolder> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => !entry.isDirectory() && isMigration(entry.name)).map((entry) => entry.name)
  const files: MigrationFile[] = []
  const problems: MigrationProblem[] = []
  const numbers = new Map<string, string>()
  for (const name of names.toSorted()) {
    if (!/^\d{4}_[a-z0-9_]*[a-z0-9]\.sql$/.test(name)) problems.push(problem('MIGRATION_NAME', name, 0))
    const number = name.slice(0, 4)
    const before = numbers.get(number)
    if (before) problems.push(problem('MIGRATION_NUMBER', name, 0, `as ${before}`))
    numbers.set(number, name)
    const read = readMigration(name, join(folder, name), await readFile(join(folder, name), 'utf8'))
    files.push(read.file)
    problems.push(...read.problems)
  }
  return { path: folder, files, problems }
}

/** What a folder may hold beside migrations: what begins with a dot, and texts for people. */
export function isMigration(name: string): boolean {
  return !name.startsWith('.') && !name.endsWith('.md')
}

/** One file, and what is wrong with it. */
export function readMigration(
  file: string,
  path: string,
  raw: string,
): { file: MigrationFile; problems: MigrationProblem[] } {
  const text = raw.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n')
  const name = file.replace(/\.sql$/, '')
  const isOutsideTransaction = name.endsWith('_notx')
  const bare = { name, file, path, isOutsideTransaction, sha256: createHash('sha256').update(text).digest('hex'), text }
  try {
    const statements = splitStatements(text)
    const problems = checkStatements({ file, isOutsideTransaction, text, statements, tokens: tokenize(text) })
    return { file: { ...bare, statements }, problems }
  } catch (error) {
    if (!(error instanceof UnterminatedError)) throw error
    const problems = [problem('MIGRATION_UNTERMINATED', file, error.line, error.message)]
    return { file: { ...bare, statements: [] }, problems }
  }
}
