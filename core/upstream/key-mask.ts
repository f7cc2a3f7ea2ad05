/**
 * What an upstream was sent as a key does not come back: some repeat it in their errors, whole, and whoever calls the gateway is
 * not who the key belongs to. Stars in its place, as many as it has characters, so that no length changes.
 */
import type { Headers, Result } from '../plugin.ts'

/** A shorter one is no key, and stands in many texts by chance. In characters. */
const shortestKey = 8
/** Where dialects put keys. */
const places = ['authorization', 'x-api-key', 'x-goog-api-key', 'api-key'] as const

/** The mask for what was sent with these headers; null where no key was. */
export function maskFor(sent: Readonly<Headers>): KeyMask | null {
  const keys = new Set<string>()
  for (const place of places) {
    for (const value of [sent[place] ?? []].flat()) {
      const key = value.slice(value.lastIndexOf(' ') + 1)
      if (key.length >= shortestKey) keys.add(key)
    }
  }
  return keys.size === 0 ? null : new KeyMask([...keys])
}

/** The result of an attempt that failed without the key it was sent; any other as it is. */
export function withoutKey(result: Result, sent: Readonly<Headers>): Result {
  if (result.kind === 'failure' || result.status < 400) return result
  const mask = maskFor(sent)
  if (!mask) return result
  mask.hideIn(result.headers)
  return result.body === null ? result : { ...result, body: mask.hide(result.body) }
}

export class KeyMask {
  readonly #keys: readonly Buffer[]
  readonly #longest: number
  /** The end of what has come, where it may be the beginning of a key. */
  #kept: Buffer = nothing

  constructor(keys: readonly string[]) {
    this.#keys = keys.map((key) => Buffer.from(key, 'latin1'))
    this.#longest = Math.max(...keys.map((key) => key.length))
  }

  /** In the headers themselves: nobody else has seen them. */
  hideIn(headers: Headers): void {
    for (const name in headers) {
      const value = headers[name]
      if (typeof value === 'string') headers[name] = this.#hideText(value)
      else if (value !== undefined) headers[name] = value.map((one) => this.#hideText(one))
    }
  }

  /** The next piece of a body, without what may still become a key; `isLast` gives that as well. */
  push(chunk: Buffer, isLast: boolean): Buffer {
    const bytes = this.hide(this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]))
    const keep = isLast ? 0 : this.#beginningOfKey(bytes)
    this.#kept = keep === 0 ? nothing : bytes.subarray(bytes.length - keep)
    return keep === 0 ? bytes : bytes.subarray(0, bytes.length - keep)
  }

  /** All of it; the same bytes where there is no key in them. */
  hide(bytes: Buffer): Buffer {
    let hidden: Buffer | null = null
    for (const key of this.#keys) {
      for (let at = bytes.indexOf(key); at !== -1; at = bytes.indexOf(key, at + key.length)) {
        hidden ??= Buffer.from(bytes)
        hidden.fill(star, at, at + key.length)
      }
    }
    return hidden ?? bytes
  }

  #hideText(text: string): string {
    return this.hide(Buffer.from(text, 'latin1')).toString('latin1')
  }

  /** How many of the last bytes are the beginning of a key. */
  #beginningOfKey(bytes: Buffer): number {
    for (let length = Math.min(this.#longest - 1, bytes.length); length > 0; length--) {
      const end = bytes.subarray(bytes.length - length)
      if (this.#keys.some((key) => length < key.length && key.subarray(0, length).equals(end))) return length
    }
    return 0
  }
}

const nothing = Buffer.alloc(0)
const star = 0x2a
