/** A client's WebSocket of turns: one request after the other, each an exchange of its own, in the gateway that is current. */
import { randomUUID } from 'node:crypto'
import { JsonBody } from './body/body.ts'
import type { LiveExchange } from './exchange.ts'
import type { Gateway } from './gateway.ts'
import { handle } from './handle.ts'
import type { Headers } from './plugin.ts'
import type { TurnDialect } from './provider.ts'
import { closings, type Closing } from './turn-close.ts'
import { Turn, type TurnClient } from './turn.ts'
import type { ReplayBudget } from './turn-conversation.ts'
import { TurnMemory } from './turn-memory.ts'
import type { Listener, WsConnection } from './upstream/ws-connection.ts'

export class TurnSocket implements Listener, TurnClient {
  readonly memory: TurnMemory
  readonly #connection: WsConnection
  readonly #upgrade: LiveExchange
  readonly #current: () => Gateway
  readonly #onTurn: () => void
  readonly #onEnd: () => void
  readonly #headers: Headers
  #turn: Turn | null = null
  #exchange: LiveExchange | null = null
  /** The client has had the last message of the turn that is still ending. */
  #isTold = false
  /** A request that came while the turn before it was ending. */
  #next: JsonBody | null = null
  #turns = 0
  #isOpen = true
  #isDraining = false
  #timer: NodeJS.Timeout | null = null

  /** `current` tells the gateway that a turn enters; `budget` is for what all sockets remember. */
  constructor(
    connection: WsConnection,
    upgrade: LiveExchange,
    current: () => Gateway,
    budget: ReplayBudget,
    { onTurn, onEnd }: { readonly onTurn: () => void; readonly onEnd: () => void },
  ) {
    this.memory = new TurnMemory(randomUUID(), budget)
    this.#connection = connection
    this.#upgrade = upgrade
    this.#current = current
    this.#onTurn = onTurn
    this.#onEnd = onEnd
    this.#headers = turnHeaders(upgrade.headers)
    this.#wait(upgrade.gateway.config.settings.timeouts.first_message, closings.noFirst)
    connection.listen(this)
  }

  get isOpen(): boolean {
    return this.#isOpen && this.#connection.isOpen
  }

  onMessage(data: Buffer): void {
    if (!this.#isOpen) return
    const body = this.#bodyOf(data)
    if (body === null) return
    if (this.#turn === null) this.#begin(body)
    else if (this.#isTold && this.#next === null) this.#next = body
    else this.#refuseSecond()
  }

  onDrain(): void {
    this.#turn?.relay?.drained()
  }

  onClose(): void {
    this.#isOpen = false
    this.#stopWaiting()
    this.#next = null
    // What is an own connection's must not be closed under a turn that is still read for its usage.
    if (this.#turn) this.#turn.clientLeft(this.#exchange!)
    else this.memory.end()
    this.#onEnd()
  }

  send(message: Buffer | string): boolean {
    return this.#connection.send(message, false)
  }

  close({ code, reason }: Closing): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#stopWaiting()
    this.#connection.close(code, reason)
  }

  told(): void {
    this.#isTold = true
  }

  /** Ends it at the end of the turn that is under way. */
  drain(): void {
    this.#isDraining = true
    if (this.#turn === null) this.close(closings.draining)
  }

  #begin(body: JsonBody): void {
    this.#stopWaiting()
    const { request, response, path, query, client, id } = this.#upgrade
    const turn = new Turn(this, { ...this.#headers }, body)
    this.#turn = turn
    this.#isTold = false
    this.#turns++
    this.#onTurn()
    this.#exchange = this.#current().enter({
      request,
      response,
      id: `${id}.${this.#turns}`,
      path,
      query,
      client,
      far: turn,
    })
    void handle(this.#exchange).then(() => this.#ended())
  }

  #ended(): void {
    const next = this.#next
    const { timeouts } = this.#exchange!.gateway.config.settings
    this.#turn = null
    this.#exchange = null
    this.#next = null
    if (!this.isOpen) this.memory.end()
    else if (this.#isDraining) this.close(closings.draining)
    else if (next) this.#begin(next)
    else this.#wait(timeouts.between_turns, closings.idle)
  }

  /** Null where the connection was closed for what it says. */
  #bodyOf(data: Buffer): JsonBody | null {
    const isFirst = this.#turns === 0
    const body = new JsonBody(data)
    const wrong =
      data.length === 0
        ? closings.empty.reason
        : body.isObject
          ? this.#dialect.begins(body, isFirst)
          : (isFirst ? closings.noJsonFirst : closings.noJson).reason
    if (wrong === null) return body
    this.close({ code: 1008, reason: wrong })
    return null
  }

  /** The turn that is under way goes on. */
  #refuseSecond(): void {
    const { dialect } = this.#upgrade.route.provider!
    const message = 'A response is in progress on this connection: wait for its last event'
    this.send(this.#dialect.error(dialect.refusal(409, 'RESPONSE_IN_PROGRESS', message), 409))
  }

  #wait(ms: number, closing: Closing): void {
    this.#timer = setTimeout(() => this.close(closing), ms)
    this.#timer.unref()
  }

  #stopWaiting(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }

  get #dialect(): TurnDialect {
    return this.#upgrade.route.provider!.dialect.websocket!.turns!
  }
}

/** The upgrade's headers, but for the handshake's own: what the same client would send with a POST. */
function turnHeaders(headers: Readonly<Headers>): Headers {
  const sent: Headers = { 'content-type': 'application/json' }
  for (const name in headers) {
    if (!name.startsWith('sec-websocket-') && name !== 'connection' && name !== 'upgrade') sent[name] = headers[name]
  }
  return sent
}
