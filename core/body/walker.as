/**
 * The inner loop of scan.ts, in AssemblyScript: what JSON.parse would accept is walked, the rest is refused, and of the
 * outermost object the places of its members are written down. How strings are crossed stands in strings.as.
 *
 * The bytes come in windows of any length up to `room`, so the memory does not grow with the body. A window may end
 * anywhere, also inside an escape or a number: what has to be known of the bytes before stands in the globals.
 *
 * walker.ts holds both compiled, and says how; a test fails when one was changed without the other.
 */
import { bad, escaped, isHex, isSimple, reach, special } from './strings'

// Memory: the window, which begins at 0; room for what is read behind it; members; one byte per open bracket.
const room: usize = 0x8000
const members: usize = room + 0x80
/** A member takes at least five bytes of JSON and 16 bytes here. */
const brackets: usize = members + 0x1a000
const deepest: usize = 0x100000

// What is expected next. Up to `after`, white space may come before it.
const root: u32 = 0
const firstKey: u32 = 1
const key: u32 = 2
const colon: u32 = 3
const firstItem: u32 = 4
const value: u32 = 5
const after: u32 = 6
const nothing: u32 = 7
const string: u32 = 8
const escape: u32 = 9
const hex: u32 = 10
const word: u32 = 11
const minus: u32 = 12
const zero: u32 = 13
const whole: u32 = 14
const point: u32 = 15
const fraction: u32 = 16
const e: u32 = 17
const sign: u32 = 18
const exponent: u32 = 19

let state: u32 = root
let depth: usize = 0
let inObject: bool = false
let isKey: bool = false
/** Of `word`: the letters to come, the next one lowest. Of `hex`: how many digits. */
let rest: u32 = 0
let keyStart: u32 = 0
let keyEnd: u32 = 0
let valueStart: u32 = 0
let isEscaped: u32 = 0

export function begin(): void {
  state = root
  depth = 0
  inObject = false
}

/** Whether what was walked is one whole object. */
export function isWhole(): bool {
  return state == nothing
}

/** Walks the next `length` bytes, the first being byte `base`: how many members ended there, or -1 for no JSON. */
// One function for all states: what it works on stays in registers.
export function walk(length: usize, base: u32): i32 {
  const end = length
  let at: usize = 0
  let found = members
  let s = state
  store<u8>(end, 0x22) // a quote behind the window ends every search for one

  while (at < end) {
    let c: u32 = load<u8>(at)
    if (s <= nothing) {
      if (c <= 0x20) {
        if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) return -1
        at++
        continue
      }
      switch (s) {
        case firstKey:
        case key: {
          if (c == 0x22) {
            at++
            isKey = true
            if (depth == 1) {
              keyStart = base + <u32>at
              isEscaped = 0
            }
            s = string
            break
          }
          if (c != 0x7d || s == key) return -1
          s = after
          continue
        }
        case colon: {
          if (c != 0x3a) return -1
          at++
          s = value
          break
        }
        case firstItem: {
          if (c == 0x5d) {
            s = after
            continue
          }
        }
        case value: {
          if (depth == 1) valueStart = base + <u32>at
          at++
          if (c == 0x22) {
            isKey = false
            s = string
            break
          }
          if (c == 0x7b || c == 0x5b) {
            if (depth == deepest) return -1
            store<u8>(brackets + depth, <u8>inObject)
            depth++
            inObject = c == 0x7b
            s = inObject ? firstKey : firstItem
            continue
          }
          if (c - 0x31 < 9) s = whole
          else if (c == 0x30) s = zero
          else if (c == 0x2d) s = minus
          else {
            s = word
            if (c == 0x74) rest = 0x657572 // true
            else if (c == 0x66) rest = 0x65736c61 // false
            else if (c == 0x6e) rest = 0x6c6c75 // null
            else return -1
          }
          continue
        }
        case after: {
          at++
          if (c == 0x2c) {
            s = inObject ? key : value
            continue
          }
          if (c != (inObject ? <u32>0x7d : <u32>0x5d)) return -1
          depth--
          if (depth == 0) {
            s = nothing
            continue
          }
          inObject = load<bool>(brackets + depth)
          if (depth == 1) found = put(found, base + <u32>at)
          continue
        }
        case root: {
          if (c != 0x7b) return -1
          at++
          depth = 1
          inObject = true
          s = firstKey
          continue
        }
        default:
          return -1
      }
      if (s != string) continue
    }

    switch (s) {
      case string: {
        at = special(at)
        while (load<u8>(at) == 0x5c && at + reach <= end) {
          isEscaped = 1
          at = escaped(at, end)
          if (at == bad) return -1
          at = special(at)
        }
        if (at >= end) {
          at = end
          break
        }
        c = load<u8>(at)
        at++
        if (c == 0x22) {
          if (isKey) {
            if (depth == 1) keyEnd = (base + <u32>at - 1) | (isEscaped << 31)
            s = colon
          } else {
            if (depth == 1) found = put(found, base + <u32>at)
            s = after
          }
        } else if (c == 0x5c) {
          isEscaped = 1
          s = escape
        } else return -1
        break
      }
      case escape: {
        at++
        if (c == 0x75) {
          rest = 4
          s = hex
        } else if (isSimple(c)) s = string
        else return -1
        break
      }
      case hex: {
        if (!isHex(c)) return -1
        at++
        rest--
        if (rest == 0) s = string
        break
      }
      case word: {
        if (c != (rest & 0xff)) return -1
        at++
        rest >>= 8
        if (rest == 0) {
          if (depth == 1) found = put(found, base + <u32>at)
          s = after
        }
        break
      }
      case minus: {
        if (c == 0x30) s = zero
        else if (c - 0x31 < 9) s = whole
        else return -1
        at++
        break
      }
      case e:
      case sign:
      case point: {
        if (c - 0x30 < 10) s = s == point ? fraction : exponent
        else if (s == e && (c == 0x2b || c == 0x2d)) s = sign
        else return -1
        at++
        break
      }
      default: {
        // A number that may end here.
        if (s != zero) {
          while (c - 0x30 < 10) {
            at++
            c = load<u8>(at) // the quote behind the window is no digit
          }
          if (at >= end) break
        }
        if (c == 0x2e && s <= whole) {
          at++
          s = point
        } else if ((c | 0x20) == 0x65 && s != exponent) {
          at++
          s = e
        } else {
          if (depth == 1) found = put(found, base + <u32>at)
          s = after
        }
      }
    }
  }
  state = s
  return <i32>((found - members) >> 4)
}

@inline
function put(found: usize, end: u32): usize {
  store<u32>(found, keyStart)
  store<u32>(found, keyEnd, 4)
  store<u32>(found, valueStart, 8)
  store<u32>(found, end, 12)
  return found + 16
}
