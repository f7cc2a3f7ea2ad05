/** Pages of plugins, which workers have: the supervisor asks one of them, or all, and passes on what it is told. */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { http } from '../http.ts'
import type { PageHandler, PageSign } from '../pages.ts'

/** A worker that can be asked. */
export interface Asked {
  readonly number: number
  /** Where its pages are. */
  readonly socket: string | null
}

/** The longest body that is sent to several workers, in bytes. */
const longestBody = 64 * 1024

/** Answers in place of the page, from those that serve by then. */
export function passOn({ method, across }: PageSign, serving: () => readonly Asked[]): PageHandler {
  return async (request, response) => {
    const workers = serving()
    const [first] = workers
    if (!first) return refuse(response, 503, 'no worker serves at the moment')
    response.setHeader('x-postern-workers', workers.map(({ number }) => number).join(' '))
    if (across === 'each')
      return method === 'GET' ? find(workers, request, response) : tellAll(workers, request, response)
    const wanted = new URLSearchParams(request.url?.split('?', 2)[1]).get('worker')
    const chosen = wanted === null ? first : workers.find(({ number }) => String(number) === wanted)
    if (!chosen)
      return refuse(response, 404, `there is no such worker: ${workers.map(({ number }) => number).join(', ')} serve`)
    const asking = open(chosen, request)
    request.pipe(asking)
    await relay(chosen, await answerOf(asking, response), response)
  }
}

/** One after the other, until one of them knows. */
async function find(workers: readonly Asked[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  for (const [at, worker] of workers.entries()) {
    const asking = open(worker, request)
    asking.end()
    const told = await answerOf(asking, response)
    if (told.statusCode !== 404 || at === workers.length - 1) return relay(worker, told, response)
    told.resume()
  }
}

/** All of them; what the client is told is the worst that one of them says. */
async function tellAll(workers: readonly Asked[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await bodyOf(request)
  if (body === null) return refuse(response, 413, `the body is longer than ${longestBody} bytes`)
  const told = await Promise.all(
    workers.map(async (worker) => {
      const asking = open(worker, request)
      asking.end(body)
      return { worker, answer: await answerOf(asking, response) }
    }),
  )
  const [worst, ...others] = told.toSorted(
    (one, other) => (other.answer.statusCode ?? 0) - (one.answer.statusCode ?? 0),
  )
  for (const { answer } of others) answer.resume()
  if (worst) await relay(worst.worker, worst.answer, response)
}

function open({ socket }: Asked, { method, url, headers }: IncomingMessage) {
  const { connection: _connection, authorization: _key, ...kept } = headers
  return http.request({ socketPath: socket ?? '', method, path: url, headers: kept, agent: false })
}

/** The head of the answer. Rejects where there is none; a client that leaves takes the question with it. */
async function answerOf(asking: ReturnType<typeof http.request>, response: ServerResponse): Promise<IncomingMessage> {
  response.once('close', () => asking.destroy())
  const [answer] = (await once(asking, 'response')) as [IncomingMessage] // as node:http has it
  asking.on('error', () => {}) // what is cut off is seen by who reads the answer
  return answer
}

async function relay({ number }: Asked, answer: IncomingMessage, response: ServerResponse): Promise<void> {
  const { connection: _connection, 'keep-alive': _kept, 'transfer-encoding': _coding, ...headers } = answer.headers
  response.writeHead(answer.statusCode ?? 502, { ...headers, 'x-postern-worker': String(number) })
  response.flushHeaders()
  // The end of a worker in the midst of an answer must not look like the end of the answer.
  answer.on('error', () => response.destroy())
  answer.pipe(response)
  await once(response, 'close')
}

/** Null where it is too long. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request) {
    const bytes = chunk as Buffer // no encoding is set
    length += bytes.length
    if (length <= longestBody) chunks.push(bytes)
  }
  return length > longestBody ? null : Buffer.concat(chunks)
}

function refuse(response: ServerResponse, status: number, error: string): void {
  const text = `${JSON.stringify({ error })}\n`
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}
