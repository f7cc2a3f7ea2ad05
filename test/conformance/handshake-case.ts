/** What the cases of the tables of handshakes are: a client's request for WebSocket, and an upstream's answer to one. */
import type { Piece } from './http-case.ts'
import type { Said } from './upstream-case.ts'

/** Of RFC 6455 §1.3. */
export const key = 'dGhlIHNhbXBsZSBub25jZQ=='
export const clientKey = 'sk-handshake-0123456789'

/** What stands for the path in cases: each is played against every kind of WebSocket. */
export const target = '/v1/realtime?model=m'

/** What becomes of a request for WebSocket. */
export type Shaken =
  /** It is accepted, with this subprotocol or none, and a message is answered; or it ends with one of these codes. */
  | { readonly opens: true; readonly protocol?: string; readonly closes?: readonly number[] }
  /** No, and the upstream hears nothing of it. */
  | { readonly refused: readonly number[]; readonly has?: string }
  /** It is an ordinary request, and answered as such. */
  | { readonly ignored: true }

export interface HandshakeCase {
  readonly name: string
  readonly rfc: string
  readonly send: readonly Piece[]
  readonly expect: Shaken
  /** Answers that come before that of the handshake. */
  readonly before?: number
  /** The client closes its side when it has sent everything: then it may be hung up on. */
  readonly ends?: true
  /** It is about something that other servers do not have. */
  readonly isOurs?: true
}

/** Header lines by name: null leaves one out, a list repeats it. */
export type Lines = Readonly<Record<string, string | null | readonly string[]>>

const usual: Lines = {
  host: 'gate',
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': key,
  authorization: `Bearer ${clientKey}`,
}

/** A request for WebSocket that is as it should be, but for these lines. */
export function ask(lines: Lines = {}, line = `GET ${target} HTTP/1.1`): string {
  const all = Object.entries({ ...usual, ...lines }).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : (value ?? [])).map((one) => `${name}: ${one}\r\n`),
  )
  return `${line}\r\n${all.join('')}\r\n`
}

/** What the client hears when an upstream answers its handshake so. */
export interface UpgradeHeard {
  /** A whole answer with one of these statuses. */
  readonly told?: readonly number[]
  /** It is accepted; a message is answered. */
  readonly opens?: true
  /** It is accepted, and ends with one of these codes; null: without a word. */
  readonly closes?: readonly (number | null)[]
}

export interface UpgradeCase {
  readonly name: string
  readonly rfc: string
  /** More lines of the client's request. */
  readonly asks: Lines
  /** `$ACCEPT` stands for what the key asks for. */
  readonly says: readonly Said[]
  readonly expect: UpgradeHeard
}
