/**
 * Where a JSON string ends, found 16, 32 and 64 bytes at a time. Part of walker.as; in AssemblyScript, as that is.
 *
 * All of it reads beyond what it looks for: behind the window there is room for that, and a quote that ends every
 * search.
 */

/** How far `escaped` looks: 32 bytes, and the digits behind the last one. */
export const reach: usize = 36
export const bad: usize = usize.MAX_VALUE

/** Where the next quote, backslash or control character stands. There is one: the quote behind the window. */
@inline
export function special(from: usize): usize {
  let at = from
  let mask = v128.bitmask<u8>(specials(at))
  if (mask == 0) {
    at += 16
    mask = v128.bitmask<u8>(specials(at))
    if (mask == 0) {
      at += 16
      while (!v128.any_true(v128.or(either(at), either(at + 32)))) at += 64
      while ((mask = v128.bitmask<u8>(specials(at))) == 0) at += 16
    }
  }
  return at + ctz(mask)
}

@inline
function either(at: usize): v128 {
  return v128.or(specials(at), specials(at + 16))
}

@inline
function specials(at: usize): v128 {
  const bytes = v128.load(at)
  return v128.or(
    v128.or(v128.eq<u8>(bytes, v128.splat<u8>(0x22)), v128.eq<u8>(bytes, v128.splat<u8>(0x5c))),
    control(bytes),
  )
}

/**
 * Where a string with escapes goes on without them, or ends: 32 bytes at a time from the backslash at `from`, however
 * many escapes are among them. `bad` where one is none. Leaves the last bytes of the window, at a backslash perhaps.
 */
export function escaped(from: usize, end: usize): usize {
  let at = from
  let isOpen: u32 = 0 // whether the first byte is the letter of an escape that began before it
  do {
    const left = v128.load(at)
    const right = v128.load(at, 16)
    const quotes = marked(left, right, 0x22)
    const slashes = marked(left, right, 0x5c) & ~isOpen
    const controls = joined(control(left), control(right))
    if ((quotes | controls | slashes | isOpen) == 0) return at

    // The letters behind the odd backslashes of each run, as simdjson finds them: adding carries through a run.
    const behind = (slashes << 1) | isOpen
    const starts = slashes & 0xaaaaaaaa & ~behind
    const sum = starts + slashes
    isOpen = <u32>(sum < starts)
    const letters = (0x55555555 ^ (sum << 1)) & behind

    const ends = quotes & ~letters
    const inside: u32 = ends ? (ends & -ends) - 1 : 0xffffffff
    if ((controls & inside) != 0 || (letters & inside & joined(unknown(left), unknown(right))) != 0) return bad
    let long = letters & inside & marked(left, right, 0x75)
    while (long != 0) {
      if (!isHex4(load<u32>(at + ctz(long), 1))) return bad
      long &= long - 1
    }
    if (ends) return at + ctz(ends)
    at += 32
  } while (at + reach <= end)
  return at - isOpen
}

/** Which of 16 bytes are below 0x20. */
@inline
function control(bytes: v128): v128 {
  return v128.eq<u8>(v128.min<u8>(bytes, v128.splat<u8>(0x1f)), bytes)
}

/** A bit for each of 32 bytes that is `byte`. */
@inline
function marked(left: v128, right: v128, byte: u8): u32 {
  return joined(v128.eq<u8>(left, v128.splat<u8>(byte)), v128.eq<u8>(right, v128.splat<u8>(byte)))
}

@inline
function joined(left: v128, right: v128): u32 {
  return <u32>v128.bitmask<u8>(left) | (<u32>v128.bitmask<u8>(right) << 16)
}

/** Which of 16 bytes may not stand behind a backslash: all but "\/bfnrtu. Each row of ASCII that has some has a bit. */
@inline
function unknown(bytes: v128): v128 {
  const rows = i8x16(0, 0, 1, 0, 0, 2, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0)
  const columns = i8x16(0, 0, 1 | 4 | 8, 0, 8, 8, 4, 0, 0, 0, 0, 0, 2, 0, 4, 1)
  const low = v128.splat<u8>(0x0f)
  const row = v128.swizzle(rows, v128.and(v128.shr<u16>(bytes, 4), low))
  const column = v128.swizzle(columns, v128.and(bytes, low))
  return v128.eq<u8>(v128.and(row, column), v128.splat<u8>(0))
}

/** Whether four bytes are hexadecimal digits. */
@inline
function isHex4(bytes: u32): u32 {
  return isHex(bytes & 0xff) & isHex((bytes >> 8) & 0xff) & isHex((bytes >> 16) & 0xff) & isHex(bytes >> 24)
}

/** Whether the letter after a backslash is one of "\/bfnrt. */
@inline
export function isSimple(c: u32): bool {
  if (c >> 5 == 3) return <bool>((0x00144044 >> (c & 31)) & 1)
  return c == 0x22 || c == 0x5c || c == 0x2f
}

@inline
export function isHex(c: u32): u32 {
  return <u32>(c - 0x30 < 10) | <u32>((c | 0x20) - 0x61 < 6)
}
