/** The lock that lets one runner of migrations work at a time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { PG_MIGRATE_LOCK_ID } from 'node-pg-migrate'
import type { Query, Session } from './database.ts'
import { MigrationError, problem } from './problems.ts'

/** ms between two attempts. */
const pause = 200

/**
 * Runs `work` while this session holds the lock, the one that node-pg-migrate's own command takes as well. It is asked for again
 * and again: a statement that *waits* for a lock holds a snapshot, which CREATE INDEX CONCURRENTLY of the lock's owner would wait
 * for, and both would wait for ever. Rejects with MIGRATION_LOCKED after `ms`.
 */
export async function withMigrationLock<T>(
  session: Session,
  ms: number,
  onWait: (holder: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + ms
  for (let told = ''; !(await tryLock(session.query));) {
    const holder = await whoHolds(session.query)
    if (holder !== told) onWait(holder)
    told = holder
    if (performance.now() >= deadline) {
      throw new MigrationError([problem('MIGRATION_LOCKED', '', 0, `waited ${ms} ms for ${holder}`)])
    }
    await sleep(pause)
  }
  try {
    return await work()
  } finally {
    // A session that is lost has lost its locks.
    await session.query('SELECT pg_advisory_unlock($1)', [PG_MIGRATE_LOCK_ID]).catch(() => {})
  }
}

async function tryLock(query: Query): Promise<boolean> {
  const { rows } = await query<{ got: boolean }>('SELECT pg_try_advisory_lock($1) AS got', [PG_MIGRATE_LOCK_ID])
  return rows[0]?.got ?? false
}

async function whoHolds(query: Query): Promise<string> {
  const { rows } = await query<{ pid: number; name: string | null }>(
    `SELECT l.pid, a.application_name AS name
     FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND (l.classid::int8 << 32 | l.objid::int8) = $1`,
    [PG_MIGRATE_LOCK_ID],
  )
  const holder = rows[0]
  return holder ? `process ${holder.pid} (${holder.name || 'no name'})` : 'a runner that has just ended'
}
