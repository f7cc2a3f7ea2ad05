/** A request body as its exchange sees it. */
import type { Body } from '../plugin.ts'
import { applyPatch, deleteField, setField, type Edit } from './patch.ts'
import { findMember, scanObject, type Member } from './scan.ts'
import { parseJson } from './value.ts'

/** No body at all. */
export const emptyBody: Body = {
  kind: 'none',
  bytes: Buffer.alloc(0),
  get: () => undefined,
  set: (field) => cannot('set', field, 'this exchange has no body; look at exchange.body.kind first'),
  delete: (field) => cannot('delete', field, 'this exchange has no body; look at exchange.body.kind first'),
}

const streams = 'this body streams through and is never held; look at exchange.body.kind first'

/** A body that is passed on as it comes. */
export const streamedBody: Body = {
  kind: 'stream',
  get bytes(): never {
    throw new Error(`exchange.body.bytes: ${streams}`)
  },
  get: () => undefined,
  set: (field) => cannot('set', field, streams),
  delete: (field) => cannot('delete', field, streams),
}

/** The body before it was read. */
export const unreadBody: Body = {
  get kind(): never {
    throw new Error(tooEarly)
  },
  get bytes(): never {
    throw new Error(tooEarly)
  },
  get: () => early(),
  set: () => early(),
  delete: () => early(),
}
const tooEarly = 'exchange.body is not here yet: it can be read in onBody and later, not in onRequest'

/** The body that one attempt may edit: nobody else sees what it does. */
export function overlayOf(body: Body): Body {
  return body instanceof JsonBody ? body.overlay() : body
}

/** Whoever is told that a field was edited. */
export interface Edited {
  edited(field: string): void
}

/** A JSON body. Edits are collected, and made in the bytes, all at once, when these are next read. */
export class JsonBody implements Body {
  readonly kind = 'json'
  /** The bytes as the client sent them, whatever was edited since. */
  readonly original: Buffer
  #version: Version
  #edits: Edit[] = []
  #told: Edited | null = null

  constructor(original: Buffer, version = new Version(original)) {
    this.original = original
    this.#version = version
  }

  /** From now on it is told which fields are edited, here and in overlays. */
  tell(told: Edited | null): this {
    this.#told = told
    return this
  }

  /** Whether the bytes are one whole JSON object. */
  get isObject(): boolean {
    return this.#current().members !== null
  }

  get bytes(): Buffer {
    return this.#current().bytes
  }

  get(field: string): unknown {
    for (let at = this.#edits.length - 1; at >= 0; at--) {
      const edit = this.#edits[at]!
      if (edit.field === field) return edit.json === null ? undefined : frozen(parseJson(edit.json))
      if (isWithin(edit.field, field) || isWithin(field, edit.field)) return this.#current().get(field)
    }
    return this.#version.get(field)
  }

  set(field: string, value: unknown): void {
    this.#edits.push(setField(field, value))
    this.#told?.edited(field)
  }

  delete(field: string): void {
    this.#edits.push(deleteField(field))
    this.#told?.edited(field)
  }

  /** A body of its own that begins as this one is now. What is known of the bytes is shared, edits are not. */
  overlay(): JsonBody {
    return new JsonBody(this.original, this.#current()).tell(this.#told)
  }

  #current(): Version {
    if (this.#edits.length > 0) {
      const { bytes, members } = this.#version
      this.#version = new Version(applyPatch(bytes, this.#edits, members))
      this.#edits = []
    }
    return this.#version
  }
}

/** Bytes that never change, and what was found in them so far: one walk, and each value once. */
class Version {
  readonly bytes: Buffer
  #members: readonly Member[] | null | undefined = undefined
  readonly #values = new Map<string, unknown>()

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get members(): readonly Member[] | null {
    return this.#members === undefined ? (this.#members = scanObject(this.bytes)) : this.#members
  }

  get(field: string): unknown {
    const known = this.#values.get(field)
    if (known !== undefined) return known
    const value = this.#find(pathOf(field))
    if (value !== undefined) this.#values.set(field, value)
    return value
  }

  #find(path: readonly string[]): unknown {
    let { members } = this
    const last = path.length - 1
    for (let depth = 0; depth <= last; depth++) {
      const member = members && findMember(this.bytes, members, path[depth]!)
      if (!member) return undefined
      if (depth === last) return frozen(parseJson(this.bytes.toString('utf8', member.start, member.end)))
      members = scanObject(this.bytes, member.start, member.end)
    }
    return undefined
  }
}

/** The names of fields that were asked for, taken apart. Plugins choose them, and options: there are few. */
const paths = new Map<string, readonly string[]>()
const mostPaths = 1024

function pathOf(field: string): readonly string[] {
  const known = paths.get(field)
  if (known) return known
  const path = field.split('.')
  if (paths.size < mostPaths) paths.set(field, path)
  return path
}

/** The value, which nobody can change any more, however deep: it is given to every plugin that asks. */
function frozen(value: unknown): unknown {
  if (typeof value !== 'object') return value
  const waiting = [value]
  while (waiting.length > 0) {
    const next = waiting.pop()
    if (typeof next !== 'object' || next === null) continue
    for (const inner of Object.values(Object.freeze(next))) if (typeof inner === 'object') waiting.push(inner)
  }
  return value
}

/** Whether `field` stands inside `outer`. */
function isWithin(field: string, outer: string): boolean {
  return field.startsWith(outer) && field[outer.length] === '.'
}

function cannot(what: string, field: string, why: string): never {
  throw new Error(`exchange.body.${what}('${field}'): ${why}`)
}

function early(): never {
  throw new Error(tooEarly)
}
