/** For the tests: a demo on a port of its own, and a client that sees the bytes as they come. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request, type IncomingHttpHeaders } from 'node:http'
import type { Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { addressOf, close, open } from './listen.ts'

export interface Running extends AsyncDisposable {
  readonly server: Server
  readonly origin: string
  readonly port: number
}

/** A demo on a free port; closed with every connection at the end of the block. */
export async function running(latency = 0): Promise<Running> {
  const server = await open('127.0.0.1:0', { latency })
  const { origin, port } = addressOf(server)
  return { server, origin, port: Number(port), [Symbol.asyncDispose]: () => close(server) }
}

/** What a client has heard when the answer is over. */
export interface Heard {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** The code of the error that ended it before its end, or null. */
  readonly broken: string | null
}

/** Sends a POST of JSON, or a GET where there is no body. A string is sent as it is. Never rejects. */
export function ask(url: string, body?: object | string, headers: Record<string, string> = {}): Promise<Heard> {
  return new Promise((resolve) => {
    const head: { status: number; headers: IncomingHttpHeaders } = { status: 0, headers: {} }
    const chunks: Buffer[] = []
    const over = (broken: string | null) => resolve({ ...head, text: Buffer.concat(chunks).toString(), broken })
    const broke = (error: NodeJS.ErrnoException) => over(error.code ?? error.message)
    const outgoing = request(
      url,
      { method: body === undefined ? 'GET' : 'POST', headers, agent: false },
      (response) => {
        Object.assign(head, { status: response.statusCode ?? 0, headers: response.headers })
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', broke)
        response.on('end', () => over(null))
      },
    )
    outgoing.on('error', broke)
    outgoing.end(typeof body === 'object' ? JSON.stringify(body) : body)
  })
}

/** A socket that has sent a POST and reads nothing until it is told to. `length` is what it promises to send. */
export async function askAndWait(port: number, path: string, body: object, headers = '', length = 0): Promise<Socket> {
  const bytes = JSON.stringify(body)
  const socket = connect(port, '127.0.0.1').pause()
  await once(socket, 'connect')
  const promised = length || Buffer.byteLength(bytes)
  socket.write(`POST ${path} HTTP/1.1\r\nhost: demo\r\ncontent-length: ${promised}\r\n${headers}\r\n${bytes}`)
  return socket
}

/** Everything that comes. */
export async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = []
  for await (const item of source) items.push(item)
  return items
}

/** The data of each event; fails where the text is anything but whole events. */
export function eventsOf(text: string): unknown[] {
  const blocks = text.split(/\r?\n\r?\n/)
  if (blocks.pop() !== '') throw new Error('The stream ends in the middle of an event.')
  return blocks.map((block) => {
    const data = /^data: (.*)$/m.exec(block)?.[1]
    if (data === undefined) throw new Error(`An event without data: ${block}`)
    return data === '[DONE]' ? data : JSON.parse(data)
  })
}

/** A path and a body. */
export type Request = readonly [string, object]

interface Dialect {
  readonly name: string
  readonly whole: (model: string) => Request
  readonly streamed: (model: string) => Request
}

/** The three dialects, each with a request for some text. */
export const dialects: readonly Dialect[] = [
  {
    name: 'openai chat',
    whole: (model: string) => ['/v1/chat/completions', { model, messages: hello }],
    streamed: (model: string) => [
      '/v1/chat/completions',
      { model, messages: hello, stream: true, stream_options: { include_usage: true } },
    ],
  },
  {
    name: 'openai responses',
    whole: (model: string) => ['/v1/responses', { model, input: 'hello' }],
    streamed: (model: string) => ['/v1/responses', { model, input: 'hello', stream: true }],
  },
  {
    name: 'anthropic',
    whole: (model: string) => ['/v1/messages', { model, messages: hello }],
    streamed: (model: string) => ['/v1/messages', { model, messages: hello, stream: true }],
  },
  {
    name: 'gemini',
    whole: (model: string) => [`/v1beta/models/${model}:generateContent`, { contents: said }],
    streamed: (model: string) => [`/v1beta/models/${model}:streamGenerateContent?alt=sse`, { contents: said }],
  },
]

const hello = [{ role: 'user', content: 'hello' }]
const said = [{ role: 'user', parts: [{ text: 'hello' }] }]

/** The schema of a tool. */
export const weather = {
  type: 'object',
  properties: { city: { type: 'string' }, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } },
  required: ['city', 'unit'],
} as const

/** What the demo makes of it. */
export const weatherInOslo = { city: 'Weather in Oslo?', unit: 'celsius' }

/** What the SDKs' user says. */
export const user = { role: 'user', content: 'Weather in Oslo?' } as const

export const texts = ['the cat sat on the mat', 'the cat lay on the mat', 'quarterly revenue report']

/** Of the vectors of `texts`: the first two texts share most of their words, the third shares none. */
export function assertNear(vectors: readonly (readonly number[])[]): void {
  const [one = [], other = [], far = []] = vectors
  const cosine = (a: readonly number[], b: readonly number[]) =>
    a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0)
  assert.ok(Math.abs(cosine(one, one) - 1) < 1e-3)
  assert.ok(cosine(one, other) > cosine(one, far) + 0.3)
}
