/** The answer on its way to the client. */
import type { ServerResponse } from 'node:http'
import type { Answer } from './ask.ts'
import { tapOf, type Tap } from './events.ts'
import type { LiveExchange } from './exchange.ts'
import type { AnswerHead } from './plugin.ts'
import { refusalOfNetwork, render } from './refusal.ts'
import type { StraightReply } from './reply.ts'
import type { Attempt, Sink } from './upstream/attempt.ts'

/** The header that tells the client, and every log on the way, which exchange it was. */
const exchangeHeader = 'x-postern-exchange'

/** Sends the answer; resolves when all of it has left or the client has. Null: nobody is left to be answered. */
export async function deliver(exchange: LiveExchange, answer: Answer | null): Promise<void> {
  const { response } = exchange
  if (answer === null || response.headersSent || response.destroyed) {
    if (answer?.kind === 'answer') answer.attempt?.abort(exchange.gone ?? new Error('the answer came too late'))
    response.destroy()
  } else if (answer.kind === 'reply') {
    sendReply(exchange, answer)
  } else if (answer.kind === 'refusal') {
    sendReply(exchange, render(exchange, answer))
  } else if (answer.result.kind === 'failure') {
    exchange.error ??= answer.result.error
    sendReply(exchange, render(exchange, refusalOfNetwork(answer.result.error)))
  } else {
    const { status, headers } = answer.result
    relay(exchange, { status, headers }, answer.attempt!)
  }
  await exchange.closed
}

/** Not even a refusal could be sent (a plugin put something into a header that none can carry): the connection says so. */
export async function giveUp(exchange: LiveExchange, error: unknown): Promise<void> {
  exchange.log.error({ err: error }, 'no answer could be sent')
  exchange.response.destroy()
  await exchange.closed
}

function sendReply(exchange: LiveExchange, { status, headers, body }: StraightReply): void {
  const { response } = exchange
  sendHead(exchange, {
    status,
    headers: { ...headers, 'content-length': String(body.length), 'x-request-id': exchange.id },
  })
  exchange.sent = body.length
  response.end(body)
  if (!exchange.request.complete) linger(exchange)
}

function relay(exchange: LiveExchange, head: AnswerHead, attempt: Attempt): void {
  const { response } = exchange
  const tap = tapOf(exchange, head.headers)
  if (tap?.edits) delete head.headers['content-length']
  const known = head.headers['content-length'] !== undefined
  exchange.underway = attempt
  sendHead(exchange, head)
  attempt.deliverTo(new Relay(exchange, response, attempt, tap))
  // A stream's headers do not wait for its first event.
  if (!known && exchange.sent === 0 && !response.writableEnded) response.flushHeaders()
}

function sendHead(exchange: LiveExchange, head: AnswerHead): void {
  head.headers[exchangeHeader] = exchange.id
  exchange.route.onResponse?.(exchange, head)
  // A flat list: what Node takes with the least work.
  const sent: string[] = []
  for (const name in head.headers) {
    const value = head.headers[name]
    if (typeof value === 'string') sent.push(name, value)
    else if (value !== undefined) for (const one of value) sent.push(name, one)
  }
  exchange.response.writeHead(head.status, sent)
  exchange.status = head.status
}

const nothing = Buffer.alloc(0)

/** Writes an upstream's bytes as they come, one write for each, and asks for a pause while the client is slow. */
class Relay implements Sink {
  readonly #exchange: LiveExchange
  readonly #response: ServerResponse
  readonly #attempt: Attempt
  readonly #tap: Tap | null
  #waits = false

  constructor(exchange: LiveExchange, response: ServerResponse, attempt: Attempt, tap: Tap | null) {
    this.#exchange = exchange
    this.#response = response
    this.#attempt = attempt
    this.#tap = tap
  }

  bytes(chunk: Buffer, isLast: boolean): boolean {
    if (!this.#tap) {
      this.#exchange.sent += chunk.length
      if (isLast) {
        this.#response.end(chunk)
        return true
      }
      return this.#response.write(chunk) || this.#pause()
    }
    const sent = this.#tapped(this.#tap, (tap) => tap.push(chunk))
    if (sent === null || sent.length === 0) return true
    this.#exchange.sent += sent.length
    return this.#response.write(sent) || this.#pause()
  }

  whole(): void {
    if (this.#response.writableEnded) return
    const rest = this.#tap ? this.#tapped(this.#tap, (tap) => tap.end()) : nothing
    if (rest === null) return
    if (rest.length > 0) this.#response.end(rest)
    else this.#response.end()
  }

  /** The client sees the connection end where the upstream's did: a truncated answer must not look whole. */
  broken(error: NodeJS.ErrnoException): void {
    this.#exchange.error ??= error
    this.#response.destroy()
  }

  /** What the tap makes of it; null where a plugin failed at it or an event has no end: then the answer ends here. */
  #tapped(tap: Tap, run: (tap: Tap) => Buffer): Buffer | null {
    try {
      return run(tap)
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      this.#exchange.log.error({ err: error }, error.message)
      this.broken(error)
      this.#attempt.abort(error)
      return null
    }
  }

  #pause(): false {
    if (!this.#waits) {
      this.#waits = true
      this.#response.once('drain', () => {
        this.#waits = false
        this.#attempt.resume()
      })
    }
    return false
  }
}

/**
 * The answer is out while the client still sends: reads a little on, so that the client gets to read it instead of a reset
 * connection, and then ends the connection.
 */
function linger({ request }: LiveExchange): void {
  const { socket } = request
  let rest = 64 * 2 ** 20
  const timer = setTimeout(() => socket.destroy(), 5000)
  timer.unref()
  request.on('data', (chunk: Buffer) => {
    rest -= chunk.length
    if (rest < 0) socket.destroy()
  })
  request.on('close', () => clearTimeout(timer))
  request.resume()
}
