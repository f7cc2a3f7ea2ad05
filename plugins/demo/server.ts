/** The demo upstream as an HTTP server: from a request to the dialect that answers it, and out through deliver.ts. */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { anthropic } from './anthropic.ts'
import { deliver } from './deliver.ts'
import { gemini } from './gemini.ts'
import { isObject, type JsonObject } from './json.ts'
import { readKnobs, type Knobs } from './knobs.ts'
import { openai } from './openai.ts'
import { Complaint, jsonAnswer, newId, type Answer, type Ask, type Voice } from './voice.ts'

// An import by name would load Node's fetch as well: 10 MiB.
const { createServer } = process.getBuiltinModule('node:http')

export interface DemoOptions {
  /** Milliseconds to the first byte, where neither the model nor a header says otherwise. */
  readonly latency?: number
}

/** A server that answers like OpenAI, Anthropic and Gemini, without any of them. It is not listening yet. */
export function demoServer(options: DemoOptions = {}): Server {
  // Longer than the keep-alive of any client, so that it is never the demo that closes under a request.
  return createServer({ keepAliveTimeout: 75_000 }, demoHandler(options))
}

/** The request handler of `demoServer`, for a server of your own. */
export function demoHandler({ latency = 0 }: DemoOptions = {}): RequestListener {
  return (request, response) => {
    answer(request, response, latency).catch(() => response.destroy())
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, latency: number): Promise<void> {
  const url = request.url ?? '/'
  const mark = url.includes('?') ? url.indexOf('?') : url.length
  const { method = 'GET', headers } = request
  const ask = {
    id: newId('req_'),
    method,
    path: url.slice(0, mark),
    query: new URLSearchParams(url.slice(mark)),
    headers,
  }
  const voice = voiceOf(ask)

  const body = await bodyOf(request).catch(complaintOr)
  if (body === null || response.destroyed) return
  const [reply, knobs] =
    body instanceof Complaint ? sorry(voice, ask.id, body) : reasoned(voice, { ...ask, body }, latency)
  const retry = reply.status === 429 ? { 'retry-after': '1' } : undefined
  deliver(response, reply, { ...voice.headers(ask.id), ...retry }, knobs)
}

/** The dialect that a request belongs to; what belongs to none gets its 404 from the most spoken one. */
function voiceOf({ method, path, headers }: Omit<Ask, 'body'>): Voice {
  if (/^\/v1(beta|alpha)(\/|$)/.test(path)) return gemini
  if (/^\/v1\/messages(\/|$)/.test(path) || headers['anthropic-version'] !== undefined) return anthropic
  // All three have /v1/models: there it is the headers that tell. Google's SDK speaks v1 and sends x-goog-api-client.
  const isGoogle = headers['x-goog-api-key'] !== undefined || headers['x-goog-api-client'] !== undefined
  if (/^\/v1\/models(\/|$)/.test(path) && (isGoogle || method === 'POST')) return gemini
  return openai
}

/** The dialect's answer and how to send it; an error of the dialect's where the request is wrong or asks for one. */
function reasoned(voice: Voice, ask: Ask, latency: number): readonly [Answer, Knobs] {
  try {
    const knobs = readKnobs(ask.headers, voice.model(ask), latency)
    if (typeof knobs.fault !== 'number') return [voice.answer(ask, knobs), knobs]
    const { fault } = knobs
    return [complaint(voice, ask.id, fault, `The demo was asked for status ${fault}.`), { ...knobs, fault: null }]
  } catch (error) {
    return sorry(voice, ask.id, complaintOr(error))
  }
}

function sorry(voice: Voice, id: string, { status, message }: Complaint): readonly [Answer, Knobs] {
  return [complaint(voice, id, status, message), readKnobs({}, '', 0)]
}

function complaint(voice: Voice, id: string, status: number, message: string): Answer {
  const body = voice.complain(status, message, id)
  return jsonAnswer(body, body, status)
}

/** What else can be thrown while an answer is made is JSON.stringify's, of a request too deep to be repeated. */
function complaintOr(error: unknown): Complaint {
  if (error instanceof Complaint) return error
  return new Complaint(400, 'The demo cannot make sense of this request.')
}

const limit = 64 * 1024 * 1024

/** The JSON object of the body; empty where a request has none; null where the client left. */
async function bodyOf(request: IncomingMessage): Promise<JsonObject | null> {
  const bytes = await bytesOf(request)
  if (bytes === null) return null
  if (bytes.length === 0 && request.method !== 'POST') return {}
  const body = parsed(bytes)
  if (!isObject(body)) throw new Complaint(400, 'The body is no JSON object.')
  return body
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    throw new Complaint(400, 'The body is no valid JSON.')
  }
}

/** All bytes of the body; null where the client left. Node throws the rest of a refused one away, so its no is heard. */
function bytesOf(request: IncomingMessage): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const tooLarge = new Complaint(413, `The body is larger than ${limit} bytes.`)
    request.on('error', () => {})
    request.once('close', () => resolve(null))
    if (Number(request.headers['content-length']) > limit) return reject(tooLarge)

    let chunks: Buffer[] = []
    let length = 0
    request.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= limit) chunks.push(chunk)
      else {
        chunks = []
        reject(tooLarge)
      }
    })
    request.once('end', () => resolve(Buffer.concat(chunks)))
  })
}
