import { jsonField } from 'postern/provider'

/** Where an object stands in the bytes of a document. */
export interface Item {
  readonly start: number
  readonly end: number
}

/** The objects in the `data` of a list as OpenAI's API tells it, in their order; none where the document is no such list. */
export function itemsOf(document: Buffer): readonly Item[] {
  // Says too that the document is whole JSON, so that the walk below need not look.
  if (jsonField(document, 'object') !== 'list') return none
  let items: Item[] = []
  let depth = 0
  /** The latest key of the outermost object is "data". */
  let isNamed = false
  /** Its value is a list. */
  let isList = false
  let start = 0
  for (let at = 0; at < document.length; at++) {
    const byte = document[at]!
    if (byte === quote) {
      const end = endOfString(document, at)
      if (depth === 1 && isKey(document, end)) {
        isNamed = document.subarray(at, end).equals(name)
        // Of several members of one name the last counts, as JSON.parse has it.
        if (isNamed) items = []
      }
      at = end - 1
    } else if (byte === openBrace || byte === openBracket) {
      if (depth === 1) isList = isNamed && byte === openBracket
      else if (depth === 2 && isList && byte === openBrace) start = at
      depth++
    } else if (byte === closeBrace || byte === closeBracket) {
      depth--
      if (depth === 2 && isList && byte === closeBrace) items.push({ start, end: at + 1 })
    }
  }
  return items
}

const none: readonly Item[] = Object.freeze([])
const name = Buffer.from('"data"')
const [quote, backslash, colon] = [0x22, 0x5c, 0x3a]
const [openBrace, closeBrace, openBracket, closeBracket] = [0x7b, 0x7d, 0x5b, 0x5d]

/** The place behind the string's closing quote. */
function endOfString(document: Buffer, from: number): number {
  let end = document.indexOf(quote, from + 1)
  while (isEscaped(document, end)) end = document.indexOf(quote, end + 1)
  return end + 1
}

/** An odd number of backslashes stands before it. */
function isEscaped(document: Buffer, at: number): boolean {
  let before = at
  while (document[before - 1] === backslash) before--
  return (at - before) % 2 === 1
}

function isKey(document: Buffer, end: number): boolean {
  let at = end
  while (document[at]! <= 0x20) at++
  return document[at] === colon
}
