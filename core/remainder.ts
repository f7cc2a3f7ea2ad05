/** An answer whose client has left: it is cut off, or read to its end, so that what it has cost is learned (`on_disconnect`). */
import type { Answer } from './ask.ts'
import { ClientGone } from './errors.ts'
import { tapOf, type Tap } from './events.ts'
import type { LiveExchange } from './exchange.ts'
import type { Sink } from './upstream/attempt.ts'

/** Turns are read on where gateway.yaml says nothing of it; then for so long at the most, in ms. */
const turnsReadOn = 30_000

/** The client of an HTTP exchange has left: whatever is done for it ends, or the answer is read on. */
export function clientLeft(exchange: LiveExchange): void {
  const { relay, response } = exchange
  const isKnown = response.writableEnded || relay?.tap === null
  if (isKnown || !readsOn(exchange)) exchange.leave(new ClientGone())
  else relay?.attempt.deliverTo(new Unsent(exchange, relay.tap))
}

/**
 * Whether what the upstream was asked is read on; if so, it is from now on. Not where nobody listens to events, and not before
 * the request has been sent: what was not begun costs nothing.
 */
export function readsOn(exchange: LiveExchange): boolean {
  const { asked, error, route, kind, gateway } = exchange
  const { on_disconnect, limits } = gateway.config.settings
  const isWanted = on_disconnect === undefined ? kind === 'turn' : on_disconnect === 'drain'
  if (!isWanted || error !== null || !route.onEvent || asked?.forsake?.() !== true) return false
  const ms = on_disconnect === undefined ? Math.min(turnsReadOn, limits.remainder_time) : limits.remainder_time
  exchange.remainder = new Remainder(exchange, limits.remainder, ms)
  exchange.error = new ClientGone()
  exchange.waits = false
  return true
}

/** An answer that came when its client had left already. False: nothing can be learned from it. */
export function takeUnsent(exchange: LiveExchange, { attempt }: Extract<Answer, { kind: 'answer' }>): boolean {
  const { remainder, gone, route, response } = exchange
  const head = attempt?.head
  if (!remainder || gone || !head || head.status >= 400) return false
  const tap = tapOf(exchange, head.headers)
  if (tap === null) return false
  if (!response.headersSent) route.onResponse?.(exchange, { ...head, body: null })
  attempt.deliverTo(new Unsent(exchange, tap))
  return true
}

/** How much is read on, and how it has ended. The gateway's clock looks at it: a limit counts to the quarter of a second. */
export class Remainder {
  /** Resolves when nothing more is read. */
  readonly over: Promise<void>
  /** That were read since the client left. */
  bytes = 0
  /** For the log; null while it is read. */
  outcome: string | null = null
  readonly #exchange: LiveExchange
  readonly #most: number
  readonly #until: number
  #resolve: () => void = () => {}

  /** At most so many bytes, for so many ms. */
  constructor(exchange: LiveExchange, most: number, ms: number) {
    this.#exchange = exchange
    this.#most = most
    this.#until = performance.now() + ms
    this.over = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  count(bytes: number): void {
    this.bytes += bytes
    if (this.bytes > this.#most) this.#cut('limits.remainder')
  }

  tick(now: number): void {
    if (now >= this.#until) this.#cut('limits.remainder_time')
  }

  /** The first reason counts. */
  end(outcome: string): void {
    this.outcome ??= outcome
    this.#resolve()
  }

  /** The upstream has broken off, or was made to. */
  broken(error: NodeJS.ErrnoException): void {
    this.end(`broke off: ${error.code ?? error.name}`)
  }

  #cut(limit: string): void {
    if (this.outcome !== null) return
    this.end(`cut off: ${limit}`)
    this.#exchange.leave(new ClientGone())
  }
}

/** In the place of a client: nothing is kept, and nothing ever pauses. */
class Unsent implements Sink {
  readonly #exchange: LiveExchange
  readonly #remainder: Remainder
  readonly #tap: Tap

  constructor(exchange: LiveExchange, tap: Tap) {
    this.#exchange = exchange
    this.#remainder = exchange.remainder!
    this.#tap = tap
  }

  bytes(chunk: Buffer): boolean {
    if (this.#shows((tap) => tap.push(chunk))) this.#remainder.count(chunk.length)
    return true
  }

  whole(): void {
    if (this.#shows((tap) => tap.end())) this.#remainder.end('read to its end')
  }

  broken(error: NodeJS.ErrnoException): void {
    this.#remainder.broken(error)
  }

  /** False where it is over: a plugin failed at it, an event has no end, or a limit was reached. */
  #shows(run: (tap: Tap) => void): boolean {
    if (this.#remainder.outcome !== null) return false
    try {
      run(this.#tap)
      return true
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      this.#exchange.log.error({ err: error }, error.message)
      this.#remainder.broken(error)
      this.#exchange.leave(error)
      return false
    }
  }
}
