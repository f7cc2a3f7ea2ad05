/** The ways in which an upstream fails an exchange, and how each has to end. */
import type { Operation } from './operations.ts'
import type { Act, Wire } from './wire.ts'

/** One exchange of a shape: an operation, as a stream or as a whole. */
export interface Lane {
  readonly operation: Operation
  readonly isStream: boolean
}

/** What the client gets, and what it took. */
export interface Outcome {
  readonly status: number
  readonly body: string
  /** Whether the connection ends before the answer does. */
  readonly isCut?: boolean
  readonly retryAfter?: string
  /** How often the upstream that fails is asked. */
  readonly asked: number
  /** What the line of the exchange says went wrong; absent: nothing. */
  readonly error?: string | RegExp
  /** The lines of level warn, without what no test can know. */
  readonly warned: readonly Warning[]
}

export type Warning = Readonly<Record<string, string | number | null | undefined | RegExp>>

export interface Shape {
  readonly name: string
  /** Absent: both can do it. */
  readonly only?: 'streams' | 'documents'
  readonly timeouts?: Readonly<Record<string, string>>
  /** Where the upstream is said to be, given the port on which one listens. */
  readonly url?: (port: number) => string
  /** Requests never reach it: connections are counted. */
  readonly isDialed?: boolean
  /** Nobody listens there. */
  readonly isAbsent?: boolean
  /** Resolvers may take a second to say no: it is not asked more often than needed. */
  readonly isCostly?: boolean
  readonly act: (lane: Lane) => Act
  /** With nobody else to ask. */
  readonly alone: (lane: Lane) => Outcome
  /** Beside an upstream that is well; absent: the answer of that one, and this one was asked once. */
  readonly beside?: (lane: Lane) => Outcome
  /** What is told when another one is asked. */
  readonly warned?: (lane: Lane) => readonly Warning[]
  /** After how many exchanges it rests and is not asked again; null: it never has to. */
  readonly restsAfter: (lane: Lane) => number | null
  /** How the gateway refuses the next exchange where nobody else is; absent: it is asked all the same. */
  readonly refuses?: RefusedNext
}

interface RefusedNext {
  readonly status: number
  readonly code: string
  readonly message: string
  /** For how long the upstream rests. */
  readonly seconds: number
}

/** Who answers in these tests; the shape's answers come from the first one. */
export const first = 'first'
export const second = 'second'

/** A stream as it is when nothing goes wrong, and a document. */
export function wholeAnswer({ operation, isStream }: Lane, from: string): string {
  return isStream
    ? operation.opening(from) + operation.content(from) + operation.ending(from)
    : operation.document(from)
}

export function answer(lane: Lane, from: string): Act {
  return (wire) => {
    succeed(wire, lane)
    wire.body(wholeAnswer(lane, from))
    wire.finish()
  }
}

/** The head of an answer that is none of an error. */
export function succeed(wire: Wire, { isStream }: Lane): void {
  wire.head(200, { 'content-type': isStream ? 'text/event-stream' : 'application/json' })
}

/** What a model of that lane alone is called. */
export const nameOf = ({ operation, isStream }: Lane) => `${operation.name}-${isStream ? 'stream' : 'json'}`

/** Five ms, give or take a fifth. */
export const soon = /^[456]$/

/** What is told of every retry of an exchange's first attempt. */
export const another = (more: Warning): Warning => ({
  message: 'failover: another attempt',
  error: null,
  retry_count: 1,
  switch_count: 0,
  max_switches: 2,
  same_account_retry_count: 0,
  next: 'other',
  delay_ms: 0,
  ...more,
})

/** What the gateway says of a network that failed: the status and the words. */
export const gatewayErrors = {
  UPSTREAM_UNREACHABLE: [502, 'The upstream could not be reached'],
  UPSTREAM_BROKEN: [502, 'The upstream broke off or sent an answer that is none'],
  UPSTREAM_TIMEOUT: [504, 'The upstream did not answer in time'],
} as const
export type GatewayError = keyof typeof gatewayErrors

/** How a connection is found to have been reset. */
export const reset = /^(ECONNRESET|UPSTREAM_CLOSED)$/
