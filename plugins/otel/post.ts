/** One request to the collector, and what came of it. */
import type { IncomingMessage } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Secret } from 'postern/plugin'

// An import by name would load Node's fetch as well: 10 MiB.
const { Agent: PlainAgent, request: plainRequest } = process.getBuiltinModule('node:http')

/** What the collector made of a request. */
export type Outcome =
  /** `refused`: how many of the items it would not have. */
  | { readonly kind: 'taken'; readonly refused: number }
  /** The same may be taken later; `after` in ms, where the collector has said so. `reason` is a status or the code of an error. */
  | { readonly kind: 'later'; readonly reason: string; readonly after: number | null }
  /** It never will be. */
  | { readonly kind: 'refused'; readonly reason: string }

export interface PostOptions {
  readonly headers: Readonly<Record<string, Secret>>
  /** In ms, for the whole of one request. */
  readonly timeout: number
  readonly compression: 'none' | 'gzip'
}

/** Bytes that are read of an answer. */
const longestAnswer = 64 * 1024
/** What the specification of OTLP/HTTP calls retryable. */
const retryable = new Set([429, 502, 503, 504])
const compress = promisify(gzip)

/** A collector, as it is reached. Redirections are not followed: the headers are meant for this address. */
export class Collector {
  readonly #options: PostOptions
  readonly #agents = {
    'http:': new PlainAgent({ keepAlive: true, maxSockets: 2 }),
    'https:': new TlsAgent({ keepAlive: true, maxSockets: 2 }),
  }

  constructor(options: PostOptions) {
    this.#options = options
  }

  /** Never rejects. `isLast`: what waits no longer than until the signal is aborted. */
  async post(url: URL, json: string, signal: AbortSignal): Promise<Outcome> {
    const { compression, headers, timeout } = this.#options
    const sent: Record<string, string> = { 'content-type': 'application/json' }
    for (const [name, value] of Object.entries(headers)) sent[name] = value.reveal()
    let body: Buffer = Buffer.from(json)
    if (compression === 'gzip') {
      body = await compress(body)
      sent['content-encoding'] = 'gzip'
    }
    return new Promise((resolve) =>
      this.#send(url, sent, body, AbortSignal.any([signal, AbortSignal.timeout(timeout)]), resolve),
    )
  }

  /** Closes its connections. */
  close(): void {
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  #send(
    url: URL,
    headers: Record<string, string>,
    body: Buffer,
    signal: AbortSignal,
    settle: (outcome: Outcome) => void,
  ): void {
    const isTls = url.protocol === 'https:'
    const options = { method: 'POST', headers: { ...headers, 'content-length': String(body.length) }, signal }
    const request = isTls
      ? tlsRequest(url, { ...options, agent: this.#agents['https:'] })
      : plainRequest(url, { ...options, agent: this.#agents['http:'] })
    request.on('response', (answer) => read(answer, settle))
    request.on('error', (error: NodeJS.ErrnoException) => settle({ kind: 'later', reason: codeOf(error), after: null }))
    request.end(body)
  }
}

function read(answer: IncomingMessage, settle: (outcome: Outcome) => void): void {
  const chunks: Buffer[] = []
  let length = 0
  answer.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= longestAnswer) chunks.push(chunk)
    else answer.destroy()
  })
  answer.on('error', () => {})
  // Also where it was cut off: the status has been said.
  answer.on('close', () =>
    settle(outcomeOf(answer.statusCode ?? 0, answer.headers['retry-after'], Buffer.concat(chunks))),
  )
}

function outcomeOf(status: number, retryAfter: string | undefined, body: Buffer): Outcome {
  if (status >= 200 && status < 300) return { kind: 'taken', refused: refusedIn(body) }
  const reason = String(status)
  return retryable.has(status) ? { kind: 'later', reason, after: afterOf(retryAfter) } : { kind: 'refused', reason }
}

/** In ms: seconds or a date (RFC 9110 §10.2.3). */
export function afterOf(retryAfter: string | undefined, now = Date.now()): number | null {
  if (retryAfter === undefined) return null
  if (/^\d{1,9}$/.test(retryAfter.trim())) return Number(retryAfter) * 1000
  const at = Date.parse(retryAfter)
  return Number.isNaN(at) ? null : Math.max(0, at - now)
}

/** A collector may take a part of what it is sent, and say so inside a 200. */
function refusedIn(body: Buffer): number {
  try {
    const told: unknown = JSON.parse(body.toString())
    const partial = (told as { partialSuccess?: Record<string, unknown> } | null)?.partialSuccess // a collector's word: looked at below
    const refused = Number(partial?.rejectedSpans ?? partial?.rejectedDataPoints ?? 0)
    return Number.isSafeInteger(refused) && refused > 0 ? refused : 0
  } catch {
    return 0
  }
}

function codeOf(error: NodeJS.ErrnoException): string {
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'TIMEOUT'
  return error.code ?? error.name
}
