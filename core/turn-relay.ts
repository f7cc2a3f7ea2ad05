/** An upstream's events on their way to a client as messages: those that nobody edits leave as the very bytes that came. */
import { fault, Refused } from './errors.ts'
import type { LiveExchange } from './exchange.ts'
import type { TurnDialect } from './provider.ts'
import { refusalOfNetwork } from './refusal.ts'
import { eventData, EventReader } from './sse.ts'
import { closeForNetwork } from './turn-close.ts'
import type { TurnClient } from './turn.ts'
import type { Answering, Sink } from './upstream/attempt.ts'

export class TurnRelay implements Sink {
  readonly #exchange: LiveExchange
  readonly #attempt: Answering
  readonly #client: TurnClient
  readonly #turns: TurnDialect
  readonly #done: () => void
  /** Null where the upstream sends messages. */
  readonly #events: EventReader | null
  #hasEnded = false

  constructor(exchange: LiveExchange, attempt: Answering, client: TurnClient, turns: TurnDialect, done: () => void) {
    this.#exchange = exchange
    this.#attempt = attempt
    this.#client = client
    this.#turns = turns
    this.#done = done
    this.#events = attempt.framing === 'messages' ? null : new EventReader()
  }

  bytes(chunk: Buffer): boolean {
    if (this.#hasEnded) return true
    try {
      if (this.#events === null) return this.#pass(chunk)
      let flows = true
      for (const event of this.#events.push(chunk)) flows = this.#event(event)
      return flows
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      this.#exchange.log.error({ err: error }, error.message)
      this.broken(error)
      this.#attempt.abort(error)
      return true
    }
  }

  whole(): void {
    const rest = this.#events?.rest()
    if (rest && rest.length > 0 && !this.#hasEnded) this.#event(rest)
    if (!this.#hasEnded) this.broken(new Refused(fault('UPSTREAM_BROKEN', 'its stream ended before the last event')))
  }

  broken(error: NodeJS.ErrnoException): void {
    if (this.#hasEnded) return
    this.#exchange.error ??= error
    const { status, code, message } = refusalOfNetwork(error)
    const shape = this.#exchange.route.provider!.dialect.refusal(status, code, message)
    if (this.#client.isOpen) this.#client.send(this.#turns.error(shape, status))
    this.#exchange.remainder?.broken(error)
    this.#end()
    this.#client.close(closeForNetwork(error)!)
  }

  /** The client can take more, or has left. */
  drained(): void {
    this.#attempt.resume()
  }

  /** The last event has been passed on, or none will be. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  #event(event: Buffer): boolean {
    const data = eventData(event)
    return data === null || data.length === 0 || data[0] === bracket || this.#pass(data)
  }

  /** One event. `[DONE]` was left out before: a message is an object. */
  #pass(data: Buffer): boolean {
    if (this.#hasEnded) return true
    const exchange = this.#exchange
    const { onEvent, editEvent } = exchange.route
    this.#client.memory.conversation.hears(data)
    onEvent?.(exchange, data)
    const edited = editEvent ? editEvent(exchange, data) : data
    // The contract has it synchronous; a promise here is a defect of the plugin's.
    if (edited instanceof Promise) throw new TypeError('editEvent must answer at once')
    const isLast = this.#turns.ends(data)
    const { remainder } = exchange
    if (!remainder) exchange.sent += edited.length
    const flows = !this.#client.isOpen || this.#client.send(edited)
    if (isLast) this.#end()
    remainder?.count(data.length)
    return flows
  }

  #end(): void {
    this.#hasEnded = true
    this.#exchange.remainder?.end('read to its end')
    this.#done()
  }
}

const bracket = 0x5b
