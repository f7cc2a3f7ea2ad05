/** Reasoning that one account has encrypted or signed, and another one may refuse: found, and taken out of a request. */
import type { Body } from 'postern/plugin'

/** Whether a request carries encrypted reasoning of OpenAI's, which no other account can read. */
export function isAccountBound(body: Body): boolean {
  // Results of Anthropic's web search have a field of that name as well, and are no reasoning.
  return body.kind === 'json' && body.bytes.includes('"encrypted_content"') && body.bytes.includes('"reasoning"')
}

/**
 * Whether an error says that reasoning in the request could not be read or verified. OpenAI: `invalid_encrypted_content`;
 * Anthropic: "Invalid `signature` in `thinking` block".
 */
export function isUnreadable(error: Buffer | null): boolean {
  const text = error?.toString('utf8', 0, 4096) ?? ''
  return text.includes('invalid_encrypted_content') || /invalid .{0,3}signature.{0,9} in .{0,3}thinking/i.test(text)
}

interface Item {
  readonly type?: unknown
  readonly role?: unknown
  readonly content?: unknown
  readonly encrypted_content?: unknown
  readonly [field: string]: unknown
}

/**
 * Takes it out: OpenAI's `reasoning` items, and, where `signatures` says so, Anthropic's thinking blocks. Parses the whole body,
 * numbers kept as they are spelt. Says whether anything was there. Items of type `compaction` stay: they are all that is left
 * of a conversation.
 */
export function stripReasoning(body: Body, { signatures }: { signatures: boolean }): boolean {
  if (body.kind !== 'json') return false
  const request = parseLossless(body.bytes)
  if (typeof request !== 'object' || request === null) return false
  const { input, messages } = request as { input?: unknown; messages?: unknown } // either may be anything
  const items = Array.isArray(input) ? withoutReasoning(input) : null
  if (items) body.set('input', items)
  const turns = signatures && Array.isArray(messages) ? withoutThinking(messages) : null
  if (turns) {
    body.set('messages', turns)
    // A turn that goes on after a tool was used has to begin with its thinking; without it there can be none.
    if (endsInToolUse(turns)) body.delete('thinking')
  }
  return items !== null || turns !== null
}

function withoutReasoning(input: readonly unknown[]): unknown[] | null {
  const left: unknown[] = []
  let follows = false
  let found = false
  for (const item of input) {
    if (isItem(item) && item.type === 'reasoning' && item.encrypted_content !== undefined) {
      follows = found = true
    } else if (isItem(item) && follows && isAnswer(item)) {
      // Under its id the API knows it as following a reasoning item, and would miss that.
      const { id: _, ...rest } = item
      left.push(rest)
    } else {
      follows = false
      left.push(item)
    }
  }
  return found ? left : null
}

/** What a model has said or called. */
function isAnswer({ type, role }: Item): boolean {
  return role === 'assistant' || (typeof type === 'string' && type.endsWith('_call'))
}

function withoutThinking(messages: readonly unknown[]): unknown[] | null {
  let found = false
  const turns = messages.flatMap((message) => {
    if (!isItem(message) || !Array.isArray(message.content)) return [message]
    const content = message.content.filter((block) => !isItem(block) || !isThinking(block))
    if (content.length === message.content.length) return [message]
    found = true
    // A message with nothing in it is refused.
    return content.length > 0 ? [{ ...message, content }] : []
  })
  return found ? turns : null
}

function isThinking({ type }: Item): boolean {
  return type === 'thinking' || type === 'redacted_thinking'
}

function endsInToolUse(messages: readonly unknown[]): boolean {
  const last = messages.findLast((message) => isItem(message) && message.role === 'assistant')
  if (!isItem(last) || !Array.isArray(last.content)) return false
  return last.content.some((block) => isItem(block) && block.type === 'tool_use')
}

function isItem(value: unknown): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** JSON with the source text of primitives, of Node 22 and later; TypeScript's library does not know it yet. */
const json = JSON as unknown as {
  rawJSON(text: string): unknown
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): unknown
}

/** As JSON.parse, but JSON.stringify spells every number as it was spelt: 2^53 and more, and 1.0, come out as they went in. */
function parseLossless(bytes: Buffer): unknown {
  return json.parse(bytes.toString('utf8'), (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && source !== String(value) ? json.rawJSON(source) : value,
  )
}
