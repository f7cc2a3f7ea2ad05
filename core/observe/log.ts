/** The log: pino on an asynchronous destination. Fields are bound once per plugin; no logger is made per record. */
import { randomUUID } from 'node:crypto'
import { close, openSync, write, writeSync } from 'node:fs'
import { pino } from 'pino'
import type { Log } from '../plugin.ts'
import { redactLine } from './redact.ts'

export const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type Level = (typeof levels)[number]

/** The log of the process. */
export interface RootLog extends Log {
  /** A log with fields of its own, for something that lives as long as a gateway. */
  child(fields: object): Log
  setLevel(level: Level): void
  /**
   * Where records go from now on, whichever logger writes them; what was written before still goes where it was going. The same
   * path again opens it anew, which is what a rotation wants. Throws the system's error where the path cannot be opened: then
   * nothing has changed.
   */
  setDestination(destination: number | string): void
  isOn(level: Level): boolean
  /**
   * A record whose fields are spelt already: members of a JSON object, without its braces. `mayTell`: something in them has to be
   * looked at by the redactor. Whoever calls it has asked `isOn`.
   */
  record(level: Level, members: string, message: string, mayTell: boolean): void
  /** Whole lines of another process's log, as they are. */
  pass(lines: string): void
  /** Writes out what is buffered; call it before the process ends. */
  flush(): void
}

export interface LogOptions {
  readonly level: Level
  /** File descriptor or path; 1 is the standard output. */
  readonly destination?: number | string
  /** Which worker writes it, in every line. Absent: there are none. */
  readonly worker?: number
}

/**
 * Opens the log. Throws the system's error where the destination cannot be opened; one that fails later on is told of on the
 * standard error, never thrown at who writes a record.
 */
export function openLog(options: LogOptions): RootLog {
  const open = (place: number | string) => new Destination(place, (lost) => logger.warn({ lost }, lostRecords))
  let current = open(options.destination ?? 1)
  const instance = randomUUID().slice(0, 8)
  const base = { instance, ...(options.worker === undefined ? {} : { worker: options.worker }) }
  const spelt = JSON.stringify(base).slice(1, -1)
  const time = clock()
  const logger = pino(
    {
      level: options.level,
      base,
      timestamp: time,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.err },
      hooks: { streamWrite: redactLine },
    },
    // Loggers hold this object for good: another destination is one assignment.
    { write: (line) => current.write(line) },
  )
  const children = new Set<WeakRef<pino.Logger>>()
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    isOn: (level) => level !== 'silent' && logger.isLevelEnabled(level),
    record(level, members, message, mayTell) {
      const line = `{"level":"${level}"${time()},${spelt},${members},"msg":"${message}"}\n`
      current.write(mayTell ? redactLine(line) : line)
    },
    pass: (lines) => current.write(lines),
    child(fields) {
      const child = logger.child(fields)
      children.add(new WeakRef(child))
      return child
    },
    setLevel(level) {
      logger.level = level
      for (const child of children) {
        const live = child.deref()
        if (live) live.level = level
        else children.delete(child)
      }
    },
    setDestination(destination) {
      const before = current
      current = open(destination)
      before.end()
    },
    flush: () => current.flush(),
  }
}

const lostRecords = 'records of the log were lost: its destination was too slow'
/** Characters that are gathered before they are written, for at most `longestWait` ms. */
const gathered = 64 * 1024
const longestWait = 200
/** Characters that wait for a destination which takes nothing more: further records are lost, and counted. */
const mostWaiting = 8 * 2 ** 20
/** A write that failed is tried again after this many ms. */
const retryAfter = 100
/** How long a flush keeps the process waiting for a destination that takes nothing, in ms. */
const longestFlush = 1000

/**
 * Lines on their way to a file. pino's own destination, sonic-boom 4.2.1, would do but for one thing: its flush repeats a write that
 * fails for as long as it fails, so that on a full disk, or beside a reader that has stopped, the process never ends.
 */
class Destination {
  readonly #fd: number
  readonly #lostSome: (records: number) => void
  #waiting = ''
  /** What is being written, or has to be written again first. */
  #bytes: Buffer = nothing
  #isWriting = false
  #isEnding = false
  #timer: NodeJS.Timeout | null = null
  #lost = 0

  /** A path is opened here and now: its error is the caller's, and a flush always has somewhere to write to. */
  constructor(place: number | string, lostSome: (records: number) => void) {
    this.#fd = typeof place === 'string' ? openSync(place, 'a') : place
    this.#lostSome = lostSome
    if (!flushesAtExit) process.on('exit', flushLive)
    flushesAtExit = true
    live.add(this)
  }

  write(line: string): void {
    if (this.#waiting.length + line.length > mostWaiting) {
      this.#lost++
      return
    }
    this.#waiting += line
    if (this.#waiting.length >= gathered && this.#bytes.length === 0) this.#next()
    else this.#wake(longestWait)
  }

  /** Writes what waits before it returns, or as much as the file takes within a second. */
  flush(): void {
    const deadline = performance.now() + longestFlush
    // What the system is writing at this moment it will have written; what failed has to be written again.
    let bytes = Buffer.concat([this.#isWriting ? nothing : this.#bytes, Buffer.from(this.#waiting)])
    try {
      while (bytes.length > 0) {
        const written = writeSome(this.#fd, bytes)
        bytes = bytes.subarray(written)
        if (written === 0 && performance.now() > deadline) break
      }
    } catch (error) {
      complain(error)
    }
    this.#waiting = this.#isWriting ? bytes.toString() : ''
    if (!this.#isWriting) this.#bytes = bytes
  }

  /** Closes the file when everything is written, or cannot be. */
  end(): void {
    this.#isEnding = true
    if (!this.#isWriting) this.#next()
  }

  #next(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#bytes.length === 0) {
      this.#bytes = Buffer.from(this.#waiting)
      this.#waiting = ''
    }
    if (this.#bytes.length === 0) {
      if (this.#isEnding) this.#close()
      return
    }
    this.#isWriting = true
    write(this.#fd, this.#bytes, (error, count) => this.#written(error, count))
  }

  #written(error: NodeJS.ErrnoException | null, count: number): void {
    this.#isWriting = false
    if (error) {
      const isBusy = error.code === 'EAGAIN' || error.code === 'EBUSY'
      if (!isBusy) complain(error)
      if (this.#isEnding && !isBusy) this.#close()
      else this.#wake(retryAfter)
      return
    }
    this.#bytes = this.#bytes.subarray(count)
    if (this.#bytes.length > 0 || this.#waiting.length >= gathered || this.#isEnding) this.#next()
    else if (this.#waiting !== '') this.#wake(longestWait)
    if (this.#lost === 0 || this.#waiting.length > mostWaiting / 2) return
    // Told once there is room again, or it would be lost too.
    const lost = this.#lost
    this.#lost = 0
    this.#lostSome(lost)
  }

  #wake(after: number): void {
    if (this.#isWriting) return
    this.#timer ??= setTimeout(() => this.#next(), after).unref()
  }

  #close(): void {
    live.delete(this)
    if (this.#fd > 2) close(this.#fd, () => {})
  }
}

const nothing = Buffer.alloc(0)

/** What still has to be written when the process ends without a word. */
const live = new Set<Destination>()
let flushesAtExit = false

function flushLive(): void {
  for (const destination of live) destination.flush()
}

/** Writes some of the bytes; 0 where the file would take none, after a short sleep. Throws what another try would not cure. */
function writeSome(fd: number, bytes: Buffer): number {
  try {
    return writeSync(fd, bytes)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException // the system's
    if (code !== 'EAGAIN' && code !== 'EBUSY') throw error
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    return 0
  }
}

const complaintsEvery = 60_000
let complainedAt = Number.NEGATIVE_INFINITY

/** Says, at most once a minute, that the log cannot be written. */
function complain(error: unknown): void {
  const now = performance.now()
  if (now - complainedAt < complaintsEvery) return
  complainedAt = now
  process.stderr.write(`postern: the log cannot be written: ${String(error)}\n`)
}

/** The time of a record, spelt out once for all records of a millisecond. */
function clock(): () => string {
  let at = 0
  let spelt = ''
  return () => {
    const now = Date.now()
    if (now !== at) {
      at = now
      spelt = `,"time":"${new Date(now).toISOString()}"`
    }
    return spelt
  }
}

/** A log that says nothing. */
export const silentLog: RootLog = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
  setLevel() {},
  setDestination() {},
  isOn: () => false,
  record() {},
  pass() {},
  flush() {},
}
