/** A WebSocket peer of its own on node:net, client or server, that shares no code with `ws`: for tests of whoever speaks to it. */
import { createHash, randomBytes } from 'node:crypto'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { closePayload, type Frame, FrameReader, type FrameSpec, opcodes, writeFrame } from './websocket-frames.ts'

/** How long a peer waits for the next frame where nothing else is said, in milliseconds. */
const defaultPatience = 10_000

export interface PeerMessage {
  readonly data: Buffer
  readonly isBinary: boolean
}

/** Everything that came until the other side ended. */
export interface Heard {
  readonly messages: readonly PeerMessage[]
  readonly pongs: readonly Buffer[]
  readonly pings: number
  /** Of the close frame: 1005 without a code; null where none came. */
  readonly code: number | null
  readonly reason: string
}

export class Peer {
  readonly socket: Socket
  /** The head of the other side's part of the handshake, as it came. */
  readonly head: string
  readonly isClient: boolean
  readonly #reader: FrameReader
  readonly #patience: number
  readonly #frames: Frame[] = []
  #failure: Error | null = null
  #isEnded = false
  #hasClosed = false
  #wake: () => void = () => {}

  constructor(socket: Socket, head: string, rest: Buffer, isClient: boolean, patience = defaultPatience) {
    this.socket = socket
    this.head = head
    this.isClient = isClient
    this.#patience = patience
    this.#reader = new FrameReader(!isClient)
    socket.on('data', (chunk) => this.#take(chunk))
    socket.on('close', () => this.#end())
    socket.on('end', () => this.#end())
    socket.on('error', () => {}) // 'close' follows
    if (rest.length > 0) this.#take(rest)
  }

  send(...frames: readonly FrameSpec[]): void {
    for (const frame of frames) {
      if (frame.opcode === opcodes.close) this.#hasClosed = true
      this.write(writeFrame(frame, this.isClient))
    }
  }

  write(bytes: Buffer): void {
    if (!this.socket.destroyed) this.socket.write(bytes)
  }

  /** The next frame, or null where the other side has ended. */
  async next(): Promise<Frame | null> {
    const deadline = AbortSignal.timeout(this.#patience)
    while (this.#frames.length === 0 && this.#failure === null && !this.#isEnded) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      deadline.addEventListener('abort', () => resolve(), { once: true })
      await promise
      if (deadline.aborted) throw new Error(`no frame and no end in ${this.#patience} ms`)
    }
    const frame = this.#frames.shift()
    if (frame === undefined && this.#failure !== null) throw this.#failure
    return frame ?? null
  }

  /** Reads to the end; answers a close frame as it should, and no ping. `onChange` is told how much has come, each time. */
  async hear(onChange: (messages: number, pongs: number) => void = () => {}): Promise<Heard> {
    const messages: PeerMessage[] = []
    const pongs: Buffer[] = []
    const heard = { messages, pongs, pings: 0, code: null as number | null, reason: '' } // null until a close frame comes
    let parts: Frame[] = []
    for (let frame = await this.next(); frame !== null; frame = await this.next()) {
      if (frame.opcode === opcodes.pong) {
        pongs.push(frame.payload)
        onChange(messages.length, pongs.length)
      } else if (frame.opcode === opcodes.ping) heard.pings++
      else if (frame.opcode === opcodes.close) {
        heard.code = frame.payload.length === 0 ? 1005 : frame.payload.readUInt16BE()
        heard.reason = frame.payload.subarray(2).toString()
        if (!this.#hasClosed) this.send({ opcode: opcodes.close, payload: frame.payload.subarray(0, 2) })
        // It is the server's to end the connection first (§7.1.1).
        if (!this.isClient) this.socket.end()
      } else {
        if ((frame.opcode === opcodes.continuation) !== parts.length > 0) throw new Error('a part of no message')
        parts.push(frame)
        if (!frame.fin) continue
        messages.push({
          data: Buffer.concat(parts.map(({ payload }) => payload)),
          isBinary: parts[0]!.opcode === opcodes.binary,
        })
        parts = []
        onChange(messages.length, pongs.length)
      }
    }
    return heard
  }

  /** Begins the closing handshake. */
  close(code?: number, reason?: string): void {
    this.send({ opcode: opcodes.close, payload: closePayload(code, reason) })
  }

  [Symbol.dispose](): void {
    this.socket.destroy()
  }

  #take(chunk: Buffer): void {
    try {
      this.#frames.push(...this.#reader.push(chunk))
    } catch (error) {
      this.#failure = error as Error // the reader throws nothing else
      this.socket.destroy()
    }
    this.#wake()
  }

  #end(): void {
    if (this.#reader.rest > 0) this.#failure ??= new Error('the end came in the middle of a frame')
    this.#isEnded = true
    this.#wake()
  }
}

/** A client's handshake. Rejects with the status line where the answer is no upgrade. */
export async function connectPeer(
  url: URL,
  headers: Readonly<Record<string, string>> = {},
  patience = defaultPatience,
): Promise<Peer> {
  const socket = connect({ port: Number(url.port), host: url.hostname, noDelay: true })
  const key = randomBytes(16).toString('base64')
  const lines = Object.entries({
    host: url.host,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': key,
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join('')}\r\n`)
  const { head, rest } = await readHead(socket)
  const accepted = /^sec-websocket-accept: *(\S+)\r$/im.exec(head)?.[1]
  if (!head.startsWith('HTTP/1.1 101 ') || accepted !== acceptOf(key)) {
    socket.destroy()
    throw new Error(head.split('\r\n', 1)[0])
  }
  return new Peer(socket, head, rest, true, patience)
}

export interface PeerServer extends AsyncDisposable {
  readonly url: URL
}

/** A server that accepts every handshake; `onPeer` is given each connection. */
export async function peerServer(onPeer: (peer: Peer) => void): Promise<PeerServer> {
  const sockets = new Set<Socket>()
  const accept = async (socket: Socket): Promise<void> => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    const { head, rest } = await readHead(socket)
    const key = /^sec-websocket-key: *(\S+)\r$/im.exec(head)?.[1] ?? ''
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${acceptOf(key)}\r\n\r\n`,
    )
    onPeer(new Peer(socket, head, rest, false))
  }
  const server = createServer({ noDelay: true }, (socket) => {
    // Who leaves in the handshake is nobody's business.
    accept(socket).catch(() => socket.destroy())
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return {
    url: new URL(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`), // it listens on a port
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** RFC 6455 §4.2.2. */
function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

function readHead(socket: Socket): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk])
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0) return
      for (const [event, listener] of Object.entries(listeners)) socket.off(event, listener)
      resolve({ head: bytes.toString('latin1', 0, end + 2), rest: bytes.subarray(end + 4) })
    }
    const onEnd = (): void => reject(new Error('the connection ended in the handshake'))
    const listeners = { data: onData, error: reject, close: onEnd }
    for (const [event, listener] of Object.entries(listeners)) socket.on(event, listener)
  })
}
