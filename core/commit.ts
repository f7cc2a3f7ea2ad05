/**
 * The commit point: the start of an answer is held until it is known to be one. Before it, whatever goes wrong is a Result like
 * any other and another upstream may be asked; after it, nothing is ever retried.
 */
import type { Headers } from './plugin.ts'
import type { Dialect } from './provider.ts'
import { eventData, EventReader } from './sse.ts'
import { decode } from './upstream/coding.ts'

/** An answer is held up to this many bytes (design: 64 KiB), and for `timeouts.hold` at the longest. */
export const holdLimit = 64 * 1024

/**
 * What the start of an answer has turned out to be: the answer; an error, with the status it stands for and what it says; or
 * nothing at all.
 */
export type Verdict = 'commit' | 'empty' | { readonly status: number; readonly body: Buffer | null }

/** Watches the start of one answer. */
export interface Hold {
  /** Null: not known yet. */
  push(chunk: Buffer): Verdict | null
  /** The answer has ended; or it has been held long enough (`isWhole` false). */
  end(isWhole: boolean): Verdict
}

/** How the start of an answer with this head is watched; null where there is nothing to wait for. */
export function holdFor(method: string, status: number, headers: Headers, dialect: Dialect): Hold | null {
  if (method === 'HEAD' || status === 204 || status === 304) return null
  const coding = headers['content-encoding']
  if (status >= 400) return new Gathered(coding, (body) => ({ status, body }))
  if (status !== 200 || method !== 'POST') return null
  const type = String(headers['content-type'] ?? '')
  const isPlain = coding === undefined || coding === 'identity'
  if (type.startsWith('text/event-stream'))
    return isPlain && dialect.firstEvent ? new Beginning(dialect.firstEvent) : null
  if (!type.includes('json')) return type === '' ? new Gathered(coding, () => 'commit') : null
  const look = isPlain ? dialect.firstEvent : undefined
  return new Gathered(coding, (body) => {
    const seen = body && look?.(body)
    return typeof seen === 'object' && seen !== null ? { status: seen.status, body } : 'commit'
  })
}

/** A document: an error, or JSON that is small enough to be looked at when it is whole. */
class Gathered implements Hold {
  readonly #coding: string | string[] | undefined
  readonly #judge: (body: Buffer | null) => Verdict
  #chunks: Buffer[] = []
  #length = 0

  constructor(coding: string | string[] | undefined, judge: (body: Buffer | null) => Verdict) {
    this.#coding = coding
    this.#judge = judge
  }

  push(chunk: Buffer): Verdict | null {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    return this.#length >= holdLimit ? this.end(false) : null
  }

  end(isWhole: boolean): Verdict {
    const { length } = this.#chunks
    const body = length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    this.#chunks = []
    // An error says what it is without a body; a success that says nothing is none. What cannot be read is judged as it came.
    const verdict = this.#judge(body.length === 0 ? null : (decode(body, this.#coding, 4 * holdLimit) ?? body))
    return isWhole && body.length === 0 && verdict === 'commit' ? 'empty' : verdict
  }
}

/** A stream: held while its events only announce what will come. */
class Beginning implements Hold {
  readonly #reader = new EventReader()
  readonly #look: NonNullable<Dialect['firstEvent']>
  #length = 0

  constructor(look: NonNullable<Dialect['firstEvent']>) {
    this.#look = look
  }

  push(chunk: Buffer): Verdict | null {
    for (const event of this.#reader.push(chunk)) {
      const data = eventData(event)
      if (!data) continue
      const seen = this.#look(data)
      if (seen === 'commit') return seen
      if (seen !== 'hold') return { status: seen.status, body: data }
    }
    this.#length += chunk.length
    return this.#length >= holdLimit ? 'commit' : null
  }

  /** A stream that ended before it had said anything is a failure, not an answer. */
  end(isWhole: boolean): Verdict {
    return isWhole ? 'empty' : 'commit'
  }
}
