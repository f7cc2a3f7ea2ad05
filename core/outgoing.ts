/** What plugins may edit of a request and of its answer. */
import type { Headers } from './plugin.ts'

/** The request body, as bytes. What no edit touches stays exactly as it came, to the byte. */
export interface Body {
  /** `json`: buffered and readable; `stream`: passes through unread; `none`: there is none. */
  readonly kind: 'json' | 'stream' | 'none'
  /** The whole body of kind `json`, with the edits made so far; without any, the very bytes that came. */
  readonly bytes: Buffer
  /**
   * The value of one field (`reasoning.effort` looks inside), found in the bytes without parsing the rest, frozen;
   * `undefined` where it is not there.
   */
  get(field: string): unknown
  /** Sets one field, and makes the objects that lead to it. Throws where the body is not held. */
  set(field: string, value: unknown): void
  /** Deletes one field. Throws where the body is not held. */
  delete(field: string): void
}

/** What is about to be sent to the upstream, for this attempt only. */
export interface Outgoing {
  method: string
  path: string
  /** With its `?`, or empty. */
  query: string
  /** The client's headers without the hop-by-hop ones: a copy that belongs to this attempt. */
  headers: Headers
  /** The exchange's body, to be edited for this attempt: the next one does not see it. */
  readonly body: Body
}

/** Status and headers of the answer on their way to the client. */
export interface AnswerHead {
  status: number
  headers: Headers
  /** The whole body where it was made here; null where it is an upstream's, whose bytes are not here yet. */
  body: Buffer | null
}
