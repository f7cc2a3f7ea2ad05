/** What a case of the table of requests is: bytes on a socket, and what has to become of them. */

/** Bytes as latin1 text, or milliseconds of silence. */
export type Piece = string | number

/** A request as an upstream may receive it. Host, Connection and framing are the strict parser's to judge. */
export interface Forwarded {
  /** Method and target. */
  readonly line: string
  /** Every other header, lower case, as `name: value`. */
  readonly headers: readonly string[]
  readonly body: string
}

/**
 * What becomes of one request: no, with one of these statuses; passed on; nothing, because its client has left, though the upstream
 * may have heard it by then; or the end of the connection without a word.
 */
export type Outcome =
  | { readonly refused: readonly number[] }
  | { readonly forwarded: Forwarded }
  | { readonly left: Forwarded }
  | { readonly closed: true }

export interface HttpCase {
  readonly name: string
  /** RFC and section, as `9112 §6.1`. */
  readonly rfc: string
  readonly send: readonly Piece[]
  /** One for each request that the bytes hold, in order. */
  readonly expect: readonly Outcome[]
  /** The client closes its side when it has sent everything. */
  readonly ends?: true
  /** Why the gateway does not meet it yet. */
  readonly todo?: string
  /** The server may keep the connection after its refusal, because it knows where the next request begins. */
  readonly mayStay?: true
}

type More = Pick<HttpCase, 'ends' | 'mayStay' | 'todo'>

/** A case whose bytes have to be refused, with one of the statuses. */
export function refused(
  name: string,
  rfc: string,
  send: string | readonly Piece[],
  statuses: number | readonly number[] = 400,
  more: More = {},
): HttpCase {
  const expect = [{ refused: typeof statuses === 'number' ? [statuses] : statuses }]
  return { name, rfc, send: typeof send === 'string' ? [send] : send, expect, ...more }
}

/** A case whose bytes are one request that has to be passed on. */
export function passed(
  name: string,
  rfc: string,
  send: string | readonly Piece[],
  line: string,
  headers: readonly string[] = [],
  body = '',
  more: More = {},
): HttpCase {
  const expect = [{ forwarded: { line, headers, body } }]
  return { name, rfc, send: typeof send === 'string' ? [send] : send, expect, ...more }
}

/** A case of several requests on one connection, or of another outcome. */
export function several(
  name: string,
  rfc: string,
  send: string | readonly Piece[],
  expect: readonly Outcome[],
  more: More = {},
): HttpCase {
  return { name, rfc, send: typeof send === 'string' ? [send] : send, expect, ...more }
}

/** A head of these lines. */
export function head(...lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`
}

/** `GET` of a target, with more header lines. */
export function get(target = '/v1/x', ...headers: readonly string[]): string {
  return head(`GET ${target} HTTP/1.1`, 'host: gate', ...headers)
}

/** `POST` of a body with these header lines, framing included. */
export function post(body: string, ...headers: readonly string[]): string {
  return head('POST /v1/x HTTP/1.1', 'host: gate', ...headers) + body
}

/** A JSON object of 7 bytes: every body that is passed on is one, so that gateways that read bodies take it too. */
export const seven = '{"a":1}'

/** Text as pieces of one byte. */
export function bytesOf(text: string): string[] {
  return Array.from(text)
}

/** `POST` of chunks as they are written here. */
export function chunked(chunks: string, ...headers: readonly string[]): string {
  return post(chunks, 'transfer-encoding: chunked', ...headers)
}
