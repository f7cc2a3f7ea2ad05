/** What stands in a JSON document, found in its bytes: a field's value, its own bytes, the elements of an array. */
import { JsonBody } from './body.ts'
import { findMember, scanObject } from './scan.ts'

/** A field of a JSON document, found in its bytes; `undefined` where it is not there. Dots lead into objects. Its bytes never change. */
export function jsonField(document: Buffer, field: string): unknown {
  if (latest.original !== document) {
    const body = new JsonBody(document)
    if (document.length > mostRemembered) return body.get(field)
    latest = body
  }
  return latest.get(field)
}

/** The document that was asked last: whoever looks at an answer looks for several fields, and one walk finds them all. */
let latest = new JsonBody(Buffer.alloc(0))
/** A longer one is not kept in memory for the next question, in bytes. */
const mostRemembered = 16 * 1024

/** The bytes of a field's value as they stand in the document, not copied; null where it is not there. Dots lead into objects. */
export function jsonBytes(document: Buffer, field: string): Buffer | null {
  let [from, to] = [0, document.length]
  for (const name of field.split('.')) {
    const members = scanObject(document, from, to)
    const member = members && findMember(document, members, name)
    if (!member) return null
    from = member.start
    to = member.end
  }
  return document.subarray(from, to)
}

/** The elements of a JSON array, given the bytes of one that is whole; not copied. None where the bytes are no array. */
export function jsonElements(array: Buffer): Buffer[] {
  const elements: Buffer[] = []
  const end = array.length - 1
  if (array[0] !== openBracket || array[end] !== closeBracket) return elements
  let depth = 0
  let start = 1
  for (let at = 1; at < end; at++) {
    const byte = array[at]!
    if (byte === quote) at = stringEnd(array, at)
    else if (byte === openBracket || byte === openBrace) depth++
    else if (byte === closeBracket || byte === closeBrace) depth--
    else if (byte === comma && depth === 0) {
      elements.push(trimmed(array, start, at))
      start = at + 1
    }
  }
  const last = trimmed(array, start, end)
  if (last.length > 0) elements.push(last)
  return elements
}

/** Where the string ends that opens at `from`; the end of the bytes where it never does. */
function stringEnd(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(quote, from + 1); at !== -1; at = bytes.indexOf(quote, at + 1)) {
    let before = at - 1
    while (bytes[before] === backslash) before--
    // An even number of backslashes before it: they escape each other and not the quote.
    if ((at - before) % 2 === 1) return at
  }
  return bytes.length
}

function trimmed(bytes: Buffer, from: number, to: number): Buffer {
  let [start, end] = [from, to]
  while (start < end && bytes[start]! <= space) start++
  while (end > start && bytes[end - 1]! <= space) end--
  return bytes.subarray(start, end)
}

const [quote, backslash, comma, space] = [0x22, 0x5c, 0x2c, 0x20]
const [openBracket, closeBracket, openBrace, closeBrace] = [0x5b, 0x5d, 0x7b, 0x7d]
