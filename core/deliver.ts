/** The answer on its way to the client. */
import { discard, type Answer, type Switch } from './ask.ts'
import { fault } from './errors.ts'
import { tapOf, type Tap } from './events.ts'
import type { LiveExchange } from './exchange.ts'
import type { AnswerHead, Headers } from './plugin.ts'
import { errorEvent, refusalOfNetwork, render } from './refusal.ts'
import { Relay } from './relay.ts'
import { takeUnsent } from './remainder.ts'
import type { StraightReply } from './reply.ts'
import type { Answering } from './upstream/attempt.ts'

/** The header that tells the client, and every log on the way, which exchange it was. */
const exchangeHeader = 'x-postern-exchange'

/** Sends the answer; resolves when all of it has left, or the client has and nothing is read on. Null: nobody is left to be answered. */
export async function deliver(exchange: LiveExchange, answer: Answer | null): Promise<void> {
  const { response, far } = exchange
  if (far) return far.deliver(exchange, answer)
  if (answer === null || answer.kind === 'switch' || response.destroyed) dropped(exchange, answer)
  else if (response.headersSent) deliverLate(exchange, answer)
  else if (answer.kind === 'reply') sendReply(exchange, answer)
  else if (answer.kind === 'refusal') sendReply(exchange, render(exchange, answer))
  else if (answer.result.kind === 'failure') {
    exchange.error ??= answer.result.error
    sendReply(exchange, render(exchange, refusalOfNetwork(answer.result.error)))
  } else relay(exchange, answer.attempt!)
  await exchange.closed
  if (exchange.remainder) await exchange.remainder.over
}

function dropped(exchange: LiveExchange, answer: Answer | null): void {
  if (answer?.kind === 'answer') {
    if (takeUnsent(exchange, answer)) return
    answer.attempt?.abort(exchange.gone ?? new Error('the answer came too late'))
  }
  exchange.response.destroy()
  exchange.remainder?.end('nothing to learn from')
}

/** The client has waited so long that it was told 200 and comments: whatever is no stream is told it as an event. */
function deliverLate(exchange: LiveExchange, answer: Exclude<Answer, Switch>): void {
  if (!exchange.waits) return dropped(exchange, answer)
  const head = answer.kind === 'answer' ? answer.attempt?.head : null
  if (answer.kind === 'answer' && answer.result.kind === 'response' && head?.status === 200 && isEvents(head.headers))
    return pass(exchange, answer.attempt!, tapOf(exchange, head.headers), true)
  discard(answer)
  exchange.response.end(lateError(exchange, answer))
}

function lateError(exchange: LiveExchange, answer: Exclude<Answer, Switch>): string {
  if (answer.kind === 'refusal') return errorEvent(exchange, answer)
  if (answer.kind === 'reply') return errorEvent(exchange, fault('INTERNAL', `a plugin replied ${answer.status}`))
  const { result } = answer
  if (result.kind === 'response' && result.status >= 400)
    return errorEvent(exchange, fault('UPSTREAM_ERROR', String(result.status)), result.body)
  if (result.kind === 'response') return errorEvent(exchange, fault('UPSTREAM_BROKEN', 'it sent no stream'))
  exchange.error ??= result.error
  return errorEvent(exchange, refusalOfNetwork(result.error))
}

/** Not even a refusal could be sent (a plugin put something into a header that none can carry): the connection says so. */
export async function giveUp(exchange: LiveExchange, error: unknown): Promise<void> {
  exchange.log.error({ err: error }, 'no answer could be sent')
  if (exchange.far) return exchange.far.cutOff(exchange)
  exchange.response.destroy()
  await exchange.closed
}

export function sendReply(exchange: LiveExchange, { status, headers, body }: StraightReply): void {
  const { response } = exchange
  const head: AnswerHead = { status, headers: { ...headers, 'x-request-id': exchange.id }, body }
  const ends = isStillSending(exchange) ? linger(exchange) : null
  sendHead(exchange, head)
  const sent = head.body ?? nothing
  exchange.sent = sent.length
  response.end(sent)
  ends?.()
}

function relay(exchange: LiveExchange, attempt: Answering): void {
  const { status, headers } = attempt.head!
  const head: AnswerHead = { status, headers, body: null }
  const tap = tapOf(exchange, headers)
  if (tap?.edits) delete headers['content-length']
  const known = headers['content-length'] !== undefined
  sendHead(exchange, head)
  pass(exchange, attempt, tap, !known && isEvents(headers))
  // A stream's headers do not wait for its first event.
  if (!known && exchange.sent === 0 && !exchange.response.writableEnded) exchange.response.flushHeaders()
}

function pass(exchange: LiveExchange, attempt: Answering, tap: Tap | null, isStream: boolean): void {
  const passing = new Relay(exchange, attempt, tap, isStream)
  exchange.underway = attempt
  exchange.relay = passing
  exchange.waits &&= isStream
  attempt.deliverTo(passing)
}

export function isEvents(headers: Headers): boolean {
  return headers['content-encoding'] === undefined && String(headers['content-type']).startsWith('text/event-stream')
}

/** Sends the status line of a stream that has not come yet, so that the client can be told to go on waiting. */
export function sendEarlyHead(exchange: LiveExchange): void {
  sendHead(exchange, {
    status: 200,
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
      'x-request-id': exchange.id,
    },
    body: null,
  })
}

function sendHead(exchange: LiveExchange, head: AnswerHead): void {
  head.headers[exchangeHeader] = exchange.id
  exchange.route.onResponse?.(exchange, head)
  if (head.body) head.headers['content-length'] = String(head.body.length)
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

/** Whether bytes of the request are still to come: its head has announced some, and they are not all here. */
function isStillSending({ request: { complete, headers } }: LiveExchange): boolean {
  return !complete && (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
}

/**
 * The answer goes out while the client still sends: reads a little on, so that the client gets to read it instead of a reset
 * connection. Where the connection was to end with the answer, Node would end it at once and the system, finding bytes
 * that nobody has read, would reset it: so Node is told to keep it, and it is ended here. The function that is returned begins
 * to read; it is called when the answer has been written.
 */
function linger({ request, response }: LiveExchange): () => void {
  const { socket } = request
  const isKept = response.shouldKeepAlive
  if (!isKept) {
    response.shouldKeepAlive = true
    response.removeHeader('connection')
  }
  return () => {
    let rest = 64 * 2 ** 20
    const timer = setTimeout(() => socket.destroy(), 5000)
    timer.unref()
    request.on('data', (chunk: Buffer) => {
      rest -= chunk.length
      if (rest < 0) socket.destroy()
    })
    request.on('end', () => {
      if (!isKept) socket.end()
    })
    request.on('close', () => clearTimeout(timer))
    request.resume()
  }
}
