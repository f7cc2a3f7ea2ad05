/** What is noticed of one exchange while it passes. Nothing is read that can be read at its end. */
import type { Standing } from 'postern/access'
import type { AnswerHead, Exchange } from 'postern/plugin'
import { endsStream } from './ending.ts'
import type { Entry } from './write.ts'

declare module 'postern/plugin' {
  interface Facts {
    /** What the plugin usage has noticed of the exchange. */
    usage_meter: Meter
  }
}

/** As many of the last events are kept: a reason to finish, the tokens, and the end are three of their own in some APIs. */
const keptEvents = 4

export class Meter {
  /** `performance.now()` of the request's arrival, and of the first content of a stream. */
  readonly beganAt = performance.now()
  firstAt: number | null = null
  /** Status of the upstream's answer on its way to the client; 0: none is. */
  status = 0
  isStream = false
  /** What the upstream's headers call the exchange. */
  requestId: string | null = null
  /** The first event: it says which model answers, and the answer's name. */
  head: Buffer | null = null
  /** The last events, oldest first. */
  readonly tail: Buffer[] = []
  hasEnded = false
  /** Who pays; null: nobody does, or nothing was asked yet. */
  standing: Standing | null = null
  /** Promised to the exchange, in units of 10⁻¹⁰ USD; null: nothing was asked for. */
  reserved: bigint | null = null
  /** What was written to the journal at the end of the answer, before the client has seen it. */
  early: Entry | null = null

  /** An upstream's answer is on its way to the client. */
  begin({ status, headers }: AnswerHead, exchange: Pick<Exchange, 'id' | 'headers'>): void {
    this.status = status
    this.isStream = String(headers['content-type'] ?? '').startsWith('text/event-stream')
    const name = headers['request-id'] ?? headers['x-request-id']
    // A name that the client has sent, and that the upstream repeats, is the client's: it could be billed once for ever.
    const isTheirs = name !== exchange.id && name !== exchange.headers['x-request-id']
    this.requestId = typeof name === 'string' && isTheirs ? name : null
  }

  /** An event of the answer, or a whole document. True: it is the last one that can tell of tokens. */
  see(data: Buffer, classify: ((data: Buffer) => unknown) | undefined): boolean {
    this.head ??= data
    if (this.tail.push(data) > keptEvents) this.tail.shift()
    if (this.hasEnded) return false
    if (!this.isStream) return (this.hasEnded = true)
    if (this.firstAt === null && classify?.(data) !== 'hold') this.firstAt = performance.now()
    return (this.hasEnded = endsStream(data))
  }
}
