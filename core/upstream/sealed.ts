/**
 * A compressed error: its bytes do not show whether the key is in them, so it is kept until it is whole and read once. Nearly always
 * it goes on as it came; where the key was in it, plain and with stars.
 */
import type { Headers } from '../plugin.ts'
import { decode, isReadable } from './coding.ts'
import type { KeyMask } from './key-mask.ts'

/** No longer error is looked at, neither as it comes nor when it is read, in bytes: the keys of APIs stand in short sentences. */
const most = 64 * 1024

export class Sealed {
  readonly #headers: Headers
  readonly #mask: KeyMask
  #chunks: Buffer[] = []
  #length = 0

  constructor(headers: Headers, mask: KeyMask) {
    this.#headers = headers
    this.#mask = mask
  }

  /** Keeps a piece; false: it is too long to be looked at. */
  push(chunk: Buffer): boolean {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    return this.#length <= most
  }

  /** All that was kept. Where it is whole and the key was in it: without that, readable, and the headers say so. */
  open(isWhole: boolean): Buffer {
    const bytes = Buffer.concat(this.#chunks, this.#length)
    const said = isWhole ? decode(bytes, this.#headers['content-encoding'], most) : null
    if (said === null) return bytes
    const hidden = this.#mask.hide(said)
    if (hidden === said) return bytes
    delete this.#headers['content-encoding']
    this.#headers['content-length'] = String(hidden.length)
    return hidden
  }
}

/** What keeps an error with these headers; null where it can be searched as it comes, or cannot be read at all. */
export function sealedBy(headers: Headers, mask: KeyMask | null): Sealed | null {
  return mask && isReadable(headers['content-encoding']) ? new Sealed(headers, mask) : null
}
