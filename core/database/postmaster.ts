/** A PostgreSQL server as a child process: made, started, watched over and stopped. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { unprivileged, type Binaries } from './binaries.ts'
import { CannotStart } from './connection.ts'

export interface PostmasterOptions {
  readonly binaries: Binaries
  /** The folder with the data, made by `createData`. */
  readonly data: string
  /** The folder for the socket: whoever may enter it may do everything. */
  readonly socket: string
  /** Of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
  /** Hears what the server writes to its log, line by line. */
  readonly onLine?: (line: string) => void
  /** Removed when this process ends without having stopped the server. */
  readonly leftovers?: string
}

export interface Postmaster {
  readonly pid: number
  /** Resolves when it is gone, with what it said last. */
  readonly gone: Promise<string>
  readonly isGone: boolean
  /** Ends every connection and stops. What has not stopped after `deadline` ms is killed, and recovers at its next start. */
  stop(deadline?: number): Promise<void>
}

/** The superuser, and the only user there is. */
export const superuser = 'postgres'

export interface CreateOptions {
  readonly signal?: AbortSignal
  /** Whether the data has reached the disk when this resolves. Default: it has. */
  readonly isSynced?: boolean
}

/** Makes an empty database cluster. Whatever happens, the folder is there and complete, or it is not there. */
export async function createData(binaries: Binaries, data: string, options: CreateOptions = {}): Promise<void> {
  const { signal, isSynced = true } = options
  await sweep(data)
  const half = await mkdtemp(`${data}.`)
  if (unprivileged.uid !== undefined) await chown(half, unprivileged.uid, unprivileged.gid!)
  const initdb = join(binaries.folder, 'initdb')
  try {
    const how = ['--username', superuser, '--encoding=UTF8', '--locale=C', '--auth-local=trust', '--auth-host=reject']
    await finish(initdb, ['--pgdata', half, ...how, '--no-sync', '--no-instructions'], signal)
    if (isSynced) await finish(initdb, ['--pgdata', half, '--sync-only'], signal)
    await rename(half, data).catch(async (error: unknown) => {
      // Somebody else was faster: theirs is as good.
      const isMade = await readFile(join(data, 'PG_VERSION')).catch(() => null)
      if (!isMade)
        throw new CannotStart(`the folder ${data} holds something that is no data of PostgreSQL`, { cause: error })
    })
  } finally {
    await rm(half, { recursive: true, force: true })
  }
}

/** Removes what a process that was killed has half made: nobody takes ten minutes. */
async function sweep(data: string): Promise<void> {
  const folder = dirname(data)
  const names = (await readdir(folder)).filter((name) => name.startsWith(`${basename(data)}.`))
  for (const half of names.map((name) => join(folder, name))) {
    const { mtimeMs } = await stat(half)
    if (mtimeMs < Date.now() - 600_000) await rm(half, { recursive: true, force: true })
  }
}

/** Resolves when it accepts connections, however long its recovery takes; rejects with CannotStart when it ends instead. */
export async function startPostmaster(options: PostmasterOptions, signal?: AbortSignal): Promise<Postmaster> {
  const { binaries, data, socket, settings = {}, onLine } = options
  const all = { ...basics, unix_socket_directories: socket, ...settings }
  const set = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const child = spawn(join(binaries.folder, 'postgres'), ['-D', data, ...set], {
    ...place(data),
    // A group of its own: Ctrl-C in a terminal is meant for us, who still need the database while exchanges end.
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  child.on('error', () => {}) // `gone` says it
  const last = tail(child, onLine)
  let isGone = false
  const gone = new Promise<string>((resolve) => {
    const end = (how: string): void => {
      isGone = true
      resolve(last() || how)
    }
    child.once('error', (error) => end(error.message))
    child.once('exit', (code, killer) => end(killer ? `ended by ${killer}` : `exit code ${code}`))
  })
  const guard = child.pid === undefined ? null : standGuard(child.pid, data, options.leftovers)
  void gone.then(() => guard?.kill('SIGKILL'))
  letGo(child)

  const stop = async (deadline = 5000): Promise<void> => {
    if (isGone) return
    const timer = setTimeout(() => child.kill('SIGKILL'), deadline)
    child.ref()
    child.kill('SIGINT')
    await gone
    clearTimeout(timer)
  }
  while (!isGone && !signal?.aborted && !(await isReady(data, child.pid))) await sleep(20)
  if (isGone) throw new CannotStart(await gone, { isPassing: true })
  if (signal?.aborted) {
    await stop()
    throw new CannotStart('stopped while it was starting')
  }
  return {
    pid: child.pid!,
    gone,
    get isGone() {
      return isGone
    },
    stop,
  }
}

/** What postmaster.pid says about the server on a folder; null if none has been there since it last stopped well. */
export async function readPidFile(data: string): Promise<{ pid: number; socket: string; isReady: boolean } | null> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  if (lines.length < 5) return null
  return { pid: Number(lines[0]), socket: lines[4] ?? '', isReady: lines[7]?.trim() === 'ready' }
}

async function isReady(data: string, pid: number | undefined): Promise<boolean> {
  const file = await readPidFile(data)
  return file !== null && file.pid === pid && file.isReady
}

const basics: Readonly<Record<string, string>> = {
  // Nothing is reachable over the network; the socket's folder is closed to everybody else.
  listen_addresses: '',
  unix_socket_permissions: '0700',
  port: '5432',
  max_connections: '50',
  shared_buffers: '32MB',
  jit: 'off',
  timezone: 'UTC',
  // Errors of statements reach whoever sent them; statements may hold what no log should.
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
  log_checkpoints: 'off',
  logging_collector: 'off',
  log_destination: 'stderr',
  log_line_prefix: '',
}

function place(data: string) {
  return { ...unprivileged, cwd: data, env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' } }
}

/** Runs a program to its end; rejects with what it said. */
async function finish(program: string, args: string[], signal?: AbortSignal): Promise<void> {
  const data = args[1]!
  const child = spawn(program, args, { ...place(data), stdio: ['ignore', 'ignore', 'pipe'], signal })
  const last = tail(child)
  const [code] = (await once(child, 'close').catch((error: Error) => [error.message])) as [number | string] // its arguments
  if (code === 0) return
  const said = last() || String(code)
  const cure =
    /permission denied/i.test(said) && unprivileged.uid !== undefined
      ? `; PostgreSQL does not run as root, and user ${unprivileged.uid} cannot reach ${data}: choose another folder`
      : ''
  throw new CannotStart(`initdb: ${said}${cure}`)
}

/** The last lines a child has written, as one text. */
function tail(child: ChildProcess, onLine?: (line: string) => void): () => string {
  const lines: string[] = []
  let rest = ''
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n')
    rest = (parts.pop() ?? '').slice(-2000)
    for (const line of parts) {
      lines.push(line)
      if (lines.length > 8) lines.shift()
      onLine?.(line)
    }
  })
  return () => [...lines, rest].join(' ').trim()
}

/**
 * A child of PostgreSQL's own user that stops the server when this process is gone, in whatever way: its standard input ends
 * then. A SIGKILL leaves nobody else to do it. What is left over is removed when the server has stopped well, within 10 s.
 */
function standGuard(pid: number, data: string, leftovers: string | undefined): ChildProcess {
  const script = `
    read -r _
    kill -INT "$1"
    [ -n "$3" ] || exit
    for turn in $(seq 200); do [ -e "$2/postmaster.pid" ] || break; sleep 0.05; done
    rm -rf -- "$3"`
  const guard = spawn('/bin/sh', ['-c', script, 'guard', String(pid), data, leftovers ?? ''], {
    ...unprivileged,
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.on('error', () => {}) // a system without a shell: the next start finds the server still running
  guard.stdin.on('error', () => {})
  letGo(guard)
  return guard
}

/** The child does not keep this process from ending. */
function letGo(child: ChildProcess): void {
  child.unref()
  for (const stream of [child.stdin, child.stderr]) if (stream instanceof Socket) stream.unref()
}
