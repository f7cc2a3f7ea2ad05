/** An upstream that records what it hears, byte by byte, with the strict parser of `http-parse.ts`. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type ParsedRequest, parseRequests } from './http-parse.ts'

export interface RecordingUpstream extends AsyncDisposable {
  readonly port: number
  readonly url: string
  /** What has come since the last call. */
  take(): Heard
}

export interface Heard {
  /** Requests that came whole. */
  readonly requests: readonly ParsedRequest[]
  readonly violations: readonly string[]
}

/** Listens. Every request that comes whole is answered with 200 and its number. */
export async function recordingUpstream(): Promise<RecordingUpstream> {
  let requests: ParsedRequest[] = []
  let violations: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    let bytes = ''
    let answered = 0
    socket.on('data', (chunk) => {
      bytes += chunk.toString('latin1')
      const parsed = parseRequests(bytes)
      for (const request of parsed.requests.slice(answered)) {
        requests.push(request)
        socket.write(answerTo(request))
      }
      answered = parsed.requests.length
      if (parsed.violation !== null) {
        violations.push(parsed.violation)
        socket.destroy()
      } else if (!parsed.isIncomplete) {
        bytes = ''
        answered = 0
      }
    })
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    take() {
      const heard = { requests, violations }
      requests = []
      violations = []
      return heard
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function answerTo({ method }: ParsedRequest): string {
  const body = '{"ok":true}'
  const sent = method === 'HEAD' ? '' : body
  return `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${sent}`
}
