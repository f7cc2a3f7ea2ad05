/** Whether an index may be dropped: others cover its columns, and nobody has used it for seven days on end. */
import { readIndexStatement } from './check.ts'
import type { Query } from './database.ts'
import type { MigrationFile } from './files.ts'

/** Days without a scan. */
export const calmDays = 7

/** Under which `gate_counters` keeps, for each day, how often an index had been scanned since it was made. */
const gate = 'index_scans'

/**
 * Why a file may not run yet, a sentence for each reason; empty for files that drop nothing, and for indexes that are not there.
 * Scans on a replica are not seen: its statistics are its own.
 */
export async function indexGate(query: Query, file: MigrationFile): Promise<string[]> {
  const reasons: string[] = []
  for (const name of dropsOf(file)) {
    const { rows } = await query<{ scans: number; uncovered: string[] }>(scansAndCover, [name])
    const index = rows[0]
    if (!index) continue
    if (index.uncovered.length > 0) {
      reasons.push(`no other index of its table has ${index.uncovered.join(', ')}, which ${name} has`)
    }
    const days = await calmSince(query, name, index.scans)
    if (days < calmDays) reasons.push(`${name} has been seen without a scan for ${days} of ${calmDays} days`)
  }
  return reasons
}

/** Writes down today's number of scans of every index that the files want to drop. Once a day is enough, more often is harmless. */
export async function observeIndexes(query: Query, files: readonly MigrationFile[]): Promise<void> {
  const names = files.flatMap(dropsOf)
  if (names.length === 0 || !(await hasCounters(query))) return
  await query(
    `INSERT INTO gate_counters (day, gate, name, value)
     SELECT (now() AT TIME ZONE 'UTC')::date, $1, name, s.idx_scan
     FROM unnest($2::text[]) AS name JOIN pg_stat_user_indexes s ON s.indexrelid = to_regclass(name)
     ON CONFLICT (gate, name, day) DO UPDATE SET value = excluded.value`,
    [gate, names],
  )
}

/** For how many days, without a gap, the number of scans has been what it is now; a reset of the statistics begins anew. */
async function calmSince(query: Query, name: string, scans: number): Promise<number> {
  if (!(await hasCounters(query))) return 0
  const { rows } = await query<{ age: number; value: number }>(
    `SELECT (now() AT TIME ZONE 'UTC')::date - day AS age, value FROM gate_counters
     WHERE gate = $1 AND name = $2 ORDER BY day DESC LIMIT 400`,
    [gate, name],
  )
  // A day may be missed at the near end: today's observation may still be to come.
  let calm = 0
  for (const [place, { age, value }] of rows.entries()) {
    const before = place === 0 ? 0 : rows[place - 1]!.age
    if (value !== scans || age - before > 1) break
    calm = age
  }
  return calm
}

async function hasCounters(query: Query): Promise<boolean> {
  const { rows } = await query<{ is: boolean }>(`SELECT to_regclass('gate_counters') IS NOT NULL AS is`)
  return rows[0]?.is ?? false
}

/** Names as the statements write them, schema and all. */
function dropsOf(file: MigrationFile): string[] {
  if (!file.isOutsideTransaction) return []
  const indexes = file.statements.map(readIndexStatement)
  return indexes.flatMap((index) => {
    if (index?.action !== 'drop') return []
    const quoted = `"${index.name.replaceAll('"', '""')}"`
    return [index.schema === null ? quoted : `"${index.schema.replaceAll('"', '""')}".${quoted}`]
  })
}

/** An index depends on the columns it orders by, stores, or names in its condition. */
const scansAndCover = `
  WITH columns AS (
    SELECT d.objid AS index, d.refobjid AS "table", d.refobjsubid AS number
    FROM pg_depend d JOIN pg_index i ON i.indexrelid = d.objid AND i.indisvalid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
  )
  SELECT s.idx_scan AS scans, coalesce((
    SELECT array_agg(a.attname::text) FROM columns c
    JOIN pg_attribute a ON a.attrelid = c."table" AND a.attnum = c.number
    WHERE c.index = s.indexrelid
      AND NOT EXISTS (SELECT FROM columns o WHERE o."table" = c."table" AND o.number = c.number AND o.index <> c.index)
  ), '{}') AS uncovered
  FROM pg_stat_user_indexes s WHERE s.indexrelid = to_regclass($1)`
