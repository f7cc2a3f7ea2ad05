/** What a dialect says of WebSocket. `Claim.websocket` says how an upgrade of one path is served; this is how it is spoken. */
import type { Body, Headers } from './plugin.ts'

export interface WebSocketDialect {
  /** A parameter of the query that names the model. */
  readonly modelParameter?: string
  /** Edits the headers of a handshake with an upstream. */
  handshake?(headers: Headers): void
  /** Headers that belong to one client's session: a connection opened with them serves nobody else. Lower case. */
  readonly ownHeaders?: readonly string[]
  /** Of those, the ones that say something of one turn: they tell no session from another, and a request's turn does without. */
  readonly turnHeaders?: readonly string[]
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
  /**
   * What an error event says is no more: the connection, because the upstream lends one for so long; or the response that the
   * turn goes on with. Null for whatever else.
   */
  lost?(event: Buffer): 'connection' | 'response' | null
  /** How a conversation that was lost with its connection is begun anew; absent: it cannot be. */
  readonly replay?: ReplayDialect
  /** How a request by HTTP is asked as a turn; absent: it cannot be. */
  readonly requests?: RequestDialect
}

/** A part of a conversation: items of JSON, one or more with commas between them. */
export interface Said {
  readonly bytes: Buffer
  /** Whether only the upstream that made it can read it. */
  readonly isBound: boolean
}

/** What is remembered of a conversation, cut from the bytes, and how a turn goes on with it on another connection. */
export interface ReplayDialect {
  /** What a message itself says, whatever it goes on with; empty where that is nothing. */
  asked(message: Buffer): Buffer
  /** What one event adds to the conversation. */
  item(event: Buffer): Said | null
  /** Whether the event ends a response that can be gone on with: its id, and what it has added where no `item` was told. */
  completed(event: Buffer): { readonly id: string; items(): readonly Said[] } | null
  /** The message with what was said before it in place of the response that it goes on with. */
  anew(message: Buffer, before: readonly Buffer[]): Buffer
}

export interface RequestDialect {
  /** Makes a request's body the message that asks the same. False, and nothing is edited: only HTTP can be asked for it. */
  asMessage(body: Body): boolean
  /** An event of the turn as the server-sent event that it would be. */
  asEvent(event: Buffer): Buffer
  /** What a request that wants no stream is told, by the last event of its turn, or by an error's. */
  asDocument(event: Buffer): Buffer
  /** The id of the response that the last event tells of; null where it tells of none. */
  responseOf(event: Buffer): string | null
}
