/** One connection to PostgreSQL: how it is opened, what its values become, and when an error means that it is gone. */
import { Socket } from 'node:net'
import pg from 'pg'

/** Where the server is. */
export type Target =
  | { readonly url: string }
  | { readonly host: string; readonly user: string; readonly database: string }

export interface Limits {
  /** ms until a connection must stand, and until a query must have one. */
  readonly connectTimeout: number
  /** ms that one statement may take; 0 means no limit. The client gives up a little later, at most a second. */
  readonly statementTimeout: number
}

/** PostgreSQL cannot be asked at the moment: nobody is there, or nobody answers in time. Asking again later may help. */
export class DatabaseUnavailable extends Error {
  readonly code = 'DATABASE_UNAVAILABLE'
  constructor(reason: string, options?: ErrorOptions) {
    super(`the database is not available: ${reason}`, options)
    this.name = 'DatabaseUnavailable'
  }
}

/** A PostgreSQL of our own that cannot be started; the message says what to do. */
export class CannotStart extends Error {
  /** Whether it may start by itself the next time: what a crash has left behind goes away. */
  readonly isPassing: boolean
  constructor(reason: string, { isPassing = false, ...options }: ErrorOptions & { isPassing?: boolean } = {}) {
    super(reason, options)
    this.name = 'CannotStart'
    this.isPassing = isPassing
  }
}

/**
 * Settings for a client or a pool. The time limits are startup parameters: a PgBouncer in between has to be told to ignore
 * them (`ignore_startup_parameters`). Sockets are added to `sockets` while they are open, so that the owner can end them.
 */
export function clientConfig(target: Target, limits: Limits, sockets: Set<Socket>): pg.ClientConfig {
  return {
    ...('url' in target ? { connectionString: target.url } : target),
    application_name: 'postern',
    connectionTimeoutMillis: limits.connectTimeout,
    ...(limits.statementTimeout > 0 && {
      statement_timeout: limits.statementTimeout,
      query_timeout: limits.statementTimeout + Math.min(limits.statementTimeout, 1000),
      // A transaction whose owner has forgotten it holds its locks no longer than this.
      idle_in_transaction_session_timeout: limits.statementTimeout + 20_000,
    }),
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types: { getTypeParser: parserOf },
    stream: () => {
      const socket = new Socket()
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      return socket
    },
  }
}

/** Opens a connection outside any pool. An error of it while nobody asks it anything ends it, never the process. */
export async function connect(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client(config)
  client.on('error', () => {})
  try {
    await client.connect()
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
  return client
}

/**
 * What the driver does not do by itself. `numeric` stays text (money is never a float) and so does `date` (a day has no time
 * zone). `int8` becomes a number: ids, counts and sums of tokens are far below 2^53, and a value that is not fails its query
 * instead of being rounded. `timestamptz` becomes a Date, which knows milliseconds, not microseconds.
 */
const parserOf: pg.CustomTypesConfig['getTypeParser'] = (oid: number, format?: string) => {
  if (format !== 'binary') {
    if (oid === 20) return toSafeNumber
    if (oid === 1016) return toSafeNumbers
    if (oid === 1082 || oid === 1114) return asText
    if (oid === 1182 || oid === 1115) return parseArray
  }
  return pg.types.getTypeParser(oid, format === 'binary' ? 'binary' : 'text')
}

const textArray: number = 1009
const parseArray: (text: string) => unknown = pg.types.getTypeParser(textArray, 'text')
const asText = (text: string): string => text

/** Of int8[], with one dimension. */
function toSafeNumbers(text: string): (number | null)[] {
  const texts = parseArray(text) as (string | null)[] // an array of numbers is an array of texts, before it is read
  return texts.map((item) => (item === null ? null : toSafeNumber(item)))
}

function toSafeNumber(text: string): number {
  const number = Number(text)
  if (!Number.isSafeInteger(number)) throw new RangeError(`${text} is not below 2^53; select it as text (::text)`)
  return number
}

/** Whether the error ends the connection it happened on. What PostgreSQL says about one statement does not. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) {
    if (error.severity === 'FATAL' || error.severity === 'PANIC') return true
    return error.code?.startsWith('08') ?? false
  }
  // A value that cannot be written or read is its statement's fault.
  return !(error instanceof RangeError || error instanceof TypeError || error instanceof SyntaxError)
}

/** The five characters by which PostgreSQL names an error; empty where it was not PostgreSQL that spoke. */
export function sqlState(error: unknown): string {
  return error instanceof pg.DatabaseError ? (error.code ?? '') : ''
}

/**
 * Whether asking again later may help. Beside a server that cannot be reached: one that is out of something, that was told to stop or
 * took too long, or whose disk fails (classes 53, 57, 58).
 */
export function isOutage(error: unknown): boolean {
  return error instanceof DatabaseUnavailable || /^5[378]/.test(sqlState(error))
}

export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && !error.message) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
