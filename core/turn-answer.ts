/** The events of a turn as the answer that the same request has by HTTP: a stream, or one document. */
import type { Headers, Result } from './plugin.ts'
import { judgeByStatus, type Dialect, type RequestDialect } from './provider.ts'
import type { Answering, Sink } from './upstream/attempt.ts'
import { requestHeaders } from './upstream/headers.ts'
import type { WsAttempt } from './upstream/ws-attempt.ts'

/** How an answer is made of events. */
export interface Framing {
  readonly dialect: Dialect
  readonly requests: RequestDialect
  /** The gateway's name for the exchange: over WebSocket there is no other. */
  readonly id: string
  /** The last event of a response that was not refused. */
  served(last: Buffer): void
}

/** Whatever an answer is made into, it is told by a document where it is an error that came before anything was sent. */
abstract class Framed implements Answering {
  readonly framing = 'bytes'
  head: Answering['head'] = null
  abstract readonly result: Promise<Result>
  protected readonly attempt: WsAttempt
  protected readonly how: Framing
  /** The whole body, where there is no stream. */
  protected document: Buffer | null = null

  constructor(attempt: WsAttempt, how: Framing) {
    this.attempt = attempt
    this.how = how
  }

  abstract deliverTo(sink: Sink): void

  resume(): void {
    this.attempt.resume()
  }

  discard(): void {
    this.attempt.discard()
  }

  abort(reason: Error): void {
    this.attempt.abort(reason)
  }

  tick(now: number): void {
    this.attempt.tick(now)
  }

  forsake(): boolean {
    return this.attempt.forsake() || this.document !== null
  }

  /** An error by an event, or by what was answered in place of the upgrade: that is HTTP already. */
  protected refused(told: Extract<Result, { kind: 'response' }>): Result {
    const body = told.body ?? nothing
    if (this.attempt.head) return this.whole(told.status, this.how.requests.asDocument(body), told)
    this.document = body
    const headers: Headers = { ...requestHeaders(told.headers), 'content-length': String(body.length) }
    this.head = { status: told.status, headers }
    return told
  }

  protected whole(status: number, document: Buffer, told: Result & { kind: 'response' }): Result {
    this.document = document
    const headers: Headers = {
      'content-type': 'application/json',
      'content-length': String(document.length),
      'x-request-id': this.how.id,
    }
    this.head = { status, headers }
    return { ...told, status, headers, body: status >= 400 ? document : null }
  }

  protected deliverDocument(sink: Sink, document: Buffer): void {
    if (document.length > 0) sink.bytes(document, true)
    sink.whole()
  }
}

/** Each event as soon as it comes. */
export class StreamAnswer extends Framed {
  readonly result: Promise<Result>

  constructor(attempt: WsAttempt, how: Framing) {
    super(attempt, how)
    this.result = attempt.result.then((told) => {
      if (told.kind === 'failure') return told
      if (told.status >= 400) return this.refused(told)
      const headers: Headers = {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache',
        'x-request-id': how.id,
      }
      this.head = { status: told.status, headers }
      return { ...told, headers }
    })
  }

  deliverTo(sink: Sink): void {
    if (this.document) return this.deliverDocument(sink, this.document)
    const { requests } = this.how
    this.attempt.deliverTo({
      bytes: (event, isLast) => {
        if (isLast) this.how.served(event)
        return sink.bytes(requests.asEvent(event), isLast)
      },
      whole: () => sink.whole(),
      broken: (error) => sink.broken(error),
    })
  }
}

/** The last event alone: until it has come, nothing is told, and another upstream may still be asked. */
export class DocumentAnswer extends Framed {
  readonly result: Promise<Result>

  constructor(attempt: WsAttempt, how: Framing) {
    super(attempt, how)
    this.result = attempt.result.then((told) => {
      if (told.kind === 'failure') return told
      return told.status >= 400 ? this.refused(told) : this.#gather(told)
    })
  }

  deliverTo(sink: Sink): void {
    this.deliverDocument(sink, this.document!)
  }

  #gather(begun: Extract<Result, { kind: 'response' }>): Promise<Result> {
    const startedAt = performance.now() - begun.ms
    const { dialect } = this.how
    const judge = dialect.judge ?? judgeByStatus
    return new Promise((resolve) => {
      let last: Buffer = nothing
      this.attempt.deliverTo({
        bytes: (event, isLast) => {
          if (isLast) last = event
          return true
        },
        whole: () => {
          const told = { ...begun, ms: performance.now() - startedAt }
          const document = this.how.requests.asDocument(last)
          const seen = dialect.firstEvent?.(last)
          if (typeof seen !== 'object') {
            this.how.served(last)
            return resolve(this.whole(200, document, told))
          }
          const { status } = seen
          const judgement = judge({ kind: 'response', status, headers: begun.headers, body: document })
          resolve(this.whole(status, document, { ...told, judgement }))
        },
        broken: (error) => {
          const judgement = judge({ kind: 'failure', error })
          resolve({ kind: 'failure', error, judgement, ms: performance.now() - startedAt })
        },
      })
    })
  }
}

const nothing = Buffer.alloc(0)
