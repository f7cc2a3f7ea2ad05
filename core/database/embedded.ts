/** A PostgreSQL of our own on a folder: started when it is first asked, started again if it dies, stopped with us. */
import { existsSync, chownSync, mkdtempSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Log } from '../plugin.ts'
import { findBinaries, unprivileged, type Binaries } from './binaries.ts'
import { CannotStart, type Target } from './connection.ts'
import { createData, readPidFile, startPostmaster, superuser, type Postmaster } from './postmaster.ts'

export interface EmbeddedServer {
  readonly target: Target
  /** Resolves when it accepts connections. A start that failed is tried again by the next call. */
  start(): Promise<void>
  /** Calls back when it ends without having been stopped. */
  onGone(listener: (error: Error) => void): void
  /** Stops it, or what is under way of its start. After this it does not start any more. */
  stop(): Promise<void>
}

export interface EmbeddedOptions {
  readonly sources?: readonly Binaries['from'][]
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * Nothing happens before the first `start`. The folder gets a subfolder `data`; one process at a time may use it (on one
 * machine: PostgreSQL cannot see the processes of another container on the same volume).
 */
export function startEmbedded(folder: string, log: Log, options: EmbeddedOptions = {}): EmbeddedServer {
  const root = resolve(folder)
  const socket = socketFolder()
  const stopping = new AbortController()
  let postmaster: Postmaster | null = null
  let starting: Promise<void> | null = null
  let tellGone: (error: Error) => void = () => {}

  const begin = async (): Promise<void> => {
    if (stopping.signal.aborted) throw new CannotStart('it has been stopped')
    const data = join(root, 'data')
    const binaries = await prepare(root, data, options, stopping.signal)
    await refuseOthers(data)
    const onLine = (line: string): void => tell(log, line)
    const started = await startPostmaster(
      { binaries, data, socket, settings: options.settings, onLine, leftovers: socket },
      stopping.signal,
    )
    postmaster = started
    void started.gone.then((reason) => {
      postmaster = null
      if (stopping.signal.aborted) return
      log.error({ reason }, 'the embedded PostgreSQL has ended; it is started again')
      tellGone(new Error(`the embedded PostgreSQL has ended: ${reason}`))
    })
    log.info({ folder: root, version: binaries.version, from: binaries.from }, 'the embedded PostgreSQL is up')
  }

  return {
    target: { host: socket, user: superuser, database: 'postgres' },
    start() {
      if (postmaster) return Promise.resolve()
      starting ??= begin().finally(() => {
        starting = null
      })
      return starting
    },
    onGone(listener) {
      tellGone = listener
    },
    async stop() {
      stopping.abort()
      await starting?.catch(() => {})
      await postmaster?.stop()
      await rm(socket, { recursive: true, force: true })
    },
  }
}

/** Data that is there decides about the version of PostgreSQL; else the first one found does, and makes some. */
async function prepare(root: string, data: string, options: EmbeddedOptions, signal: AbortSignal): Promise<Binaries> {
  try {
    await mkdir(root, { recursive: true })
  } catch (error) {
    throw new CannotStart(`the folder ${root} cannot be made`, { cause: error })
  }
  const made = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => null)
  const version = made === null ? undefined : Number.parseInt(made, 10)
  const binaries = await findBinaries({ version, copyTo: join(root, 'programs'), sources: options.sources })
  if (made === null) await createData(binaries, data, { signal })
  return binaries
}

/** PostgreSQL refuses a second server on its data; this says who the first one is, and clears away what only looks like one. */
async function refuseOthers(data: string): Promise<void> {
  const other = await readPidFile(data)
  if (other === null || !isAlive(other.pid)) return
  const name = await readFile(`/proc/${other.pid}/comm`, 'utf8').catch(() => null)
  if (name !== null && !name.startsWith('postgres')) {
    // Its number went to another process, after a crash or in a new container.
    await rm(join(data, 'postmaster.pid'))
    return
  }
  throw new CannotStart(
    `the folder is in use: PostgreSQL runs on it as process ${other.pid}, started by another Postern; stop that one, or ` +
      `choose another folder, or reach it with postgres://${superuser}@localhost/postgres?host=${encodeURIComponent(other.socket)}`,
  )
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' // kill fails with nothing but system errors
  }
}

/** A new folder that only PostgreSQL's user (and root) can enter. Its path has to be short: a socket's has 103 bytes at most. */
function socketFolder(): string {
  const base = tmpdir().length <= 60 || !existsSync('/tmp') ? tmpdir() : '/tmp'
  const folder = mkdtempSync(join(base, 'postern-pg-'))
  if (unprivileged.uid !== undefined) chownSync(folder, unprivileged.uid, unprivileged.gid!)
  return folder
}

/** `LEVEL:  text`, as the server writes it. */
function tell(log: Log, line: string): void {
  const [, level = '', text = line] = /^([A-Z]+):\s+(.*)$/.exec(line) ?? []
  if (level === 'PANIC' || level === 'FATAL') log.error({}, `PostgreSQL: ${text}`)
  else if (level === 'WARNING') log.warn({}, `PostgreSQL: ${text}`)
  else log.debug({}, `PostgreSQL: ${text}`)
}
