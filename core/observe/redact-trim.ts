/** A request cut down to what is worth keeping of it. */
import { findMember, scanObject, type Member } from '../body/scan.ts'

/** How long a request may be that is kept, in bytes: 10 KiB, as the Go system had it. */
const standardCap = 10 * 2 ** 10

/**
 * The request in at most `cap` bytes (a few more where `cap` is below 100); null where it is no JSON object, which is never
 * kept. Whole where it fits; else with the newest messages alone, as many as fit and at least one; else what fits of its
 * essentials and its last message. What was cut says `"request_body_truncated":true` and how many bytes it had, and may be
 * cut again. A body of megabytes costs one walk over its members and then what `cap` costs.
 */
export function trimRequest(bytes: Buffer, cap = standardCap): Buffer | null {
  const members = scanObject(bytes)
  if (!members) return null
  if (bytes.length <= cap) return bytes
  const list = conversation(bytes, members)
  return (list && newest(bytes, members, list, cap)) ?? essentials(bytes, members, list, cap)
}

/** Where the APIs keep what was said: OpenAI and Anthropic, Gemini, the Responses API. */
const conversations = ['messages', 'contents', 'input']
const openBracket = 0x5b

interface Conversation extends Member {
  readonly name: string
}

function conversation(bytes: Buffer, members: readonly Member[]): Conversation | null {
  for (const name of conversations) {
    const member = findMember(bytes, members, name)
    if (member && bytes[member.start] === openBracket) return { ...member, name }
  }
  return null
}

/** What ends a request that was cut: that it was, and how long it had been, in the words of the first cut. */
function noteOf(bytes: Buffer, members: readonly Member[]): string {
  const before = findMember(bytes, members, 'request_body_bytes')
  const length = before ? bytes.toString('latin1', before.start, before.end) : bytes.length
  return `"request_body_truncated":true,"request_body_bytes":${length}}`
}

/** The request with the last items of its list, as many as fit; null where not even one does. */
function newest(bytes: Buffer, members: readonly Member[], list: Member, cap: number): Buffer | null {
  const end = members.at(-1)!.end
  const wasCut = findMember(bytes, members, 'request_body_truncated') !== null
  const note = Buffer.from(wasCut ? '}' : `,${noteOf(bytes, members)}`)
  const rest = list.start + 1 + (end - endOfItems(bytes, list)) + note.length
  const from = lastItems(bytes, list, cap - rest)
  if (from === null) return null
  return Buffer.concat([bytes.subarray(0, list.start + 1), bytes.subarray(from, end), note])
}

/** What is worth keeping when the conversation is not. */
const essential = [
  'model',
  'stream',
  'max_tokens',
  'max_output_tokens',
  'max_completion_tokens',
  'max_tokens_to_sample',
  'thinking',
  'reasoning',
  'temperature',
  'top_p',
  'top_k',
]

function essentials(bytes: Buffer, members: readonly Member[], list: Conversation | null, cap: number): Buffer {
  const tail = Buffer.from(noteOf(bytes, members))
  const parts: Buffer[] = [Buffer.from('{')]
  let room = cap - 1 - tail.length
  for (const name of essential) {
    const member = findMember(bytes, members, name)
    if (!member) continue
    // One after the other, as long as there is room: a `thinking` of megabytes does not drive the model out.
    room -= add(`"${name}":`, bytes.subarray(member.start, member.end), room, parts)
  }
  const last = list && lastItems(bytes, list, room, 1)
  if (list && last !== null) {
    const message = bytes.subarray(last, endOfItems(bytes, list))
    add(`"${list.name}":`, Buffer.concat([Buffer.from('['), message, Buffer.from(']')]), room, parts)
  }
  parts.push(tail)
  return Buffer.concat(parts)
}

/** Puts a member into the parts if there is room for it; returns the bytes it took. */
function add(key: string, value: Buffer, room: number, parts: Buffer[]): number {
  const length = key.length + value.length + 1
  if (length > room) return 0
  parts.push(Buffer.from(key), value, comma)
  return length
}
const comma = Buffer.from(',')

/**
 * Where the last items of an array begin, as many as fit into `room` bytes (at most `most`); null where none does. Read
 * from behind, so it costs what fits, not what is there: outside a string every quote met is a closing one, and the one
 * that opened it is the next before it without an odd number of backslashes.
 */
function lastItems(bytes: Buffer, list: Member, room: number, most = Number.POSITIVE_INFINITY): number | null {
  const end = endOfItems(bytes, list)
  const least = Math.max(list.start, end - room - 1)
  let found: number | null = null
  let items = 0
  let depth = 0
  for (let at = end - 1; at >= least; at--) {
    const code = bytes[at]
    if (code === 0x22) {
      at = opening(bytes, at, least)
      if (at === -1) return found
    } else if (code === 0x7d || code === 0x5d) depth++
    else if (code === 0x7b || (code === 0x5b && at !== list.start)) depth--
    else if (depth === 0 && (code === 0x2c || at === list.start)) {
      if (at === list.start && found === null && end === at + 1) return null
      found = at + 1
      if (++items === most) return found
    }
  }
  return found
}

/** Where the white space before the closing bracket begins. */
function endOfItems(bytes: Buffer, list: Member): number {
  let end = list.end - 1
  while (bytes[end - 1]! <= 0x20) end--
  return end
}

/** The quote that opened the string which closes at `close`; -1 where it stands before `least`. */
function opening(bytes: Buffer, close: number, least: number): number {
  for (let at = close - 1; at >= least; at--) {
    if (bytes[at] !== 0x22) continue
    let escapes = 0
    while (bytes[at - 1 - escapes] === 0x5c) escapes++
    if (escapes % 2 === 0) return at
  }
  return -1
}
