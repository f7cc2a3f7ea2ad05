/** A request body as its exchange sees it. */
import type { Body } from '../plugin.ts'
import { findMember, scanObject, type Member } from './scan.ts'

const nothing = Buffer.alloc(0)

/** No body at all. */
export const emptyBody: Body = { kind: 'none', bytes: nothing, get: () => undefined }

/** A body that is passed on as it comes. */
export const streamedBody: Body = {
  kind: 'stream',
  get bytes(): Buffer {
    throw new Error(
      'exchange.body.bytes: this body streams through and is never held; look at exchange.body.kind first',
    )
  },
  get: () => undefined,
}

/** The body before it was read. */
export const unreadBody: Body = {
  get kind(): never {
    throw new Error(tooEarly)
  },
  get bytes(): never {
    throw new Error(tooEarly)
  },
  get() {
    throw new Error(tooEarly)
  },
}
const tooEarly = 'exchange.body is not here yet: it can be read in onBody and later, not in onRequest'

/** A JSON body: one walk over its bytes finds the members, and each value is parsed when it is first asked for. */
export class JsonBody implements Body {
  readonly kind = 'json'
  readonly bytes: Buffer
  #members: readonly Member[] | null | undefined = undefined

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** Whether the bytes are one whole JSON object, as far as a walk over its members can tell. */
  get isObject(): boolean {
    return this.#scanned() !== null
  }

  get(field: string): unknown {
    let members = this.#scanned()
    const names = field.split('.')
    for (const [depth, name] of names.entries()) {
      const member = members && findMember(this.bytes, members, name)
      if (!member) return undefined
      if (depth === names.length - 1) return parse(this.bytes, member)
      members = scanObject(this.bytes, member.start, member.end)
    }
    return undefined
  }

  #scanned(): readonly Member[] | null {
    if (this.#members === undefined) this.#members = scanObject(this.bytes)
    return this.#members
  }
}

function parse(bytes: Buffer, { start, end }: Member): unknown {
  try {
    return JSON.parse(bytes.toString('utf8', start, end))
  } catch {
    return undefined
  }
}
