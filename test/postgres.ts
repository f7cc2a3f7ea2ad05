/**
 * A real PostgreSQL for a test: `await using db = await freshDatabase()`. The server is DATABASE_URL's if that is set, else one
 * of our own (the system's binaries, else the npm package's), started by the first test that asks, shared by all of the process,
 * gone with it. Where there is none the test fails and says what to install: it is never skipped.
 */
import { execFile } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { findBinaries, unprivileged, type Binaries } from '../core/database/binaries.ts'
import { openDatabase } from '../core/database/database.ts'
import { shippedMigrations } from '../core/database/files.ts'
import { up } from '../core/database/migrate.ts'
import { createData, startPostmaster, superuser, type Postmaster } from '../core/database/postmaster.ts'
import { silentLog } from '../core/observe/log.ts'

export interface FreshDatabase extends AsyncDisposable {
  readonly name: string
  /** For `openDatabase`, or for a driver. */
  readonly url: string
}

let shared: Promise<(database: string) => string> | undefined
let template: Promise<string> | undefined
let count = 0

/** An empty database of its own; dropped at the end of the block, whoever is still connected. */
export async function freshDatabase(from = 'template0'): Promise<FreshDatabase> {
  shared ??= openServer()
  const urlOf = await shared
  const name = `postern_test_${process.pid}_${count++}`
  await run(urlOf('postgres'), `CREATE DATABASE ${name} TEMPLATE ${from}`)
  return {
    name,
    url: urlOf(name),
    [Symbol.asyncDispose]: () => run(urlOf('postgres'), `DROP DATABASE ${name} WITH (FORCE)`),
  }
}

/** A database with every migration in it. They run once in this process; each test gets a copy. */
export async function migratedDatabase(): Promise<FreshDatabase> {
  template ??= makeTemplate()
  return freshDatabase(await template)
}

/** Runs statements on a connection of their own. */
export async function run(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/** A server that a test may stop, kill and start again. */
export interface OwnServer extends AsyncDisposable {
  readonly url: string
  readonly postmaster: Postmaster
  start(): Promise<void>
  /** SIGKILL, and it is gone. */
  kill(): Promise<void>
}

export interface OwnServerOptions {
  readonly settings?: Readonly<Record<string, string>>
  /** Whose binaries, in the order in which they are looked for. */
  readonly sources?: readonly Binaries['from'][]
}

/** Starts one, from a copy of empty data. */
export async function ownServer({ settings = {}, sources }: OwnServerOptions = {}): Promise<OwnServer> {
  const binaries = await localBinaries(sources)
  const folder = scratchFolder('postern-own-')
  const data = join(folder, 'data')
  await copyData(binaries, data)
  const start = () =>
    startPostmaster({ binaries, data, socket: folder, settings: { ...careless, ...settings }, leftovers: folder })
  let postmaster = await start()
  return {
    url: urlFor(folder, 'postgres'),
    get postmaster() {
      return postmaster
    },
    async start() {
      // The children of one that was killed take a moment to notice; as long as one lives its memory is in use.
      const end = performance.now() + 10_000
      while (postmaster.isGone) {
        const started = start().catch(async (error: unknown) => {
          if (performance.now() > end) throw error
          await sleep(50)
          return postmaster
        })
        postmaster = await started
      }
    },
    async kill() {
      process.kill(postmaster.pid, 'SIGKILL')
      await postmaster.gone
    },
    async [Symbol.asyncDispose]() {
      await postmaster.stop()
      await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    },
  }
}

/** A new folder that the server's user owns, in memory where there is room: a disk that others use as well takes its time. */
export function scratchFolder(prefix: string): string {
  const folder = mkdtempSync(join(hasRoom('/dev/shm') ? '/dev/shm' : tmpdir(), prefix))
  if (unprivileged.uid !== undefined) chownSync(folder, unprivileged.uid, unprivileged.gid!)
  return folder
}

function hasRoom(folder: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize > 2 ** 30
  } catch {
    return false
  }
}

/** The binaries for tests: the system's own first, as most people will run against one like it. */
export function localBinaries(sources: readonly Binaries['from'][] = ['system', 'package']): Promise<Binaries> {
  return findBinaries({ copyTo: join(tmpdir(), 'postern-programs'), sources })
}

/** Nothing here has to survive a power cut. */
export const careless = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '100' }

/** Made once by this process for each version. */
const emptyData = new Map<string, Promise<string>>()

async function copyData(binaries: Binaries, data: string): Promise<void> {
  let empty = emptyData.get(binaries.folder)
  if (!empty) emptyData.set(binaries.folder, (empty = makeEmptyData(binaries)))
  await promisify(execFile)('cp', ['-a', await empty, data])
}

async function makeEmptyData(binaries: Binaries): Promise<string> {
  const folder = scratchFolder('postern-data-')
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  await createData(binaries, join(folder, 'data'), { isSynced: false })
  return join(folder, 'data')
}

async function openServer(): Promise<(database: string) => string> {
  const given = process.env['DATABASE_URL']
  if (given) {
    return (database) => {
      const url = new URL(given)
      url.pathname = `/${database}`
      return url.href
    }
  }
  const binaries = await localBinaries()
  const folder = scratchFolder('postern-test-pg-')
  const data = join(folder, 'data')
  await copyData(binaries, data)
  await startPostmaster({ binaries, data, socket: folder, settings: careless, leftovers: folder })
  return (database) => urlFor(folder, database)
}

function urlFor(socket: string, database: string): string {
  return `postgres://${superuser}@localhost/${database}?host=${encodeURIComponent(socket)}`
}

async function makeTemplate(): Promise<string> {
  const { name, url } = await freshDatabase()
  const db = openDatabase(url, silentLog)
  try {
    await up(db, { folder: shippedMigrations })
  } finally {
    await db.close()
  }
  if (process.env['DATABASE_URL']) {
    // Somebody else's server keeps nothing of ours.
    const drop = `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`
    process.once('beforeExit', () => void run(process.env['DATABASE_URL']!, drop).catch(() => {}))
  }
  return name
}
