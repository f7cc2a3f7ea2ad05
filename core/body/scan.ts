/** Finds the members of a JSON object in its bytes, without making their values. */
import { begin, isWhole, members as found, room, walk, window } from './walker.ts'

/** Where one member of an object stands: key without its quotes, value with all that belongs to it. */
export interface Member {
  readonly keyStart: number
  readonly keyEnd: number
  /** The key is spelt with escapes. */
  readonly escaped: boolean
  readonly start: number
  readonly end: number
}

/**
 * The members of the object that stands between `from` and `to` (white space allowed around it), in their order,
 * duplicates included. Null where `JSON.parse(bytes.toString())` would not give an object. The two agree at any depth,
 * with one exception: brackets more than 1 048 576 deep are refused here.
 */
export function scanObject(bytes: Buffer, from = 0, to = bytes.length): Member[] | null {
  const members: Member[] = []
  begin()
  for (let at = from; at < to; at += room) {
    const length = Math.min(room, to - at)
    window.set(length === bytes.length ? bytes : bytes.subarray(at, at + length))
    const count = walk(length, at)
    if (count < 0) return null
    for (let index = 0; index < count; index++) members.push(memberAt(index * 4))
  }
  return isWhole() !== 0 ? members : null
}

/** The member called `name`; of several the last, as JSON.parse reads it. */
export function findMember(bytes: Buffer, members: readonly Member[], name: string): Member | null {
  for (let at = members.length - 1; at >= 0; at--) {
    const member = members[at]!
    if (isCalled(bytes, member, name)) return member
  }
  return null
}

/** Whether the member's key is `name`, however it is spelt. */
export function isCalled(bytes: Buffer, { keyStart, keyEnd, escaped }: Member, name: string): boolean {
  const length = keyEnd - keyStart
  if (escaped) return JSON.parse(bytes.toString('utf8', keyStart - 1, keyEnd + 1)) === name
  if (length < name.length) return false
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at)
    if (code > 0x7f) return bytes.toString('utf8', keyStart, keyEnd) === name
    if (code !== bytes[keyStart + at]) return false
  }
  return length === name.length
}

function memberAt(at: number): Member {
  const keyEnd = found[at + 1]! // its highest bit says that the key is escaped
  return {
    keyStart: found[at]!,
    keyEnd: keyEnd & 0x7fff_ffff,
    escaped: keyEnd > 0x7fff_ffff,
    start: found[at + 2]!,
    end: found[at + 3]!,
  }
}
