/** Makes an input that shows a fault as small as it goes, so that a person sees what it is about. */

/** `isStill`: the input still shows the fault. Asks at most `most` times. */
export async function minimised(
  input: Buffer,
  isStill: (input: Buffer) => Promise<boolean>,
  most = 2000,
): Promise<Buffer> {
  let best = input
  let asked = 0
  const better = async (candidate: Buffer): Promise<boolean> => {
    if (candidate.length > best.length || asked++ >= most || !(await isStill(candidate))) return false
    best = candidate
    return true
  }
  // First ranges, ever shorter ones; then what is left is made plain.
  for (let size = best.length >> 1; size > 0 && asked < most; size >>= 1) {
    for (let at = 0; at < best.length;) {
      if (!(await better(Buffer.concat([best.subarray(0, at), best.subarray(at + size)])))) at += size
    }
  }
  for (let at = 0; at < best.length && asked < most; at++) {
    for (const plain of ['a', '0', ' ']) {
      if (best[at] === plain.charCodeAt(0)) break
      const candidate = Buffer.from(best)
      candidate[at] = plain.charCodeAt(0)
      if (await better(candidate)) break
    }
  }
  return best
}
