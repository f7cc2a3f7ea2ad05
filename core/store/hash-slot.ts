/** Where a Redis Cluster keeps a key: CRC-16 (XMODEM) of the key, or of its first part in braces, modulo 16 384. */

/** 0 … 16 383, as CLUSTER KEYSLOT says. */
export function hashSlot(key: string): number {
  const bytes = encoder.encode(tagOf(key))
  let crc = 0
  for (const byte of bytes) crc = ((crc << 8) & 0xffff) ^ (table[((crc >> 8) ^ byte) & 0xff] ?? 0)
  return crc & 16_383
}

/** Keys with the same part in braces live together; empty braces count for nothing. */
function tagOf(key: string): string {
  const open = key.indexOf('{')
  const close = open < 0 ? -1 : key.indexOf('}', open + 1)
  return close > open + 1 ? key.slice(open + 1, close) : key
}

const encoder = new TextEncoder()

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1
  return crc & 0xffff
})
