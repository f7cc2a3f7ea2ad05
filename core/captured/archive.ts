/**
 * Everything that was captured, wherever it stands: in the database, and in the file that takes over while there is none or while
 * it does not answer. A record that stands in both, because nobody knew whether it had arrived, counts once.
 */
import type { Database } from '../database/database.ts'
import type { CapturedError } from './captured.ts'
import { inFiles } from './files.ts'
import { codeOf, type Filter } from './filter.ts'
import { findRows, knownIn, listRows, sumRows } from './rows.ts'
import { Sums, type Summary } from './sums.ts'

export interface Places {
  readonly database: Pick<Database, 'query'> | null
  /** The file; null: none is looked at. */
  readonly file: string | null
}

/** What was found, and why that may not be all. */
export interface Found<T> {
  readonly found: T
  /** What the database says where it could not be asked; null where it was, or where there is none. */
  readonly problem: Error | null
}

/** The newest first, `limit` at most. Rejects only where a file cannot be read. */
export async function listErrors(places: Places, filter: Filter, limit: number): Promise<Found<CapturedError[]>> {
  const { rows, problem } = await asked(places, (database) => listRows(database, filter, limit))
  const lines = places.file === null ? [] : await first(limit, inFiles(places.file, filter))
  return { found: joined(rows, lines).slice(0, limit), problem }
}

/** The record of that name, or else all of an exchange, the newest first. */
export async function findErrors(places: Places, name: string, limit: number): Promise<Found<CapturedError[]>> {
  const { rows, problem } = await asked(places, (database) => findRows(database, name, limit))
  if (rows.some(({ id }) => id === name) || places.file === null) return { found: rows, problem }
  const lines = await first(limit, named(inFiles(places.file, {}, [JSON.stringify(name)]), name))
  const exact = lines.find(({ id }) => id === name)
  return { found: exact ? [exact] : joined(rows, lines).slice(0, limit), problem }
}

/** Counts all that the filter lets through. */
export async function sumErrors({ database, file }: Places, filter: Filter): Promise<Found<Summary>> {
  const sums = new Sums()
  let problem: Error | null = null
  if (database) await sumRows(database, filter, sums).catch((error: unknown) => (problem = asError(error)))
  const isBoth = database !== null && problem === null
  for await (const records of file === null ? [] : batches(inFiles(file, filter))) {
    const known = isBoth
      ? await knownIn(
          database,
          records.map(({ id }) => id),
        )
      : nobody
    for (const record of records) {
      if (known.has(record.id)) continue
      sums.addHour(Date.parse(record.at), record.phase)
      sums.addCode(codeOf(record))
      sums.addUpstream(record.upstream)
    }
  }
  return { found: sums.told(), problem }
}

const nobody: ReadonlySet<string> = new Set()

/** A database that cannot be asked does not keep the file from telling what it has. */
async function asked(
  { database }: Places,
  ask: (database: Pick<Database, 'query'>) => Promise<CapturedError[]>,
): Promise<{ rows: CapturedError[]; problem: Error | null }> {
  if (!database) return { rows: [], problem: null }
  return ask(database).then(
    (rows) => ({ rows, problem: null }),
    (error: unknown) => ({ rows: [], problem: asError(error) }),
  )
}

function joined(rows: readonly CapturedError[], lines: readonly CapturedError[]): CapturedError[] {
  if (rows.length === 0) return [...lines]
  const known = new Set(rows.map(({ id }) => id))
  const all = [...rows, ...lines.filter(({ id }) => !known.has(id))]
  return all.toSorted((one, other) => (one.at === other.at ? 0 : one.at < other.at ? 1 : -1))
}

async function first(limit: number, records: AsyncIterable<CapturedError>): Promise<CapturedError[]> {
  const some: CapturedError[] = []
  for await (const record of records) if (some.push(record) >= limit) break
  return some
}

/** Those of a name; where one has it as its own, that one is the last. */
async function* named(records: AsyncIterable<CapturedError>, name: string): AsyncGenerator<CapturedError> {
  for await (const record of records) {
    if (record.id === name || record.exchange === name) yield record
    if (record.id === name) return
  }
}

/** So many names are asked for at once. */
const mostNames = 1000

async function* batches(records: AsyncIterable<CapturedError>): AsyncGenerator<CapturedError[]> {
  let batch: CapturedError[] = []
  for await (const record of records) {
    if (batch.push(record) < mostNames) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
