/** Reads a list in a JSON body element by element, from its bytes, and no further than it is asked to. */

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d

/**
 * The elements of the list under `field` of the object that `bytes` are, each as its own bytes, in their order. A conversation
 * may be megabytes long and what names it stands at its beginning: whoever stops asking leaves the rest unread. The gateway has
 * found the bytes to be JSON; of bytes that are none it yields what looks like elements, and ends.
 */
export function* elementsOf(bytes: Buffer, field: string): Generator<Buffer, void> {
  let at = afterSpace(bytes, valueOf(bytes, field) + 1)
  while (at < bytes.length && bytes[at] !== closeBracket) {
    const end = afterValue(bytes, at)
    yield bytes.subarray(at, end)
    const next = afterSpace(bytes, end)
    if (bytes[next] !== comma) return
    at = afterSpace(bytes, next + 1)
  }
}

/**
 * The bytes of the member `field` of the object that `bytes` are, the first of them; null where there is none, or none that is called
 * so without escapes.
 */
export function memberOf(bytes: Buffer, field: string): Buffer | null {
  const at = placeOf(bytes, field)
  return at === bytes.length ? null : bytes.subarray(at, afterValue(bytes, at))
}

/** Where the list begins that is the value of the member `field`; the end of the bytes where there is none. */
function valueOf(bytes: Buffer, field: string): number {
  const at = placeOf(bytes, field)
  return bytes[at] === openBracket ? at : bytes.length
}

/** Where the value of the member `field` begins; the end of the bytes where there is none. */
function placeOf(bytes: Buffer, field: string): number {
  const none = bytes.length
  let at = afterSpace(bytes, 0)
  if (bytes[at] !== openBrace) return none
  at = afterSpace(bytes, at + 1)
  while (bytes[at] === quote) {
    const keyEnd = afterString(bytes, at)
    const isIt = keyEnd - at - 2 === field.length && bytes.toString('latin1', at + 1, keyEnd - 1) === field
    at = afterSpace(bytes, keyEnd)
    if (bytes[at] !== colon) return none
    at = afterSpace(bytes, at + 1)
    if (isIt) return at
    at = afterSpace(bytes, afterValue(bytes, at))
    if (bytes[at] !== comma) return none
    at = afterSpace(bytes, at + 1)
  }
  return none
}

function afterSpace(bytes: Buffer, from: number): number {
  let at = from
  while (at < bytes.length && bytes[at]! <= 0x20) at++
  return at
}

/** Bytes of a string that are looked at one by one: a jump costs as much as some dozens of them. */
const nearby = 48

/** `from` is the opening quote. */
function afterString(bytes: Buffer, from: number): number {
  let at = from + 1
  for (let end = at + nearby; at < bytes.length; end = at + nearby) {
    while (at < bytes.length && at < end) {
      const byte = bytes[at]
      if (byte === quote) return at + 1
      at += byte === backslash ? 2 : 1
    }
    // The rest of a long text lies behind: to the next quote, or to what may escape it.
    const next = bytes.indexOf(quote, at)
    if (next === -1) return bytes.length
    let first = next
    while (first > at && bytes[first - 1] === backslash) first--
    if ((next - first) % 2 === 0) return next + 1
    at = next + 1
  }
  return bytes.length
}

function afterValue(bytes: Buffer, from: number): number {
  const first = bytes[from]
  if (first === quote) return afterString(bytes, from)
  if (first !== openBrace && first !== openBracket) return afterWord(bytes, from)
  let depth = 0
  let at = from
  while (at < bytes.length) {
    const byte = bytes[at]
    if (byte === quote) {
      at = afterString(bytes, at)
      continue
    }
    at++
    if (byte === openBrace || byte === openBracket) depth++
    else if ((byte === closeBrace || byte === closeBracket) && --depth === 0) return at
  }
  return bytes.length
}

/** A number, true, false or null. At least one byte, so that whoever walks gets on. */
function afterWord(bytes: Buffer, from: number): number {
  let at = from + 1
  while (at < bytes.length) {
    const byte = bytes[at]!
    if (byte <= 0x20 || byte === comma || byte === closeBrace || byte === closeBracket) return at
    at++
  }
  return bytes.length
}
