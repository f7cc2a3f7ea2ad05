/** What a case of the table of answers is: what an upstream says, and what the client has to hear. */

/** Bytes as latin1 text; milliseconds of silence; or the end, in order or by a reset. */
export type Said = string | number | typeof end | typeof reset

export const end = Symbol('end')
export const reset = Symbol('reset')

/** What the client hears: a whole answer with one of these statuses, or one that is cut where it can be seen. */
export interface Heard {
  /** Statuses of a whole answer; null where there may be none. */
  readonly whole: readonly number[] | null
  /** The body of a whole answer that is the upstream's own. */
  readonly body?: string
  /** The answer may break off, visibly. */
  readonly cut?: true
  /** Headers that have to be there, as `name: value`, or must not, as `name`. */
  readonly has?: readonly string[]
  readonly lacks?: readonly string[]
}

export interface UpstreamCase {
  readonly name: string
  /** RFC and section, as `9112 §6.3`. */
  readonly rfc: string
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly says: readonly Said[]
  readonly expect: Heard
  /** The connection must not serve another exchange afterwards. */
  readonly isSpent: boolean
  /** Why the gateway does not meet it yet. */
  readonly todo?: string | undefined
}

type More = { readonly method?: UpstreamCase['method']; readonly isSpent?: boolean; readonly todo?: string } & Omit<
  Heard,
  'whole' | 'body' | 'cut'
>

/** An answer that is good, though it may look odd. */
export function passes(
  name: string,
  rfc: string,
  says: string | readonly Said[],
  body: string,
  more: More & { status?: number } = {},
): UpstreamCase {
  const { method = 'GET', isSpent = false, status = 200, todo, ...headers } = more
  return { name, rfc, method, says: listOf(says), expect: { whole: [status], body, ...headers }, isSpent, todo }
}

/** An answer that is none: the client is told so, in a whole answer of the gateway's own. */
export function isNone(
  name: string,
  rfc: string,
  says: string | readonly Said[],
  whole: readonly number[] = [502],
  more: More = {},
): UpstreamCase {
  const { method = 'GET', todo, ...headers } = more
  return { name, rfc, method, says: listOf(says), expect: { whole, ...headers }, isSpent: true, todo }
}

/** An answer that begins well and goes wrong when its head has been passed on: it is cut; or the client is told, where it is held. */
export function breaks(name: string, rfc: string, says: string | readonly Said[], more: More = {}): UpstreamCase {
  const { method = 'GET', todo, ...headers } = more
  return {
    name,
    rfc,
    method,
    says: listOf(says),
    expect: { whole: [502, 504], cut: true, ...headers },
    isSpent: true,
    todo,
  }
}

function listOf(says: string | readonly Said[]): readonly Said[] {
  return typeof says === 'string' ? [says] : says
}

/** A head with this status line and these header lines. */
export function answer(status: string, ...lines: readonly string[]): string {
  return `HTTP/1.1 ${status}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`
}

export const body = '{"a":1}'
export const json = 'content-type: application/json'

/** `200` with a JSON body of known length. */
export function whole(text = body, ...lines: readonly string[]): string {
  return answer('200 OK', json, ...lines, `content-length: ${text.length}`) + text
}

/** An answer that nobody has asked for, and nobody may hear. */
export const evil = answer('200 OK', json, 'content-length: 10') + '{"evil":1}'
