/** The database for a command that is run beside gateways. */
import { join, resolve } from 'node:path'
import { defaultFolder, openDatabase, type Database } from '../database/database.ts'
import { readPidFile, superuser } from '../database/postmaster.ts'
import { silentLog } from '../observe/log.ts'

/** How long, in ms, the database may take until it answers: an embedded one may have to be made, or to recover. */
const patience = { postgres: 10_000, embedded: 60_000, running: 2000 }

/**
 * Opens `postgres://…`, `embedded` or `embedded:FOLDER`, and waits until it answers. An embedded one that a gateway has started is
 * asked as it runs. `wait`: how long, in ms, a PostgreSQL of somebody else's has to answer. Rejects with DatabaseUnavailable.
 */
export async function openNamed(named: string, wait: number = patience.postgres): Promise<Database> {
  if (!named.startsWith('embedded')) return ready(openDatabase(named, silentLog), wait)
  const folder = named.startsWith('embedded:') ? named.slice('embedded:'.length) : defaultFolder
  const running = await socketOf(folder)
  if (running !== null) {
    const db = await ready(openDatabase(running, silentLog), patience.running).catch(() => null)
    if (db) return db
  }
  return ready(openDatabase({ embedded: folder }, silentLog))
}

/** Where the embedded PostgreSQL listens that a gateway has started on the folder; null where none has said that it is up. */
async function socketOf(folder: string): Promise<string | null> {
  const file = await readPidFile(join(resolve(folder), 'data'))
  if (!file?.isReady) return null
  return `postgres://${superuser}@localhost/postgres?host=${encodeURIComponent(file.socket)}`
}

async function ready(db: Database, ms: number = patience[db.kind]): Promise<Database> {
  try {
    await db.ready(ms)
    return db
  } catch (error) {
    await db.close()
    throw error
  }
}
