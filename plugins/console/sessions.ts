/** How often conversations found their upstream again, among the exchanges that are kept. */
import type { Ended } from './notes.ts'

/** What the page is told. A rate is null where there is nothing to divide by. */
export function sessionsTold(exchanges: readonly Ended[]): object {
  const asked = exchanges.filter(({ session, turns }) => session !== null && turns.length > 0)
  const pinned = asked.filter(({ pin }) => pin !== null)
  const kept = pinned.filter(({ pin, upstream }) => pin === upstream)
  return {
    exchanges: asked.length,
    sessions: new Set(asked.map(({ session }) => session)).size,
    pinned: pinned.length,
    kept: kept.length,
    hit_rate: rate(pinned.length, asked.length),
    kept_rate: rate(kept.length, pinned.length),
  }
}

function rate(part: number, whole: number): number | null {
  return whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000
}
