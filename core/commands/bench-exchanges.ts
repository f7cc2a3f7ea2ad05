/** The exchanges of `postern bench`: requests as SDKs send them, and the upstream that answers them the same way each time. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { http } from '../http.ts'
import type { Provider } from '../provider.ts'
import { answer } from '../testing/answers.ts'
import type { Asked } from '../testing/upstream.ts'

/** One exchange that is repeated. */
export interface BenchExchange {
  /** As `openai: JSON of 2 KB`. */
  readonly title: string
  readonly isStream: boolean
  /** All of the request, ready to be written to a socket. */
  readonly request: Buffer
}

/** Of the body, in bytes; and of an answer that is streamed. */
const bodySize = 2048
const events = 50

interface Shape {
  readonly operations: readonly string[]
  readonly path: (model: string, isStream: boolean) => string
  readonly body: (model: string, isStream: boolean, text: string) => object
}

/** How each API is asked, by what its dialect calls the operation. */
const shapes: readonly Shape[] = [
  {
    operations: ['chat.completions'],
    path: () => '/v1/chat/completions',
    body: (model, stream, content) => ({ model, stream, messages: [{ role: 'user', content }] }),
  },
  {
    operations: ['messages'],
    path: () => '/v1/messages',
    body: (model, stream, content) => ({ model, stream, max_tokens: 100, messages: [{ role: 'user', content }] }),
  },
  {
    operations: ['generateContent', 'streamGenerateContent'],
    path: (model, isStream) =>
      `/v1beta/models/${model}:${isStream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
    body: (_model, _stream, text) => ({ contents: [{ role: 'user', parts: [{ text }] }] }),
  },
]

/** For each API that one of the providers speaks, the first that does: a document and a stream. `modelOf` names a model it serves. */
export function exchangesOf(
  providers: readonly Provider[],
  modelOf: (provider: Provider) => string,
  key: string,
): readonly BenchExchange[] {
  return shapes.flatMap((shape) => {
    const speaker = providers.find((provider) => speaks(provider, shape))
    if (!speaker) return []
    const model = modelOf(speaker)
    return [false, true].map((isStream) => ({
      title: `${speaker.name}, ${isStream ? `a stream of ${events} events` : 'JSON of 2 KB'}`,
      isStream,
      request: requestOf(speaker.prefix + shape.path(model, isStream), key, padded(shape, model, isStream)),
    }))
  })
}

function speaks({ dialect }: Provider, { path, operations }: Shape): boolean {
  const [plain = ''] = path('m', false).split('?')
  const claim = dialect.claims('POST', plain, {})
  return claim !== null && !claim.weak && operations.includes(claim.operation)
}

function padded({ body }: Shape, model: string, isStream: boolean): string {
  const size = JSON.stringify(body(model, isStream, '')).length
  return JSON.stringify(body(model, isStream, 'x'.repeat(Math.max(0, bodySize - size))))
}

function requestOf(path: string, key: string, body: string): Buffer {
  const head = [
    `POST ${path} HTTP/1.1`,
    'host: 127.0.0.1',
    'accept: application/json',
    `authorization: Bearer ${key}`,
    'content-type: application/json',
    'user-agent: postern-bench',
    `content-length: ${body.length}`,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}

export interface BenchUpstream extends AsyncDisposable {
  readonly url: URL
}

/** What was said for a request once is said for all that are like it. */
export async function openUpstream(): Promise<BenchUpstream> {
  const known = new Map<string, Promise<Spoken>>()
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const name = `${request.url} ${body.includes('"stream":true')}`
      let spoken = known.get(name)
      if (!spoken) known.set(name, (spoken = speak({ url: request.url ?? '', body })))
      void spoken.then((said) => repeat(said, response))
    })
  })
  // Long answers keep their connection while others have their turn.
  server.keepAliveTimeout = 600_000
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo // TCP
  return {
    url: new URL(`http://127.0.0.1:${port}`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Spoken {
  readonly headers: Record<string, string>
  readonly pieces: readonly string[]
}

async function speak(asked: Pick<Asked, 'url' | 'body'>): Promise<Spoken> {
  const pieces: string[] = []
  let headers: Record<string, string> = {}
  const taken = {
    destroyed: false,
    writeHead: (_status: number, given: Record<string, string>) => void (headers = given),
    write: (piece: string) => void pieces.push(piece),
    end: (piece: string) => void (piece && pieces.push(piece)),
  }
  // Of both the script uses no more than this.
  await answer('word '.repeat(events - 2).trim())(asked as Asked, taken as unknown as ServerResponse, null as never)
  return { headers, pieces }
}

function repeat({ headers, pieces }: Spoken, response: ServerResponse): void {
  const length = pieces.length === 1 ? { 'content-length': String(Buffer.byteLength(pieces[0]!)) } : {}
  response.writeHead(200, { ...headers, ...length })
  for (const piece of pieces) response.write(piece)
  response.end()
}
