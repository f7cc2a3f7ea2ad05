/** One turn of a WebSocket as the far side of an exchange: what the same request would be by HTTP, answered in messages. */
import type { Answer } from './ask.ts'
import { isEvents } from './deliver.ts'
import type { FarSide } from './client.ts'
import { ClientGone, fault, Refused } from './errors.ts'
import type { LiveExchange } from './exchange.ts'
import { readsOn } from './remainder.ts'
import type { AnswerHead, Body, Headers, Outgoing } from './plugin.ts'
import type { TurnDialect } from './provider.ts'
import { refusalOfNetwork, shapeOf } from './refusal.ts'
import type { Refusal } from './reply.ts'
import { closeFor, closeForNetwork, type Closing } from './turn-close.ts'
import { gather } from './turn-document.ts'
import { TurnRelay } from './turn-relay.ts'
import type { TurnMemory } from './turn-memory.ts'
import { askOverWebSocket, countReplay } from './turn-upstream.ts'
import { Attempt, type Answering, type Watch } from './upstream/attempt.ts'
import type { Target } from './upstream/upstreams.ts'

/** The socket that a turn belongs to. */
export interface TurnClient {
  readonly isOpen: boolean
  readonly memory: TurnMemory
  /** False asks to wait for `TurnRelay.drained`. */
  send(message: Buffer | string): boolean
  close(closing: Closing): void
  /** The client has had the last message of its turn. */
  told(): void
}

export class Turn implements FarSide {
  readonly kind = 'turn'
  readonly method = 'POST'
  readonly headers: Headers
  readonly closed: Promise<void>
  relay: TurnRelay | null = null
  readonly #client: TurnClient
  readonly #body: Body
  #close: () => void = () => {}

  constructor(client: TurnClient, headers: Headers, body: Body) {
    this.#client = client
    this.headers = headers
    this.#body = body
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  take({ facts, route }: LiveExchange): Body {
    // A reload may have given the path to somebody else.
    if (!route.provider?.dialect.websocket?.turns) throw new Refused(fault('NO_WEBSOCKET'))
    // Whether or not the message says so.
    facts.stream = true
    return this.#body
  }

  async ask(exchange: LiveExchange, outgoing: Outgoing, target: Target, watch: Watch): Promise<Answering> {
    const turns = turnsOf(exchange)
    if (exchange.upstream!.websocket !== false && performance.now() >= target.websockets.absentUntil) {
      const attempt = await askOverWebSocket(exchange, outgoing, target, watch, this.#client.memory)
      if (attempt) return attempt
    }
    const { headers, body } = outgoing
    turns.asRequest(body)
    const bytes = this.#whole(exchange, body)
    headers['content-type'] = 'application/json'
    headers.accept = 'text/event-stream'
    // Events are cut into messages here.
    headers['accept-encoding'] = 'identity'
    const path = target.pathOf(outgoing.path) + outgoing.query
    const attempt = new Attempt({ method: 'POST', path, headers, body: bytes }, exchange.route.provider!.dialect, watch)
    exchange.underway = attempt
    if (bytes !== body.bytes) countReplay(exchange, attempt.result)
    target.connections.dispatch(attempt)
    return attempt
  }

  /** What is asked by HTTP: with all that was said before, where it goes on with what no server has stored. */
  #whole(exchange: LiveExchange, body: Body): Buffer {
    const { conversation } = this.#client.memory
    const turns = turnsOf(exchange)
    const { replay } = turns
    const { bytes } = body
    if (!replay || !turns.staysOnConnection(body)) {
      conversation.passes()
      return bytes
    }
    const { name } = exchange.upstream!
    const continued = turns.continues(body)
    conversation.asks(replay, bytes, continued, name, exchange.gateway.config.settings.limits.replay)
    return continued !== null && conversation.knows(continued) ? conversation.anew(replay, bytes, name) : bytes
  }

  async deliver(exchange: LiveExchange, answer: Answer | null): Promise<void> {
    if (answer === null || !(this.#client.isOpen || isReadOn(exchange, answer))) this.#drop(exchange, answer)
    else if (answer.kind === 'refusal') this.#refuse(exchange, answer)
    else if (answer.kind === 'reply') this.#tell(exchange, answer.status, answer.body)
    else if (answer.kind === 'answer') await this.#answer(exchange, answer)
    if (this.relay) await this.closed
    exchange.remainder?.end('nothing to learn from')
  }

  cutOff(): void {
    this.#client.close({ code: 1011, reason: 'no answer could be sent' })
    this.#finish()
  }

  /** The client has left: what its answer has cost is still to be learned. */
  clientLeft(exchange: LiveExchange): void {
    if (this.relay?.hasEnded) return
    // Unless it is asked for, nobody waits for an answer that has not begun.
    const mayBegin = exchange.gateway.config.settings.on_disconnect === 'drain'
    if ((this.relay || mayBegin) && readsOn(exchange)) this.relay?.drained()
    else exchange.leave(new ClientGone())
  }

  async #answer(exchange: LiveExchange, { result, attempt }: Extract<Answer, { kind: 'answer' }>): Promise<void> {
    if (result.kind === 'failure') {
      exchange.error ??= result.error
      return this.#refuse(exchange, refusalOfNetwork(result.error), closeForNetwork(result.error))
    }
    const events = eventsOf(attempt!)
    if (events) return this.#pass(exchange, attempt!, { status: result.status, headers: events, body: null })
    const body = result.body ?? (await gather(attempt!))
    if (result.body) attempt!.discard()
    if (result.status >= 400) return this.#tell(exchange, result.status, body)
    this.#refuse(exchange, fault('UPSTREAM_BROKEN', 'it sent no stream'), closeFor('UPSTREAM_BROKEN', 502))
  }

  #pass(exchange: LiveExchange, attempt: Answering, head: AnswerHead): void {
    exchange.route.onResponse?.(exchange, head)
    exchange.status = head.status
    this.relay = new TurnRelay(exchange, attempt, this.#client, turnsOf(exchange), () => this.#finish())
    exchange.underway = attempt
    attempt.deliverTo(this.relay)
  }

  #refuse(
    exchange: LiveExchange,
    refusal: Refusal,
    closing = closeFor(refusal.code, refusal.status, refusal.message),
  ): void {
    const shape = exchange.route.provider?.dialect.refusal(refusal.status, refusal.code, refusal.message)
    this.#say(exchange, refusal.status, shape ?? { error: { code: refusal.code, message: refusal.message } })
    if (closing) this.#client.close(closing)
  }

  /** What a plugin or an upstream has answered in place of events: the client may go on with another turn. */
  #tell(exchange: LiveExchange, status: number, body: Buffer): void {
    const told = status >= 400 ? status : 500
    const plain = () => exchange.route.provider!.dialect.refusal(told, 'UPSTREAM_ERROR', `the answer was ${status}`)
    this.#say(exchange, told, shapeOf(body) ?? plain())
  }

  #say(exchange: LiveExchange, status: number, shape: object): void {
    const turns = exchange.route.provider?.dialect.websocket?.turns
    const body = Buffer.from(turns?.error(shape, status) ?? JSON.stringify({ type: 'error', status, ...shape }))
    const head: AnswerHead = { status, headers: { 'x-request-id': exchange.id }, body }
    exchange.route.onResponse?.(exchange, head)
    exchange.status = head.status
    const sent = head.body ?? body
    exchange.sent = sent.length
    this.#client.send(sent)
    this.#client.told()
    this.#finish()
  }

  #drop(exchange: LiveExchange, answer: Answer | null): void {
    if (answer?.kind === 'answer') answer.attempt?.abort(exchange.gone ?? new ClientGone())
    this.#finish()
  }

  #finish(): void {
    this.#client.told()
    this.#close()
  }
}

/** The headers of an answer that is a stream of events; null where it is none. */
function eventsOf({ head, framing }: Answering): Headers | null {
  if (!head || (framing === 'bytes' && !(head.status === 200 && isEvents(head.headers)))) return null
  return { ...head.headers }
}

/** The client had left when the answer came, and it is read all the same. */
function isReadOn({ remainder, gone }: LiveExchange, answer: Answer): boolean {
  if (!remainder || gone || answer.kind !== 'answer' || answer.result.kind === 'failure') return false
  return answer.attempt !== null && eventsOf(answer.attempt) !== null
}

/** A turn is only ever made where its dialect has them. */
function turnsOf(exchange: LiveExchange): TurnDialect {
  return exchange.route.provider!.dialect.websocket!.turns!
}
