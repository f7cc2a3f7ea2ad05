/** Where rows go: into the database, billed, or to the end of a file. */
import { appendFile, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Database } from 'postern/plugin'
import { bill } from './bill.ts'
import type { Sink } from './write.ts'

export function databaseSink(database: Database): Sink {
  return {
    get isUp() {
      return database.state === 'up'
    },
    write: (rows) => bill(database, rows),
    isTransient,
  }
}

/** One line of JSON for each row. The file is opened for each batch: whoever rotates it may take it away. */
export function fileSink(path: string): Sink {
  return {
    isUp: true,
    async write(rows) {
      await mkdir(dirname(path), { recursive: true })
      await appendFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''), { mode: 0o600 })
      return { billed: new Set(rows.map(({ id }) => id)), before: new Set(), renamed: [] }
    },
    isTransient: () => true,
  }
}

/**
 * Classes of SQLSTATE in which the row itself is what PostgreSQL does not take: a value that does not fit (22), a rule of the table
 * that it breaks (23). Everything else may be over the next time: no connection, a deadlock, a disk that is full, a migration that has not run.
 */
const faultsOfRows = /^2[23]/

function isTransient(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  return !(code.length === 5 && faultsOfRows.test(code))
}
