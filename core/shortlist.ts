/** Among many upstreams an exchange looks at some: what is asked of each of them would otherwise be asked of thousands. */
import type { Upstream } from './result.ts'

/** Far more than an exchange can ask (8 attempts), and enough to compare: of 32 at random one is of the best tenth in 97 of 100. */
const most = 32

/**
 * The candidates themselves where they are at most 32; else 32 of them, for plugins whose work grows with each one. The first candidate is
 * always there, since a plugin above may have put it there. The others are a stretch of those of the best priority, and where these are
 * few, of the next: in their order, from a place that the seed says. The same seed has nearly the same stretch when a candidate
 * comes or goes. Who finds nobody among them looks at all. Expects them by priority, as the gateway gives them; takes less than a µs, however many.
 */
export function shortlist(candidates: readonly Upstream[], seed: string): readonly Upstream[] {
  const { length } = candidates
  if (length <= most) return candidates
  const list = [candidates[0]!]
  for (let from = 1; list.length < most && from < length;) {
    const end = endOfRun(candidates, from)
    const run = end - from
    const start = run > most - list.length ? Math.floor(share(seed) * run) : 0
    for (let at = 0; at < run && list.length < most; at++) list.push(candidates[from + ((start + at) % run)]!)
    from = end
  }
  return list
}

/** Behind the last one whose priority is not worse than that of the one at `from`. */
function endOfRun(candidates: readonly Upstream[], from: number): number {
  const { priority } = candidates[from]!
  let low = from + 1
  let high = candidates.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (candidates[middle]!.priority > priority) high = middle
    else low = middle + 1
  }
  return low
}

/** From 0 to below 1, the same for the same text: FNV-1a, its bits spread. */
function share(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return ((hash ^ (hash >>> 12)) >>> 0) / 2 ** 32
}
