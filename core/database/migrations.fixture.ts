/** For tests of migrations: folders of files, and what a database looks like. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Query } from './database.ts'

export interface TestFolder extends AsyncDisposable {
  readonly path: string
  /** Adds a file, or writes it anew. */
  write(file: string, sql: string): Promise<void>
  remove(file: string): Promise<void>
}

/** A folder with these files, gone at the end of the block. */
export async function folderOf(files: Readonly<Record<string, string>>): Promise<TestFolder> {
  const path = await mkdtemp(join(tmpdir(), 'postern-migrations-'))
  for (const [file, sql] of Object.entries(files)) await writeFile(join(path, file), sql)
  return {
    path,
    write: (file, sql) => writeFile(join(path, file), sql),
    remove: (file) => rm(join(path, file)),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true }),
  }
}

/** Everything that migrations make, as lines: two databases are the same if these are. */
export async function catalogOf(query: Query): Promise<string[]> {
  const { rows } = await query<{ line: string }>(`
    SELECT format('column %s.%s %s %s %s %s', c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
        a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), a.attidentity::text)) AS line
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm')
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attnum > 0 AND c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('index %s valid %s', pg_get_indexdef(i.indexrelid), i.indisvalid)
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('object %s %s', relkind, relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('function %s', pg_get_functiondef(oid)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ORDER BY 1`)
  return rows.map(({ line }) => line)
}

/** The index of this name, as PostgreSQL would write it; null if there is none. */
export async function indexOf(query: Query, name: string): Promise<{ definition: string; isValid: boolean } | null> {
  const { rows } = await query<{ definition: string; isValid: boolean }>(
    'SELECT pg_get_indexdef(indexrelid) AS definition, indisvalid AS "isValid" FROM pg_index WHERE indexrelid = to_regclass($1)',
    [name],
  )
  return rows[0] ?? null
}
