/** A client of the gateway: asks by HTTP, reads what comes, and judges it. */
import { createHash, randomBytes } from 'node:crypto'
import { judge, type Judged } from './judge.ts'
import { bodyOf, paths, type Question } from './question.ts'

export interface Outcome extends Omit<Judged, 'end'> {
  /** `left`: the client did, and what it had heard by then was right. `unreachable`: no answer, not even a beginning. */
  readonly end: Judged['end'] | 'left' | 'unreachable'
  readonly question: Question
  /** 0: there was none. */
  readonly status: number
  /** The code of the error that came in place of an answer, or the error of the socket. */
  readonly code: string
  /** What came, where that is worth a look. */
  readonly text: string
}

export interface Asking {
  readonly key: string
  /** Leaves after so many ms. */
  readonly patience?: number
  /** Further bytes of the request's body. */
  readonly padding?: number
}

/** Never rejects: what goes wrong is an outcome. */
export async function ask(url: string, question: Question, asking: Asking): Promise<Outcome> {
  const leaving = new AbortController()
  const timer = asking.patience === undefined ? null : setTimeout(() => leaving.abort(), asking.patience)
  const { init, about } = requestOf(question, asking)
  const decoder = new TextDecoder()
  let [status, text, failed] = [0, '', '']
  try {
    const answer = await fetch(`${url}${paths[question.api](question)}`, { ...init, signal: leaving.signal })
    status = answer.status
    // A body's chunks are bytes.
    for await (const chunk of answer.body ?? []) text += decoder.decode(chunk as Uint8Array, { stream: true })
  } catch (error) {
    failed = codeOfSocket(error)
  } finally {
    if (timer) clearTimeout(timer)
  }
  const judged = judge(question, status, text, about)
  const outcome = { ...judged, question, status, code: codeIn(text) ?? failed, text: text.slice(-600) }
  if (leaving.signal.aborted && judged.end !== 'wrong') return { ...outcome, end: 'left' }
  return status === 0 ? { ...outcome, end: 'unreachable' } : outcome
}

function requestOf(question: Question, { key, padding = 0 }: Asking): { init: RequestInit; about: string } {
  const method = 'POST'
  // Every API's own place for a key; google-auth and api-key-auth each look where theirs is.
  const headers: Record<string, string> = { authorization: `Bearer ${key}` }
  if (question.api !== 'upload') {
    headers['content-type'] = 'application/json'
    return { init: { method, headers, body: bodyOf(question, padding) }, about: '' }
  }
  const boundary = randomBytes(12).toString('hex')
  const part = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n`
  const body = Buffer.concat([Buffer.from(part), randomBytes(padding), Buffer.from(`\r\n--${boundary}--\r\n`)])
  headers['content-type'] = `multipart/form-data; boundary=${boundary}`
  headers['x-soak'] = JSON.stringify(question)
  return { init: { method, headers, body }, about: createHash('sha256').update(body).digest('hex') }
}

/** The gateway's own name for an error, in any dialect. */
export function codeIn(text: string): string | null {
  return /"(?:code|reason|status)":"?(\w+)"?/.exec(text)?.[1] ?? null
}

function codeOfSocket(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause } = error
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message
  return error.message
}
