/** undici as a client of upstreams, through its dispatcher: the one file that knows it. */
import type * as Undici from 'undici'
import {
  failure,
  mostInformational,
  type Flow,
  type HttpClient,
  type Receiver,
  type Sending,
  type Timeouts,
  type UpstreamFailure,
} from './client.ts'
import type { Dial } from './dial.ts'
import { answerHeaders } from './headers.ts'

let undici: typeof Undici | null = null

/** Has to be awaited before the first client: 110 modules, which only those load who have chosen this transport. */
export async function loadUndici(): Promise<void> {
  undici ??= await import('undici')
}

export class UndiciClient implements HttpClient {
  readonly #pool: Undici.Pool
  readonly #timeouts: Timeouts
  /** Connections on their way into the pool, by what gives them up. */
  readonly #dialling = new Set<() => void>()

  constructor(origin: URL, timeouts: Timeouts, dial: Dial) {
    if (undici === null) throw new Error('loadUndici() comes first')
    this.#timeouts = timeouts
    this.#pool = new undici.Pool(origin, {
      connect: (_options, connected) => {
        const giveUp = dial((error, socket) => {
          this.#dialling.delete(giveUp)
          const told = [error, socket] as Parameters<typeof connected> // one of them is null, as undici has it
          connected(...told)
        })
        this.#dialling.add(giveUp)
      },
      // Long enough to save the next TLS handshake, shorter than what AI APIs and their edges close after (60 s and more).
      keepAliveTimeout: 30_000,
      pipelining: 1,
    })
  }

  send({ method, path, headers, body }: Sending, receiver: Receiver): void {
    this.#pool.dispatch(
      {
        method,
        path,
        headers,
        body: body as Undici.Dispatcher.DispatchOptions['body'], // async iterables are taken, though the type does not say so
        headersTimeout: this.#timeouts.headers,
        bodyTimeout: this.#timeouts.idle,
      },
      new Handler(receiver),
    )
  }

  close(): Promise<void> {
    for (const giveUp of this.#dialling) giveUp()
    return this.#pool.destroy()
  }
}

/** undici's words for what ours are for. Its parser's errors often have none. */
const words: Readonly<Record<string, UpstreamFailure>> = {
  UND_ERR_CONNECT_TIMEOUT: 'CONNECT_TIMEOUT',
  UND_ERR_HEADERS_TIMEOUT: 'HEADERS_TIMEOUT',
  UND_ERR_BODY_TIMEOUT: 'IDLE_TIMEOUT',
  UND_ERR_SOCKET: 'UPSTREAM_CLOSED',
  UND_ERR_DESTROYED: 'UPSTREAM_CLOSED',
  UND_ERR_INVALID_ARG: 'BAD_REQUEST',
  UND_ERR_HEADERS_OVERFLOW: 'BAD_ANSWER',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'UPSTREAM_CLOSED',
}

/** undici's older form of handler, which its HTTP/1 client calls without a wrapper. */
class Handler implements Flow {
  /** undici tells of it as it is sent. */
  readonly isSent = true
  readonly #receiver: Receiver
  #abort: ((reason: Error) => void) | null = null
  #resume: (() => void) | null = null
  #informational = 0

  constructor(receiver: Receiver) {
    this.#receiver = receiver
  }

  resume(): void {
    this.#resume?.()
  }

  abort(_receiver: Receiver, reason: Error): void {
    this.#abort?.(reason)
  }

  onConnect(abort: (reason: Error) => void): void {
    this.#abort = abort
    this.#receiver.onFlow(this)
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void): boolean {
    // What is thrown here comes back as the request's error, as long as nothing has arrived.
    if (status < 200) {
      if (++this.#informational > mostInformational) throw failure('BAD_ANSWER', 'too many informational answers')
      return true
    }
    this.#resume = resume
    this.#receiver.onHead(status, answerHeaders(raw))
    return true
  }

  onData(chunk: Buffer): boolean {
    return this.#receiver.onData(chunk)
  }

  onComplete(): void {
    this.#receiver.onComplete()
  }

  onError(error: NodeJS.ErrnoException): void {
    const word = words[error.code ?? ''] ?? (error.name === 'HTTPParserError' ? 'BAD_ANSWER' : undefined)
    this.#receiver.onError(word === undefined ? error : failure(word, error.message))
  }
}
