/** The opening of a conversation: what every turn of it repeats, because the APIs have no memory of their own. */
import { isAscii } from 'node:buffer'
import type { Body } from 'postern/plugin'
import { elementsOf, memberOf } from './elements.ts'

/** How a dialect writes a conversation. */
export interface Shape {
  /** Fields that hold what the model is told before the conversation. */
  readonly system: readonly string[]
  /** The list of messages. */
  readonly messages: string
}

export const shapes = {
  messages: { system: ['system'], messages: 'messages' },
  chat: { system: [], messages: 'messages' },
  responses: { system: ['instructions'], messages: 'input' },
  gemini: { system: ['systemInstruction', 'system_instruction'], messages: 'contents' },
} as const satisfies Record<string, Shape>

/** Of a longer opening the beginning and the length count, in UTF-16 units: documents may be pasted into a first message. */
const longest = 64 * 1024

/**
 * The texts of the system and of the first user message, as one; null where no user has said anything. Later messages are not
 * looked at: they are what changes from turn to turn. Where the client marks parts of the system as cached, only these count: it
 * promises that they stay, and leaves out what does not, such as the date.
 */
export function openingOf(body: Body, shape: Shape): string | null {
  if (body.kind !== 'json') return null
  const texts: string[] = []
  for (const field of shape.system) texts.push(...textsOf(cachedOf(body.get(field))))
  let asked = false
  /** Characters that were left out of the last text, where they would not count. */
  let cut = 0
  for (const element of elementsOf(body.bytes, shape.messages)) {
    const plain = element.length > longest ? plainText(element) : null
    if (plain) {
      texts.push(plain.toString('latin1', 0, longest))
      cut = plain.length - longest
      asked = true
      break
    }
    const message = parsed(element)
    if (message === null) break
    const role = message.role ?? 'user'
    if (role !== 'user' && role !== 'system' && role !== 'developer') continue
    // Only the Responses API lists what is not a message (a tool's output) beside its messages.
    const said = textsOf(message.content ?? message.parts)
    texts.push(...said)
    if (role !== 'user' || said.length === 0) continue
    asked = true
    break
  }
  if (!asked) {
    // The Responses API takes a text in place of the list.
    const whole = shape.messages === 'input' ? body.get('input') : null
    if (typeof whole !== 'string' || whole === '') return null
    texts.push(whole)
  }
  const opening = texts.join('\0')
  const length = opening.length + cut
  return length > longest ? `${opening.slice(0, longest)}\0${length}` : opening
}

/**
 * What a user says in one text without escapes, as its bytes; null for any other message. Of a pasted document of 100 KB neither a text
 * nor an object is made then, which cost more than all else that is done for its request.
 */
function plainText(element: Buffer): Buffer | null {
  const role = memberOf(element, 'role')
  const content = memberOf(element, 'content')
  if (role?.toString('latin1') !== '"user"' || content?.[0] !== quote) return null
  const text = content.subarray(1, -1)
  return text.length > longest && isAscii(text) && !text.includes(backslash) ? text : null
}

const quote = 0x22
const backslash = 0x5c

interface Message {
  readonly role?: unknown
  readonly content?: unknown
  readonly parts?: unknown
}

function parsed(element: Buffer): Message | null {
  try {
    const value: unknown = JSON.parse(element.toString())
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return null
  }
}

/** The parts that are marked as cached, where any is; else all that there is. */
function cachedOf(system: unknown): unknown {
  if (!Array.isArray(system)) return system
  const cached = system.filter(isCached)
  return cached.length > 0 ? cached : system
}

function isCached(part: unknown): boolean {
  const mark = typeof part === 'object' && part !== null && 'cache_control' in part ? part.cache_control : null
  return typeof mark === 'object' && mark !== null && 'type' in mark && mark.type === 'ephemeral'
}

/**
 * The texts of a content, however it is written: clients spell the same message as a text in one turn and as a list of parts in the
 * next, and the mark that says how far to cache moves on with every turn.
 */
function textsOf(content: unknown): string[] {
  if (typeof content === 'string') return content === '' ? [] : [content]
  if (Array.isArray(content)) return content.flatMap(textsOf)
  if (typeof content !== 'object' || content === null) return []
  if ('text' in content && typeof content.text === 'string') return content.text === '' ? [] : [content.text]
  if ('parts' in content) return textsOf(content.parts)
  return [JSON.stringify({ ...content, cache_control: undefined })]
}
