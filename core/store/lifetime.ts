/** How long something is kept, as Redis takes it. */

/** A century, in ms: whoever says longer means for ever. */
const longest = 3_155_760_000_000

/** Whole ms, at least 1: what has no time left is gone with the next tick. Throws for what is no number. */
export function lifetime(ttl: number): number {
  if (Number.isNaN(ttl)) throw new RangeError('a time to live is a number of ms')
  return Math.min(Math.max(1, Math.ceil(ttl)), longest)
}
