/** A WebSocket session passed on: messages both ways in the bytes that came, pauses, and the end as whoever ended it said it. */
import { ClientGone, DrainEnded, TimedOut } from './errors.ts'
import type { LiveExchange } from './exchange.ts'
import type { SessionMessage } from './plugin.ts'
import type { Listener, WsConnection } from './upstream/ws-connection.ts'

/** From the end of one side to the end of the other, in ms: a side that does not answer is cut off. */
const closeWithin = 5000

export class SessionRelay {
  readonly ended: Promise<void>
  readonly #exchange: LiveExchange
  readonly #client: WsConnection
  readonly #upstream: WsConnection
  #end: () => void = () => {}
  #open = 2
  #timer: NodeJS.Timeout | null = null

  constructor(exchange: LiveExchange, client: WsConnection, upstream: WsConnection) {
    this.#exchange = exchange
    this.#client = client
    this.#upstream = upstream
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    // The upstream first: what it has said before this moment was held, and nothing of it is lost.
    upstream.listen(this.#from('upstream', upstream, client))
    client.listen(this.#from('client', client, upstream))
  }

  abort(reason: Error): void {
    const isOurs = reason instanceof DrainEnded || reason instanceof TimedOut
    this.#close(isOurs ? 1001 : 1011, isOurs ? 'the gateway ends this session' : 'the session was ended')
  }

  #from(from: SessionMessage['from'], source: WsConnection, sink: WsConnection): Listener {
    const exchange = this.#exchange
    const { onMessage, onEvent } = exchange.route
    return {
      onMessage: (data, isBinary) => {
        let passed: SessionMessage | null = null
        try {
          if (onMessage) {
            passed = onMessage(exchange, { from, data, isBinary })
            if (passed === null) return
          }
          if (from === 'upstream') onEvent?.(exchange, passed?.data ?? data)
        } catch (error) {
          const thrown = error instanceof Error ? error : new Error(String(error))
          exchange.error ??= thrown
          exchange.log.error({ err: thrown }, thrown.message)
          this.#close(1011, 'a plugin failed')
          return
        }
        const bytes = passed?.data ?? data
        if (from === 'upstream') exchange.sent += bytes.length
        if (!sink.send(bytes, passed?.isBinary ?? isBinary)) source.pause()
      },
      onDrain: () => sink.resume(),
      onClose: (code, reason, fault) => {
        if (from === 'client' && code === 1006) exchange.error ??= new ClientGone()
        if (fault) exchange.error ??= fault
        // What was wrong with the messages of one side is told to that side by its own close frame, and not to the other.
        sink.close(fault ? (from === 'upstream' ? 1011 : 1001) : code, fault ? '' : reason)
        this.#oneEnded()
      },
    }
  }

  #close(code: number, reason: string): void {
    this.#client.close(code, reason)
    this.#upstream.close(1001, reason)
  }

  #oneEnded(): void {
    if (--this.#open === 0) {
      if (this.#timer) clearTimeout(this.#timer)
      this.#end()
      return
    }
    this.#timer = setTimeout(() => {
      this.#client.terminate()
      this.#upstream.terminate()
    }, closeWithin)
    this.#timer.unref()
  }
}
