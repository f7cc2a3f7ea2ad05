/** The servers that the contract of databases is held against. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { freshDatabase, scratchFolder } from '../../test/postgres.ts'
import { silentLog } from '../observe/log.ts'
import { openDatabase, type Database } from './database.ts'
import type { PoolOptions } from './pool.ts'

export interface Opened {
  readonly db: Database
  /** Another database on the same server, with limits of its own. */
  readonly another: (options?: Partial<PoolOptions>) => Database
  readonly close: () => Promise<void>
}

/** A PostgreSQL that is there, and one of our own. */
export const servers: readonly (readonly [name: string, open: () => Promise<Opened>])[] = [
  ['PostgreSQL', openGiven],
  ['an embedded PostgreSQL', openEmbedded],
]

async function openGiven(): Promise<Opened> {
  const fresh = await freshDatabase()
  const db = openDatabase(fresh.url, silentLog)
  return {
    db,
    another: (options) => openDatabase(fresh.url, silentLog, options),
    async close() {
      await db.close()
      await fresh[Symbol.asyncDispose]()
    },
  }
}

async function openEmbedded(): Promise<Opened> {
  const folder = scratchFolder('postern-embedded-')
  const db = openDatabase({ embedded: join(folder, 'pg') }, silentLog)
  await db.ready()
  const { rows } = await db.query<{ socket: string }>(`SELECT current_setting('unix_socket_directories') AS socket`)
  const url = `postgres://postgres@localhost/postgres?host=${encodeURIComponent(rows[0]!.socket)}`
  return {
    db,
    another: (options) => openDatabase(url, silentLog, options),
    async close() {
      await db.close()
      await rm(folder, { recursive: true })
    },
  }
}
