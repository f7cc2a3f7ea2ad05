/** One connection to an upstream, from the first request that it serves to its end. */
import type { Socket } from 'node:net'
import { failure, mostInformational, type Flow, type Receiver, type Sending } from './client.ts'
import { AnswerReader, type Taker } from './http1-answer.ts'
import type { Head } from './http1-head.ts'
import { isChunked, isRepeatable, writeHead } from './http1-request.ts'
import { Upload } from './http1-upload.ts'

/** Whose connection it is. */
export interface Owner {
  readonly host: string
  /** In ticks, each at least as long as it says. */
  readonly patience: { readonly headers: number; readonly idle: number }
  /** It may serve again. `keepAlive`: seconds that its server keeps it. */
  free(connection: Connection, keepAlive: number | null): void
  /** It serves no more. */
  gone(connection: Connection): void
  /** It has ended under this request, which was not carried out, or may be twice: another connection shall have it. */
  again(sending: Sending, receiver: Receiver): void
}

/** Bodies up to this many bytes are copied behind their heads: one write of one buffer is cheaper than one of two pieces. */
const joinedLimit = 16 * 1024

/**
 * What a request costs here is its head as one string, one write, and one reading of the answer: no function, timer or error is made for
 * it. Until the next one nothing points to its receiver.
 */
export class Connection implements Taker, Flow {
  /** When it is too old to be used, in ms as `performance.now()` tells them; while it is idle. */
  expires = 0
  /** When it was put back. */
  idleSince = 0
  readonly #socket: Socket
  readonly #owner: Owner
  readonly #reader = new AnswerReader(this)
  #sending: Sending | null = null
  #receiver: Receiver | null = null
  #upload: Upload | null = null
  #phase: 'idle' | 'asked' | 'answering' | 'gone' = 'idle'
  #isReused = false
  /** A byte has come since the request was sent. */
  #hasAnswered = false
  /** Nothing of the request can have left: the system refused to take it. */
  #isUnsent = false
  #isKept = true
  #keepAlive: number | null = null
  #informational = 0
  #isPaused = false
  /** Ticks since anything has moved. */
  #quiet = 0

  constructor(socket: Socket, owner: Owner) {
    this.#socket = socket
    this.#owner = owner
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('drain', () => this.#upload?.drained())
    socket.on('end', () => this.#ended())
    socket.on('error', (error) => this.#broke(error))
    socket.on('close', () => this.#broke(null))
  }

  /** Whether it can be asked. */
  get isFree(): boolean {
    return this.#phase === 'idle'
  }

  /** Sends a request, whose answer is told to the receiver. It must be free. */
  ask(sending: Sending, receiver: Receiver): void {
    const head = written(sending, this.#owner.host)
    if (typeof head !== 'string') {
      this.#owner.free(this, this.#keepAlive)
      return receiver.onError(head)
    }
    this.#sending = sending
    this.#receiver = receiver
    this.#phase = 'asked'
    this.#hasAnswered = this.#isUnsent = this.#isPaused = false
    this.#isKept = true
    this.#informational = this.#quiet = 0
    this.#reader.begin(sending.method)
    receiver.onFlow(this)
    // Whoever gave up meanwhile has broken the connection off.
    if (this.#receiver !== null) this.#write(head, sending)
  }

  resume(receiver: Receiver): void {
    if (this.#receiver !== receiver || !this.#isPaused) return
    this.#isPaused = false
    this.#quiet = 0
    this.#socket.resume()
  }

  abort(receiver: Receiver, _reason: Error): void {
    if (this.#receiver === receiver) this.destroy()
  }

  /** Ends it now. Whoever waits for an answer is not told. */
  destroy(): void {
    this.#leave()
    this.#socket.destroy()
  }

  /** Ends it, and tells whoever waits. */
  cutOff(error: NodeJS.ErrnoException): void {
    const receiver = this.#receiver
    this.destroy()
    receiver?.onError(error)
  }

  /** Some time has passed; called by its owner, at even distances. */
  tick(): void {
    if (this.#phase === 'idle' || this.#isPaused || this.#upload?.waitsFor === 'client') return
    const { headers, idle } = this.#owner.patience
    const isAsked = this.#phase === 'asked'
    if (++this.#quiet < (isAsked ? headers : idle)) return
    if (isAsked) this.cutOff(failure('HEADERS_TIMEOUT', 'no answer came in time'))
    else this.cutOff(failure('IDLE_TIMEOUT', 'the answer stalled'))
  }

  onHead({ status, headers, isKept, keepAlive }: Head): void {
    if (status < 200) {
      if (++this.#informational > mostInformational) throw failure('BAD_ANSWER', 'too many informational answers')
      // No request of ours asks for it: whoever sends it may be out of step.
      if (status === 100) this.#isKept = false
      return
    }
    this.#phase = 'answering'
    this.#quiet = 0
    this.#isKept &&= isKept
    this.#keepAlive = keepAlive
    // It has refused what it has not read, and will not read it: RFC 9112 §9.5.
    if (!isKept && status >= 300) this.#upload?.stop()
    this.#receiver!.onHead(status, headers)
  }

  onBody(chunk: Buffer): void {
    if (this.#receiver!.onData(chunk) || this.#receiver === null) return
    this.#isPaused = true
    this.#socket.pause()
  }

  /** What has not been sent by now is not wanted: it cannot be told from a next request, so the connection ends (RFC 9112 §9.3). */
  onWhole(hasRest: boolean): void {
    const receiver = this.#receiver!
    const isSpent = hasRest || !this.#isKept || this.#upload !== null || this.#socket.writableLength > 0
    if (isSpent) {
      this.destroy()
      return receiver.onComplete()
    }
    if (this.#isPaused) this.#socket.resume()
    this.#phase = 'idle'
    this.#isReused = true
    this.#isPaused = false
    this.#receiver = this.#sending = null
    receiver.onComplete()
    if (this.isFree) this.#owner.free(this, this.#keepAlive)
  }

  #write(head: string, sending: Sending): void {
    const socket = this.#socket
    const { body } = sending
    if (body === null) socket.write(head, 'latin1')
    else if (!Buffer.isBuffer(body)) this.#stream(head, sending, body)
    else if (body.length <= joinedLimit) socket.write(joined(head, body))
    else {
      socket.cork()
      socket.write(head, 'latin1')
      socket.write(body)
      socket.uncork()
    }
    // A write that the system refuses is known at once, and no part of it has been taken.
    this.#isUnsent = socket.errored !== null
  }

  #stream(head: string, sending: Sending, body: AsyncIterable<Buffer>): void {
    this.#socket.write(head, 'latin1')
    const upload = new Upload(this.#socket)
    this.#upload = upload
    const length = isChunked(sending) ? null : Number(sending.headers['content-length'])
    upload.send(body, length).then(
      () => {
        this.#quiet = 0
        if (this.#upload === upload && upload.isWhole) this.#upload = null
      },
      (error: NodeJS.ErrnoException) => {
        if (this.#upload === upload) this.cutOff(error)
      },
    )
  }

  #read(chunk: Buffer): void {
    // A head has its time as a whole: bytes of it now and then, or informational answers, win none.
    if (this.#phase === 'answering') this.#quiet = 0
    this.#hasAnswered = true
    // Nobody has asked for it, and it must answer nobody.
    if (this.#receiver === null) return this.destroy()
    try {
      this.#reader.push(chunk)
    } catch (error) {
      this.cutOff(error as NodeJS.ErrnoException) // BAD_ANSWER, or what the receiver throws
    }
  }

  /** The upstream will say no more. */
  #ended(): void {
    if (this.#receiver === null) return this.destroy()
    try {
      this.#isKept = false
      this.#reader.end()
    } catch (error) {
      this.#broke(error as NodeJS.ErrnoException) // UPSTREAM_CLOSED, or what the receiver throws
    }
  }

  #broke(error: NodeJS.ErrnoException | null): void {
    if (this.#phase === 'gone') return
    const receiver = this.#receiver
    const sending = this.#sending
    const goesElsewhere = receiver !== null && this.#mayGoElsewhere(sending!)
    this.destroy()
    if (receiver === null) return
    if (goesElsewhere) this.#owner.again(sending!, receiver)
    else receiver.onError(error ?? failure('UPSTREAM_CLOSED', 'the connection ended before the answer'))
  }

  /**
   * A server may close a connection that it thinks idle at the moment we use it. Then the request goes to another one, once: where nothing
   * of it has left, or where the connection had served before, no byte of an answer has come, and sending it twice can do no harm. A POST
   * of which nobody knows is the caller's to decide on: it may have been carried out, and be paid for.
   */
  #mayGoElsewhere(sending: Sending): boolean {
    if (!this.#isReused || this.#hasAnswered) return false
    return isRepeatable(sending) || (this.#isUnsent && this.#upload === null)
  }

  #leave(): void {
    if (this.#phase === 'gone') return
    this.#phase = 'gone'
    this.#reader.stop()
    this.#upload?.stop()
    this.#upload = this.#receiver = this.#sending = null
    this.#owner.gone(this)
  }
}

/** The head, or why there can be none. */
function written(sending: Sending, host: string): string | NodeJS.ErrnoException {
  try {
    return writeHead(sending, host)
  } catch (error) {
    return error as NodeJS.ErrnoException // writeHead throws nothing else
  }
}

function joined(head: string, body: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(head.length + body.length)
  bytes.write(head, 'latin1')
  body.copy(bytes, head.length)
  return bytes
}
