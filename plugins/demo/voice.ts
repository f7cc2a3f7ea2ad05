/** What a dialect of the demo is: from a request to an answer, both of them values. Sending is for deliver.ts. */
import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { stringOf, type JsonObject } from './json.ts'
import type { Wish } from './knobs.ts'

/** A request, read. */
export interface Ask {
  /** The id of the request, as the dialect's own header tells it. */
  readonly id: string
  readonly method: string
  /** Without the query, still percent-encoded. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** Empty where the request has no body. */
  readonly body: JsonObject
}

/** An answer: one frame with a known length, or a stream of frames. */
export interface Answer {
  readonly status: number
  readonly type: string
  /** One string each write; made while they are sent, so that a long answer is never in memory as a whole. */
  readonly frames: Iterable<string>
  readonly whole: boolean
  /** The frame that tells of an error in the middle of a 200. */
  readonly failure: string
}

/** How the demo speaks one API. */
export interface Voice {
  /** The model that is asked to do something; empty where the request is not about one. */
  model(ask: Ask): string
  /** Throws a `Complaint` where the request is wrong. */
  answer(ask: Ask, wish: Wish): Answer
  /** An error in this API's shape. */
  complain(status: number, message: string, id: string): string
  /** Headers that each answer of this API has. */
  headers(id: string): Record<string, string>
}

/** A request that gets an error for an answer. */
export class Complaint extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** The model of a body, which every POST has to name. */
export function modelOf(body: JsonObject): string {
  const model = stringOf(body.model)
  if (model === '') throw new Complaint(400, 'model: a string is required. Try "demo".')
  return model
}

/** An answer that is one JSON text. `failure` is what stands in its place when the fault `error` is asked for. */
export function jsonAnswer(body: string, failure: string, status = 200): Answer {
  return { status, type: 'application/json; charset=utf-8', frames: [body], whole: true, failure }
}

/** An answer of server-sent events. */
export function eventStream(frames: Iterable<string>, failure: string): Answer {
  return { status: 200, type: 'text/event-stream; charset=utf-8', frames, whole: false, failure }
}

/** A server-sent event with a name. */
export function sse(event: string, data: object): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}

/** A fresh id with the prefix that its API gives to such ids. */
export function newId(prefix: string): string {
  return prefix + randomBytes(12).toString('hex')
}

/** The moment the demo's models were made: long ago and always the same, for their lists are compared in tests. */
export const born = new Date('2025-01-01T00:00:00Z')
