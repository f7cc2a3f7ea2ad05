/** What a dialect says of WebSocket. `Claim.websocket` says how an upgrade of one path is served; this is how it is spoken. */
import type { Body, Headers } from './plugin.ts'

export interface WebSocketDialect {
  /** A parameter of the query that names the model. */
  readonly modelParameter?: string
  /** Edits the headers of a handshake with an upstream. */
  handshake?(headers: Headers): void
  /** Headers that belong to one client's session: a connection opened with them serves nobody else. Lower case. */
  readonly ownHeaders?: readonly string[]
  /** Headers of an upstream's 101 that the later handshakes of the same session send back. Lower case. */
  readonly keptHeaders?: readonly string[]
  /** Where connections carry turns: one request and its events after the other. */
  readonly turns?: TurnDialect
}

export interface TurnDialect {
  /**
   * Whether a message asks for a response: null, or what is wrong with it, for the reason of a close frame. May complete what
   * the client has left out.
   */
  begins(message: Body, isFirst: boolean): string | null
  /** Whether an event is the last one of its turn. */
  ends(event: Buffer): boolean
  /** Whether the connection knows what the turn goes on with, and no other does. */
  staysOnConnection(message: Body): boolean
  /** The response that the turn goes on with; null where it begins anew. */
  continues(message: Body): string | null
  /** The message's last edits for an upstream that speaks WebSocket. */
  asMessage?(message: Body, headers: Readonly<Headers>): void
  /** Makes the message what the API takes by HTTP, and asks for a stream. */
  asRequest(message: Body): void
  /** The message that tells of an error. */
  error(shape: object, status: number): string
}
