/** One open WebSocket connection to an upstream: messages as they come, backpressure both ways, pings, one end. */
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import type { Headers } from '../plugin.ts'
import type { Cancel, Clock } from './ws-clock.ts'

/** Who reads a connection. */
export interface Listener {
  /** A whole message in the bytes that arrived; text has been checked to be UTF-8. */
  onMessage(data: Buffer, isBinary: boolean): void
  /**
   * Once. 1005 where the upstream named no code, 1006 where the connection broke; `fault` says what was wrong with what the
   * upstream sent, such as WS_ERR_UNSUPPORTED_MESSAGE_LENGTH for a message that was too long.
   */
  onClose(code: number, reason: string, fault: Fault | null): void
  /** What `send` refused to go on with has been written. */
  onDrain?(): void
}

export type Fault = Error & { readonly code?: string }

/** What the pool wants to know of a connection. */
export interface Keeper {
  /** The closing has begun, or has come from the upstream: nothing can be sent any more. Once. */
  onGone(): void
  /** A message came that nobody is lent the connection for. */
  onStray(): void
}

/** Bytes waiting to be written above which `send` says false, and below which `onDrain` is called: measured with a 100 MB
 * flood to a slow reader, these hold memory at 1 MB and cost no throughput. */
const highMark = 1024 * 1024
const lowMark = 64 * 1024

/** Two objects for all messages: ws copies what it needs of them. */
const text = Object.freeze({ binary: false })
const binary = Object.freeze({ binary: true })

export class WsConnection {
  readonly id: string
  readonly openedAt: number
  /** The headers of the upstream's 101. */
  readonly headers: Readonly<Headers>
  /** The subprotocol that the upstream chose, or ''. */
  readonly protocol: string
  /** Messages that came, and that were sent. */
  heard = 0
  said = 0
  readonly #ws: WebSocket
  readonly #tcp: Socket
  readonly #clock: Clock
  #keeper: Keeper = nobody
  #listener: Listener | null = null
  /** From the first moment: a message can come before anyone has been told of the connection. */
  #isLent = true
  #isGone = false
  #isFull = false
  #end: { code: number; reason: string } | null = null
  #fault: Fault | null = null
  #held: { data: Buffer; isBinary: boolean }[] = []
  #lastUsed: number
  #lastHeard: number
  #pinging: Promise<boolean> | null = null
  #onPong: (isAlive: boolean) => void = nothing
  #probedAt = -1

  constructor(id: string, ws: WebSocket, tcp: Socket, headers: Headers, clock: Clock) {
    this.id = id
    this.headers = headers
    this.protocol = ws.protocol
    this.#ws = ws
    this.#tcp = tcp
    this.#clock = clock
    this.openedAt = this.#lastUsed = this.#lastHeard = clock.now()
    ws.on('message', this.#message)
    ws.on('pong', () => {
      this.#lastHeard = this.#clock.now()
      this.#onPong(true)
    })
    ws.on('close', (code, reason) => {
      this.#gone()
      this.#end = { code, reason: reason.toString() }
      this.#tellEnd()
    })
    // The upstream's end is noticed before ws has done with its own, so that nobody is lent what is about to go.
    tcp.on('end', this.#gone)
    tcp.on('close', this.#gone)
    // An error is always followed by 'close'.
    ws.on('error', (fault: Fault) => {
      this.#fault = fault
      this.#gone()
    })
  }

  /** Whether messages can be sent. False from the first sign of an end. */
  get isOpen(): boolean {
    return !this.#isGone && this.#ws.readyState === WebSocket.OPEN
  }

  /** When it was last lent or given back, to the second: it moves at most once in one. */
  get lastUsed(): number {
    return this.#lastUsed
  }

  /** When there was last a sign of life: it was used, or answered a ping. */
  get lastHeard(): number {
    return Math.max(this.#lastHeard, this.#lastUsed)
  }

  /** Bytes given to `send` that the system has not taken yet. */
  get buffered(): number {
    return this.#ws.bufferedAmount
  }

  /** What was wrong with what the upstream sent, if that was the end of it. */
  get fault(): Fault | null {
    return this.#fault
  }

  keptBy(keeper: Keeper): void {
    this.#keeper = keeper
    if (this.isOpen) return
    this.#isGone = true
    keeper.onGone()
  }

  /** From here on messages are somebody's: those that come before `listen` are held. */
  lend(): void {
    this.#isLent = true
    this.#touch()
    this.#tcp.ref()
  }

  /** Nobody's again. False where messages were held that nobody took: such a connection must not be lent again. */
  rest(): boolean {
    const isClean = this.#held.length === 0
    this.#held = []
    this.#isLent = false
    this.#listener = null
    this.#isFull = false
    this.#probedAt = -1
    this.#touch()
    this.#ws.resume()
    // As a kept-alive socket of http.Agent: it keeps no process alive while it serves nobody.
    this.#tcp.unref()
    return isClean
  }

  listen(listener: Listener): void {
    this.#listener = listener
    if (this.#held.length > 0) this.#ws.resume()
    // What a listener does not live to see stays held, and keeps the connection from being lent again.
    while (this.#held.length > 0 && this.#listener === listener) {
      const { data, isBinary } = this.#held.shift()!
      listener.onMessage(data, isBinary)
    }
    this.#tellEnd()
  }

  /**
   * Sends one message; the bytes given are read, never written to. False where the caller should wait for `onDrain`, and
   * where the connection is gone (`onClose` comes, or has come).
   */
  send(data: Buffer | string, isBinary: boolean): boolean {
    if (!this.isOpen) return false
    this.said++
    this.#ws.send(data, isBinary ? binary : text, this.#sent)
    if (this.#ws.bufferedAmount > highMark) this.#isFull = true
    return !this.#isFull
  }

  /** Stops reading, so that the upstream has to wait; messages that are already here still come. */
  pause(): void {
    this.#ws.pause()
  }

  resume(): void {
    this.#ws.resume()
  }

  /** Whether the upstream answers a ping within `timeout` ms. Whoever asks meanwhile shares the ping under way. */
  ping(timeout: number): Promise<boolean> {
    if (!this.isOpen) return Promise.resolve(false)
    this.#pinging ??= new Promise((resolve) => {
      const cancel: Cancel = this.#clock.after(timeout, () => this.#onPong(false))
      this.#onPong = (isAlive) => {
        cancel()
        this.#onPong = nothing
        this.#pinging = null
        resolve(isAlive)
      }
      this.#ws.ping()
    })
    return this.#pinging
  }

  /**
   * For a connection in use, asked once per sweep: false where not one byte has come since the sweep before, though that
   * one pinged. Says nothing against one that is paused or still has bytes to write: its pong may be stuck behind them.
   */
  probe(): boolean {
    if (this.#ws.isPaused || this.#ws.bufferedAmount > 0 || !this.isOpen) {
      this.#probedAt = -1
      return true
    }
    if (this.#probedAt === this.#tcp.bytesRead) return false
    this.#probedAt = this.#tcp.bytesRead
    this.#ws.ping()
    return true
  }

  /**
   * Ends it with a close frame; what does not answer is cut off. 1006 and 1015 stand for a connection that broke, so it is
   * broken; other codes that cannot be sent (RFC 6455 §7.4) are left out. Of a reason 123 bytes are sent.
   */
  close(code = 1000, reason = ''): void {
    this.#gone()
    if (code === 1006 || code === 1015) this.#ws.terminate()
    else if (isSendable(code)) this.#ws.close(code, shortened(reason))
    else this.#ws.close()
    // A paused connection would never see the answer.
    this.#ws.resume()
  }

  /** Ends it now. */
  terminate(): void {
    this.#gone()
    this.#ws.terminate()
  }

  #message = (data: Buffer, isBinary: boolean): void => {
    this.heard++
    if (this.#listener !== null) this.#listener.onMessage(data, isBinary)
    else if (this.#isLent) {
      this.#held.push({ data, isBinary })
      this.#ws.pause()
    } else if (!this.#isGone) this.#keeper.onStray()
  }

  #sent = (): void => {
    if (!this.#isFull || this.#ws.bufferedAmount > lowMark) return
    this.#isFull = false
    this.#listener?.onDrain?.()
  }

  #tellEnd(): void {
    const listener = this.#listener
    if (this.#end === null || listener === null) return
    this.#listener = null
    listener.onClose(this.#end.code, this.#end.reason, this.#fault)
  }

  #gone = (): void => {
    if (this.#isGone) return
    this.#isGone = true
    this.#onPong(false)
    this.#keeper.onGone()
  }

  #touch(): void {
    const now = this.#clock.now()
    if (now - this.#lastUsed >= 1000) this.#lastUsed = now
  }
}

function isSendable(code: number): boolean {
  return (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005) || (code >= 3000 && code <= 4999)
}

/** As many whole characters as fit beside the code into a control frame. */
function shortened(reason: string): Buffer {
  const bytes = Buffer.from(reason)
  let end = Math.min(bytes.length, 123)
  // A byte 10xxxxxx goes on with the character before it.
  while (end < bytes.length && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

const nothing = (): void => {}
const nobody: Keeper = { onGone: nothing, onStray: nothing }
