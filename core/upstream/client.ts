/** What a client of upstreams is: requests go in, answers come out, piece by piece. Two keep it, `http1-*` and `undici-client`. */
import type { Headers } from '../plugin.ts'

/** What is sent. `path` is whole: base address, path and query. */
export interface Sending {
  readonly method: string
  readonly path: string
  readonly headers: Headers
  /** Bytes go with their length, an iterable with the length its headers tell, or in chunks. */
  readonly body: Buffer | AsyncIterable<Buffer> | null
}

/** Whoever is told the answer. After `onError` and `onComplete` nothing more is said. */
export interface Receiver {
  /** From here on this is what resumes and aborts; another one may follow while nothing of an answer is here. */
  onFlow(flow: Flow): void
  /** The status, and the headers that may travel on. Never informational. */
  onHead(status: number, headers: Headers): void
  /** False asks for a pause. */
  onData(chunk: Buffer): boolean
  onComplete(): void
  onError(error: NodeJS.ErrnoException): void
}

/** What a request runs in. It may serve others afterwards: whoever speaks to it says who it is, and is not heard when it is over. */
export interface Flow {
  resume(receiver: Receiver): void
  /** Breaks the connection, or gives the place in the queue up. The receiver is not told. */
  abort(receiver: Receiver, reason: Error): void
}

/** Milliseconds each phase may take. */
export interface Timeouts {
  readonly connect: number
  /** From the request sent to the answer's headers. */
  readonly headers: number
  /** Between two pieces of the answer, while somebody wants them. */
  readonly idle: number
}

/** The connections to one origin. */
export interface HttpClient {
  /** Never throws: the outcome, whatever it is, is told to the receiver. */
  send(sending: Sending, receiver: Receiver): void
  /** Resolves when every connection is closed; what is still under way is cut off. */
  close(): Promise<void>
}

/** Why a request has failed, where it is not the system that says so. Both clients use these words. */
export type UpstreamFailure =
  | 'CONNECT_TIMEOUT'
  | 'HEADERS_TIMEOUT'
  | 'IDLE_TIMEOUT'
  /** The connection ended before the answer. */
  | 'UPSTREAM_CLOSED'
  /** What came is no answer, or none that could be passed on. */
  | 'BAD_ANSWER'
  /** The request cannot be put into HTTP: a header's value has a line break in it. */
  | 'BAD_REQUEST'

/** An error with its code. */
export function failure(code: UpstreamFailure, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(message), { code })
}

/** Informational answers to one request, at the most: a flood of them would keep an attempt alive for ever. */
export const mostInformational = 64
