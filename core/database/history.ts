/** What a database remembers of its migrations, held against the folder. */
import type { Query } from './database.ts'
import type { MigrationFolder } from './files.ts'
import { problem, type MigrationProblem } from './problems.ts'

/** node-pg-migrate's table says what has run; ours, beside it, with which content. */
export const historyTable = 'pgmigrations'
export const checksumTable = 'pgmigrations_checksum'

export interface Applied {
  readonly name: string
  /** null: another tool has run it. */
  readonly sha256: string | null
  /** null: another tool has run it. */
  readonly appliedAt: Date | null
}

/** Made by the first run; a run of another version of Postern at the same time is kept out by the lock. */
export const makeChecksumTable = `
  CREATE TABLE IF NOT EXISTS public.${checksumTable} (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
  )`

/** The statement that remembers a file. A file that runs again, because its runner died before the end, is remembered once. */
export function remember(name: string, sha256: string): string {
  return `INSERT INTO public.${checksumTable} (name, sha256) VALUES ('${name}', '${sha256}')
    ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256, applied_at = now()`
}

/** In the order in which they ran; changes nothing, and finds nothing in a database without migrations. */
export async function readHistory(query: Query): Promise<Applied[]> {
  const { rows: tables } = await query<{ history: boolean; checksums: boolean }>(
    'SELECT to_regclass($1) IS NOT NULL AS history, to_regclass($2) IS NOT NULL AS checksums',
    [`public.${historyTable}`, `public.${checksumTable}`],
  )
  if (!tables[0]?.history) return []
  const checksums = tables[0].checksums
    ? `public.${checksumTable}`
    : '(SELECT NULL::text AS name, NULL::text AS sha256, NULL::timestamptz AS applied_at) '
  const { rows } = await query<{ name: string; sha256: string | null; applied_at: Date | null }>(
    `SELECT h.name, c.sha256, c.applied_at FROM public.${historyTable} h LEFT JOIN ${checksums} c ON c.name = h.name
     ORDER BY h.run_on, h.id`,
  )
  return rows.map(({ name, sha256, applied_at }) => ({ name, sha256, appliedAt: applied_at }))
}

/**
 * Where the folder and the history disagree. `isAheadFine`: a newer version's files, behind all of the folder's, may have run, as
 * long as none of the folder's is pending.
 */
export function compare(
  { files }: MigrationFolder,
  history: readonly Applied[],
  isAheadFine = false,
): MigrationProblem[] {
  const problems: MigrationProblem[] = []
  const known = new Set(files.map((file) => file.name))
  const applied = new Map(history.map((item) => [item.name, item]))
  const newest = files.at(-1)?.name ?? ''
  const isAhead = history.some(({ name }) => name > newest)
  const last = isAhead ? files.length : files.findLastIndex((file) => applied.has(file.name))
  for (const { name } of history) {
    if (known.has(name) || (isAheadFine && name > newest)) continue
    problems.push(problem('MIGRATION_MISSING', `${name}.sql`, 0))
  }
  for (const [place, { name, file, sha256 }] of files.entries()) {
    const item = applied.get(name)
    if (!item) {
      if (place < last) problems.push(problem('MIGRATION_ORDER', file, 0))
    } else if (item.sha256 === null) {
      problems.push(problem('MIGRATION_UNVERIFIED', file, 0))
    } else if (item.sha256 !== sha256) {
      const change = `sha256 ${item.sha256.slice(0, 8)} when it ran, ${sha256.slice(0, 8)} now`
      problems.push(problem('MIGRATION_EDITED', file, 0, change))
    }
  }
  return problems
}
