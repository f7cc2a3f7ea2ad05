/** What supervisor and worker say to each other, over the channel that Node opens between a process and its child. */
import type { Told } from '../admin.ts'
import { ConfigError, type Problem } from '../config/problems.ts'
import type { MetricReading } from '../observe/metrics.ts'
import type { Level } from '../observe/log.ts'
import type { ownPaths, PageSign } from '../pages.ts'
import type { Snapshot } from './snapshot.ts'

/** The variable that says to a process that it is a worker, and which. */
export const workerVariable = 'POSTERN_WORKER'

export interface Start {
  readonly snapshot: Snapshot
  /** How many there are. */
  readonly workers: number
  /** Where pages of plugins are asked; null where nobody asks for any. */
  readonly socket: string | null
  /** Of the log, where an operator has set another one than gateway.yaml. */
  readonly level: Level | null
}

/** What the supervisor asks of a worker: what it sends, and what comes back. */
export interface Asks {
  /** Build what it says, and listen. */
  start: readonly [Start, { readonly url: string; readonly pages: readonly PageSign[] }]
  /** Build it beside what runs. */
  prepare: readonly [Snapshot, null]
  /** Take over what was prepared; what its pages are. */
  move: readonly [null, readonly PageSign[]]
  /** Take down again what was prepared. */
  drop: readonly [null, null]
  read: readonly [null, readonly MetricReading[]]
  /** Only to hear it answer. */
  pulse: readonly [null, null]
  /** A page of the gateway's own. */
  page: readonly [{ readonly path: (typeof ownPaths)[number]; readonly query: string }, Told]
}
export type Ask = keyof Asks

export interface Question<A extends Ask = Ask> {
  readonly id: number
  readonly ask: A
  readonly value: Asks[A][0]
}

export interface Answer {
  readonly id: number
  readonly value?: unknown
  /** What was thrown: what is wrong with the configuration, or a sentence. */
  readonly problems?: readonly Problem[]
  readonly error?: string
}

/** What a worker says unasked: it listens to its supervisor; it takes no more; it has ended, and what it has counted. */
export type Notice =
  | { readonly notice: 'here' }
  | { readonly notice: 'stopping' }
  | { readonly notice: 'stopped'; readonly readings: readonly MetricReading[]; readonly failed: readonly string[] }

/** Drain, and end. Everything else is a question. */
export interface StopOrder {
  readonly stop: true
}

/** How a worker answers. */
export type Answers = { readonly [A in Ask]: (value: Asks[A][0]) => Asks[A][1] | Promise<Asks[A][1]> }

/** The answer to a question; never rejects. */
export async function answerTo({ id, ask, value }: Question, answers: Answers): Promise<Answer> {
  try {
    // Each value is that of its own question: both ends are this file's.
    const find = answers[ask] as (value: unknown) => unknown
    return { id, value: await find(value) }
  } catch (error) {
    if (error instanceof ConfigError) return { id, problems: error.problems }
    return { id, error: error instanceof Error ? error.message : String(error) }
  }
}

/** Throws what the worker has thrown. */
export function valueOf({ value, problems, error }: Answer): unknown {
  if (problems) throw new ConfigError(problems)
  if (error !== undefined) throw new Error(error)
  return value
}
