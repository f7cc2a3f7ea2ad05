/** Where the name of a session comes from, for each API and operation, cheapest and surest first. */
import type { Body, Headers } from 'postern/plugin'
import type { Claim } from 'postern/provider'
import { longHash, shortHash } from './keys.ts'
import { openingOf, shapes, type Shape } from './opening.ts'

/** A name, made short; and where it was found. */
export interface Found {
  readonly source: string
  /** Within its tenant: `openai:0123456789abcdef`. */
  readonly name: string
  /** Spells it as the old system did, which takes a while; null where it had no such name. */
  readonly legacy: (() => string) | null
}

/** What an exchange says about where it belongs. */
export interface Sought {
  /** The conversation: better answered where it was answered before. */
  readonly session: Found | null
  /** Something that one upstream has and no other: a stored response, a stored conversation. */
  readonly anchor: Found | null
}

/** As much of an exchange as it takes. */
export interface Asking {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Headers>
  readonly body: Body
}

type Seek = (asking: Asking, fromContent: boolean) => Sought

const nothing: Sought = { session: null, anchor: null }

/** Compiles the operator's own sources; what it returns looks there first, and then where the operation's API says it. */
export function compileSources(
  sources: readonly string[],
  fromContent: boolean,
): (asking: Asking, claim: Claim | null) => Sought {
  const own = sources.map(compileSource)
  return (asking, claim) => {
    const operation = claim?.operation ?? ''
    const seek = Object.hasOwn(operations, operation) ? operations[operation] : undefined
    for (const read of own) {
      const id = read(asking)
      if (id === null) continue
      const session = { source: 'sources', name: shortHash(id), legacy: null }
      return { session, anchor: seek === responses ? anchorOf(asking) : null }
    }
    return seek?.(asking, fromContent) ?? nothing
  }
}

/** `header:NAME` or `body:FIELD`, as the schema has checked. */
function compileSource(source: string): (asking: Asking) => string | null {
  const at = source.indexOf(':')
  const name = source.slice(at + 1)
  if (source.startsWith('header:')) {
    const header = name.toLowerCase()
    return ({ headers }) => trimmed(headers[header])
  }
  return ({ body }) => trimmed(body.get(name))
}

/** By what the dialect calls the operation, not by the name of a provider: mounts under any name are the same API. */
const operations: Readonly<Record<string, Seek>> = {
  messages,
  responses,
  'chat.completions': (asking, fromContent) => openai(asking, fromContent ? shapes.chat : null),
  completions: (asking) => openai(asking, null),
  generateContent: gemini,
  streamGenerateContent: gemini,
}

/** `user_…_session_UUID`, or JSON with a `session_id`: how coding agents name a session to Anthropic. */
const claudeSession = /session_(?:id"\s*:\s*")?([a-f0-9-]{36})/

function messages({ body }: Asking, fromContent: boolean): Sought {
  const user = body.get('metadata.user_id')
  const uuid = typeof user === 'string' ? claudeSession.exec(user)?.[1] : undefined
  if (uuid !== undefined) return found('metadata.user_id', shortHash(uuid), () => uuid)
  return fromContent ? opening(body, shapes.messages, '') : nothing
}

/** The directory of Gemini CLI's own for one project, which it tells the model; on Windows with backslashes, doubled by JSON. */
const cliFolders = ['.gemini/tmp/', '.gemini\\\\tmp\\\\'].map((text) => Buffer.from(text))
const folderId = /^[A-Fa-f0-9]{64}$/

function gemini({ body, headers }: Asking, fromContent: boolean): Sought {
  if (body.kind !== 'json') return nothing
  const folder = cliFolder(body.bytes)
  if (folder !== null) {
    const user = trimmed(headers['x-gemini-api-privileged-user-id'])
    const id = user === null ? folder : `${user}:${folder}`
    // Without the user the old name is the folder's alone, which tenants may share: containers all have the same paths.
    return found('gemini-cli', `gemini:${shortHash(id)}`, user === null ? null : () => `gemini:${longHash(id)}`)
  }
  // Made with one credential and known to no other; what is cached there is why the session should stay.
  const cached = trimmed(body.get('cachedContent') ?? body.get('cached_content'))
  if (cached !== null) return found('cachedContent', `gemini:${shortHash(`cached\0${cached}`)}`, null)
  return fromContent ? opening(body, shapes.gemini, 'gemini:') : nothing
}

function cliFolder(bytes: Buffer): string | null {
  for (const folder of cliFolders) {
    const at = bytes.indexOf(folder)
    if (at === -1) continue
    const start = at + folder.length
    const id = bytes.toString('latin1', start, start + 64)
    if (folderId.test(id)) return id
  }
  return null
}

function responses(asking: Asking, fromContent: boolean): Sought {
  const anchor = anchorOf(asking)
  // With an anchor the body has only what is new in this turn: nothing in it names the conversation.
  const { session } = openai(asking, fromContent && !anchor ? shapes.responses : null)
  return { session, anchor }
}

/** Header before body: what a client says of a whole connection is what the old system looked at first. */
function openai({ headers, body }: Asking, shape: Shape | null): Sought {
  for (const source of openaiHeaders) {
    const id = trimmed(headers[source])
    if (id !== null) return openaiName(source, id)
  }
  const cacheKey = trimmed(body.get('prompt_cache_key'))
  if (cacheKey !== null) return openaiName('prompt_cache_key', cacheKey)
  return shape ? opening(body, shape, 'openai:') : nothing
}

const openaiHeaders = ['session_id', 'conversation_id']

function openaiName(source: string, id: string): Sought {
  return found(source, `openai:${shortHash(id)}`, () => `openai:${longHash(id)}`)
}

const inPath = /\/responses\/(resp_[^/]+)/

/** The stored response that this one goes on from, the stored conversation it is part of, or the response that the path names. */
function anchorOf({ body, path }: Asking): Found | null {
  const previous = trimmed(body.get('previous_response_id')) ?? inPath.exec(path)?.[1] ?? null
  if (previous !== null) return responseName(previous)
  const conversation = trimmed(body.get('conversation')) ?? trimmed(body.get('conversation.id'))
  if (conversation === null) return null
  return { source: 'conversation', name: `openai:conversation:${shortHash(conversation)}`, legacy: null }
}

/** The name of a stored response. */
export function responseName(id: string): Found {
  return {
    source: 'previous_response_id',
    name: `openai:response:${shortHash(id)}`,
    legacy: () => `openai:response:${longHash(id)}`,
  }
}

function opening(body: Body, shape: Shape, prefix: string): Sought {
  const text = openingOf(body, shape)
  // Marked as what it is: no id that a client can send is equal to it. The old system's counterpart changed with every turn.
  return text === null ? nothing : found('opening', prefix + shortHash(`opening\0${text}`), null)
}

function found(source: string, name: string, legacy: Found['legacy']): Sought {
  return { session: { source, name, legacy }, anchor: null }
}

/** A name as a client may write it; null where it is none. */
function trimmed(value: unknown): string | null {
  if (typeof value === 'number') return String(value)
  if (typeof value !== 'string') return null
  return value.trim() || null
}
