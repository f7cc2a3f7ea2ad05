/** Finds the members of a JSON object in its bytes, without parsing their values. */

const quote = 0x22
const backslash = 0x5c

/** Where one member of an object stands: key without its quotes, value with all that belongs to it. */
export interface Member {
  readonly keyStart: number
  readonly keyEnd: number
  readonly start: number
  readonly end: number
}

/**
 * The members of the object that begins at `from` (white space allowed before it), in their order, duplicates included.
 * Null where the bytes up to `to` are not one whole object.
 */
export function scanObject(bytes: Buffer, from = 0, to = bytes.length): Member[] | null {
  const members: Member[] = []
  let at = skipSpace(bytes, from, to)
  if (bytes[at] !== 0x7b) return null
  at = skipSpace(bytes, at + 1, to)
  if (bytes[at] === 0x7d) return skipSpace(bytes, at + 1, to) === to ? members : null
  for (;;) {
    if (at >= to || bytes[at] !== quote) return null
    const keyEnd = stringEnd(bytes, at, to) - 1
    if (keyEnd < 0) return null
    const keyStart = at + 1
    at = skipSpace(bytes, keyEnd + 1, to)
    if (bytes[at] !== 0x3a) return null
    const start = skipSpace(bytes, at + 1, to)
    const end = valueEnd(bytes, start, to)
    if (end < 0) return null
    members.push({ keyStart, keyEnd, start, end })
    at = skipSpace(bytes, end, to)
    if (bytes[at] === 0x7d) return skipSpace(bytes, at + 1, to) === to ? members : null
    if (bytes[at] !== 0x2c) return null
    at = skipSpace(bytes, at + 1, to)
  }
}

/** The member called `name`; of several the last, as every JSON parser reads it. */
export function findMember(bytes: Buffer, members: readonly Member[], name: string): Member | null {
  const wanted = Buffer.from(name)
  for (let at = members.length - 1; at >= 0; at--) {
    const { keyStart, keyEnd } = members[at]!
    const plain = keyEnd - keyStart === wanted.length && bytes.compare(wanted, 0, wanted.length, keyStart, keyEnd) === 0
    if (plain || isEscapedSpelling(bytes, keyStart, keyEnd, name)) return members[at]!
  }
  return null
}

function isEscapedSpelling(bytes: Buffer, start: number, end: number, name: string): boolean {
  const escape = bytes.indexOf(backslash, start)
  if (escape === -1 || escape >= end) return false
  try {
    return JSON.parse(bytes.toString('utf8', start - 1, end + 1)) === name
  } catch {
    return false
  }
}

/** The place behind the value that begins at `at`, or -1. */
function valueEnd(bytes: Buffer, at: number, to: number): number {
  const first = bytes[at]
  if (first === quote) return stringEnd(bytes, at, to)
  if (first !== 0x7b && first !== 0x5b) return scalarEnd(bytes, at, to)
  let depth = 0
  for (let index = at; index < to; index++) {
    const byte = bytes[index]
    if (byte === quote) {
      index = stringEnd(bytes, index, to) - 1
      if (index < 0) return -1
    } else if (byte === 0x7b || byte === 0x5b) depth++
    else if ((byte === 0x7d || byte === 0x5d) && --depth === 0) return index + 1
  }
  return -1
}

/** The place behind the closing quote of the string that opens at `at`, or -1. */
function stringEnd(bytes: Buffer, at: number, to: number): number {
  let close = bytes.indexOf(quote, at + 1)
  while (close !== -1 && close < to) {
    let first = close
    while (bytes[first - 1] === backslash) first--
    if ((close - first) % 2 === 0) return close + 1
    close = bytes.indexOf(quote, close + 1)
  }
  return -1
}

/** Numbers and the three words; whether they are well spelt is seen where they are parsed. */
function scalarEnd(bytes: Buffer, at: number, to: number): number {
  let index = at
  while (index < to) {
    const byte = bytes[index]!
    if (byte === 0x2c || byte === 0x7d || byte === 0x5d || byte <= 0x20) break
    if (byte === quote || byte === 0x3a || byte === 0x7b || byte === 0x5b) return -1
    index++
  }
  return index === at ? -1 : index
}

function skipSpace(bytes: Buffer, from: number, to: number): number {
  let at = from
  while (at < to) {
    const byte = bytes[at]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
    at++
  }
  return at
}
