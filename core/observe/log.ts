/** The log: pino on an asynchronous destination. Fields are bound once per plugin; no logger is made per record. */
import { randomUUID } from 'node:crypto'
import { pino } from 'pino'
import type { Log } from '../plugin.ts'

export type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

/** The log of the process. */
export interface RootLog extends Log {
  /** A log with fields of its own, for something that lives as long as a gateway. */
  child(fields: object): Log
  setLevel(level: Level): void
  isOn(level: Level): boolean
  /** Writes out what is buffered; call it before the process ends. */
  flush(): void
}

export interface LogOptions {
  readonly level: Level
  /** File descriptor or path; 1 is the standard output. */
  readonly destination?: number | string
}

/** Opens the log. Records are gathered for at most 200 ms or 4 KiB before they are written. */
export function openLog(options: LogOptions): RootLog {
  const destination = pino.destination({
    dest: options.destination ?? 1,
    sync: false,
    minLength: 4096,
    periodicFlush: 200,
  })
  const logger = pino(
    {
      level: options.level,
      base: { instance: randomUUID().slice(0, 8) },
      timestamp: clock(),
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.err },
    },
    destination,
  )
  const children = new Set<WeakRef<pino.Logger>>()
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    isOn: (level) => level !== 'silent' && logger.isLevelEnabled(level),
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
    flush: () => destination.flushSync(),
  }
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
  isOn: () => false,
  flush() {},
}
